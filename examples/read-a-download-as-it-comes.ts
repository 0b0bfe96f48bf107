/** Read a large answer piece by piece, while the server is still sending, and leave when you have seen enough. */
import { once } from "node:events"
import { createServer } from "node:http"
import { pipeline } from "node:stream/promises"
import { Effect, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"

// A server on loopback that writes lines for as long as somebody reads them.
const lines = function* () {
  for (let line = 1; ; line++) yield `line ${line}\n`
}
const { promise: left, resolve: leave } = Promise.withResolvers<void>()
const server = createServer((_, response) => {
  pipeline(lines, response).catch(() => leave())
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/`

const program = HttpClient.get(url).pipe(
  HttpClientResponse.stream,
  Stream.decodeText,
  Stream.splitLines,
  Stream.take(3),
  Stream.runForEach((line) => Effect.sync(() => console.log(line)))
)

await Effect.runPromise(program.pipe(Effect.provide(UndiciHttpClient.layer())))
await left
console.log("the server saw the reader leave")
server.close()
// Output:
// line 1
// line 2
// line 3
// the server saw the reader leave
