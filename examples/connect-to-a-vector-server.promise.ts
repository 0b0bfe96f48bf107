/** Connect to a vector database on a server with promises, insert and search, and disconnect at the end of the block. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient } from "holdfast/promise"

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

{
  // The default of `baseUrl` is http://localhost:8000, Chroma's own.
  await using client = createClient({ vectors: { provider: "chroma", baseUrl, collection: "capitals" } })
  console.log("insert")
  await client.vectors.upsert({ id: "paris", vector: [1, 0], text: "the capital of France" })
  console.log("search")
  const [nearest] = await client.vectors.search({ vector: [0.95, 0.3], limit: 1 })
  console.log(`${nearest?.id}: ${nearest?.text}`)
}
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
