/** Upload a file that never is in memory as a whole, and show how far it is. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient } from "holdfast/promise"

// A server on loopback that counts what it gets, and is busy at first.
let requests = 0
const server = createServer(async (request, response) => {
  let bytes = 0
  for await (const chunk of request) bytes += chunk.length
  response.writeHead(++requests === 1 ? 503 : 200).end(`${bytes > 1_000_000 ? "more" : "less"} than a megabyte`)
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`

// A function, so that the bytes can be made anew when the request is sent again.
const readings = async function* () {
  for (let hour = 0; hour < 24; hour++) yield new Uint8Array(48_000).fill(hour)
}

await using client = createClient({ http: { baseUrl }, retry: { base: "10 millis" } })

let percent = 0
const response = await client.http.put("/readings", {
  idempotencyKey: "readings-2026-11-21",
  multipart: [
    ["station", "north"],
    ["file", { filename: "day.bin", content: readings, sizeBytes: 24 * 48_000 }]
  ],
  onProgress: ({ sentBytes, totalBytes = sentBytes }) => {
    percent = Math.round((100 * sentBytes) / totalBytes)
  }
})
console.log(response.status, await response.text())
console.log(`${percent} %, ${response.attempts.length} attempts`)
server.close()
// Output:
// 200 more than a megabyte
// 100 %, 2 attempts
