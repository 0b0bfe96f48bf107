/** Connect to a vector database on a server, insert and search, and disconnect: the scope of its layer does both. */
import { once } from "node:events"
import { createServer } from "node:http"
import { Effect, Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { ChromaVectorStore, VectorStore } from "holdfast/vector"

// In place of Chroma, on loopback: what it says to each request.
const answers: Readonly<Record<string, unknown>> = {
  collections: { id: "1", configuration_json: { hnsw: { space: "cosine" } } },
  "pre-flight-checks": { max_batch_size: 1000 },
  get: { ids: [] },
  upsert: {},
  query: { ids: [["paris"]], distances: [[0.05]], documents: [["the capital of France"]], metadatas: [[null]] }
}
const server = createServer((request, response) => {
  const [, last = ""] = /([a-z-]+)$/.exec(String(request.url)) ?? []
  console.log(`  ${request.method} …/${last}`)
  request.resume().on("end", () => response.end(JSON.stringify(answers[last])))
})
let open = 0
const { promise: allClosed, resolve } = Promise.withResolvers<void>()
server.on("connection", (socket) => {
  if (open++ === 0) console.log("  connected")
  socket.on("close", () => --open === 0 && resolve())
})
await once(server.listen(0, "127.0.0.1"), "listening")
const address = server.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`

const program = Effect.gen(function* () {
  const store = yield* VectorStore.VectorStore
  console.log("insert")
  yield* store.upsert({ id: "paris", vector: [1, 0], text: "the capital of France" })
  console.log("search")
  const [nearest] = yield* store.search({ vector: [0.95, 0.3], limit: 1 })
  console.log(`${nearest?.id}: ${nearest?.text}`)
})

// The default of `baseUrl` is http://localhost:8000, Chroma's own.
const store = ChromaVectorStore.layer({ baseUrl, collection: "capitals" }).pipe(Layer.provide(UndiciHttpClient.layer()))
await Effect.runPromise(program.pipe(Effect.provide(store)))
await allClosed
console.log("  disconnected")
server.close()
// Output:
// insert
//   connected
//   POST …/collections
//   GET …/pre-flight-checks
//   POST …/get
//   POST …/upsert
// search
//   POST …/query
// paris: the capital of France
//   disconnected
