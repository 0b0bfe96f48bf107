/** Run ten searches in the time of one: all of them at once, or all in one request. */
import { Effect, Layer } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestHttpClient } from "holdfast/testing"
import { ChromaVectorStore, VectorStore } from "holdfast/vector"

// In place of a Chroma server. It answers no search before ten of them are there: in the time of one, or never.
let requests = 0
const { promise: allAreThere, resolve } = Promise.withResolvers<void>()
const network = TestHttpClient.layer((request) =>
  Effect.gen(function* () {
    if (request.url.endsWith("/pre-flight-checks")) return JSON.stringify({ max_batch_size: 1000 })
    if (!request.url.endsWith("/query")) return JSON.stringify({ id: "1" })
    if (++requests === 10) resolve()
    yield* Effect.promise(() => allAreThere)
    const web = yield* Effect.orDie(HttpClientRequest.toWeb(request))
    const { query_embeddings: queries }: { query_embeddings: Array<[number]> } = yield* Effect.promise(() => web.json())
    return JSON.stringify({ ids: queries.map(([n]) => [`item ${n}`]), distances: queries.map(() => [0.1]) })
  })
)
const store = ChromaVectorStore.layer().pipe(Layer.provide(network))

const queries = Array.from({ length: 10 }, (_, n) => ({ vector: [n, 1], limit: 1 }))
const idsOf = (found: ReadonlyArray<ReadonlyArray<VectorStore.Match>>) => found.map(([match]) => match?.id).join(", ")

const program = Effect.gen(function* () {
  const { search, searchMany } = yield* VectorStore.VectorStore

  // Ten requests that are under way together, whatever each of them asks for.
  console.log(idsOf(yield* Effect.forEach(queries, search, { concurrency: "unbounded" })))
  console.log(`${requests} requests at the same time`)

  // One request, where the store has one for many queries.
  requests = 0
  console.log(idsOf(yield* searchMany(queries)))
  console.log(`${requests} request`)
})

await Effect.runPromise(program.pipe(Effect.provide(store)))
// Output:
// item 0, item 1, item 2, item 3, item 4, item 5, item 6, item 7, item 8, item 9
// 10 requests at the same time
// item 0, item 1, item 2, item 3, item 4, item 5, item 6, item 7, item 8, item 9
// 1 request
