/** Let every call of a vector store hold when its server is down for a moment. */
import { Effect, Layer } from "effect"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { ChromaVectorStore, VectorStore } from "holdfast/vector"

// In place of a Chroma server that is down at each second request.
let requests = 0
const network = TestHttpClient.layer(({ url }) => {
  if (++requests % 2 === 1) return new Response("{}", { status: 503 })
  if (url.endsWith("/pre-flight-checks")) return JSON.stringify({ max_batch_size: 1000 })
  if (!url.endsWith("/query")) return JSON.stringify({ id: "1" })
  return JSON.stringify({ ids: [["paris"]], distances: [[0.1]] })
})

// Two retries are the default. `onRetry` is told of each.
const policy = Policy.make({
  retry: {
    base: "1 millis",
    onRetry: ({ error, retry }) => Effect.sync(() => console.log(`retry ${retry}: ${String(error).split(":")[0]}`))
  }
})
const store = ChromaVectorStore.layer({ policy }).pipe(Layer.provide(network))

const program = Effect.gen(function* () {
  const [nearest] = yield* VectorStore.search({ vector: [1, 0], limit: 1 })
  console.log(`${nearest?.id}, after ${requests} requests`)
})

await Effect.runPromise(program.pipe(Effect.provide(store)))
// Output:
// retry 1: ServerError
// retry 1: ServerError
// retry 1: ServerError
// paris, after 6 requests
