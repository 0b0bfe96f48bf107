/** Upload a file that never is in memory as a whole, show how far it is, and send it again when the server is busy. */
import { once } from "node:events"
import { createServer } from "node:http"
import { Effect, Layer, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { ResilientHttpClient, UndiciHttpClient, Upload } from "holdfast/http"
import { Policy } from "holdfast/policy"

// A server on loopback that counts what it gets, and is busy at first.
let requests = 0
const server = createServer(async (request, response) => {
  let bytes = 0
  for await (const chunk of request) bytes += chunk.length
  response.writeHead(++requests === 1 ? 503 : 200).end(`${bytes > 1_000_000 ? "more" : "less"} than a megabyte`)
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/readings`

// A Stream is run anew when the request is sent again. For a file on disk: `await fs.openAsBlob(path)`.
const readings = Stream.map(Stream.range(0, 23), (hour) => new Uint8Array(48_000).fill(hour))

const program = Effect.gen(function* () {
  let percent = 0
  const form = yield* Upload.multipart([
    ["station", "north"],
    ["file", { filename: "day.bin", content: readings, sizeBytes: 24 * 48_000 }]
  ])
  const body = Upload.withProgress(form, ({ sentBytes, totalBytes = sentBytes }) =>
    Effect.sync(() => {
      percent = Math.round((100 * sentBytes) / totalBytes)
    })
  )
  const request = HttpClientRequest.put(url).pipe(HttpClientRequest.setBody(body))
  const response = yield* HttpClient.execute(request)
  console.log(response.status, yield* response.text)
  console.log(`${percent} %, ${requests} requests`)
})

const http = ResilientHttpClient.layer(Policy.make({ retry: { base: "10 millis" } })).pipe(
  Layer.provide(UndiciHttpClient.layer())
)
await Effect.runPromise(program.pipe(Effect.provide(http)))
server.close()
// Output:
// 200 more than a megabyte
// 100 %, 2 requests
