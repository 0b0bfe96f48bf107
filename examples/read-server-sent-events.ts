/** Read an endpoint's server-sent events as a Stream. */
import { once } from "node:events"
import { createServer } from "node:http"
import { Effect, Stream } from "effect"
import { HttpClient } from "effect/http"
import { EventStream, UndiciHttpClient } from "holdfast/http"

// A server on loopback; comments are keep-alives and never become events.
const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.write(": hello\n\n")
  response.write("event: price\ndata: 101\n\nevent: price\ndata: 102\n\n")
  response.end("data: two\ndata: lines\n\n")
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/`

const program = Effect.gen(function* () {
  const response = yield* HttpClient.get(url)
  yield* EventStream.sse(response).pipe(
    Stream.runForEach(({ data, event = "message" }) => Effect.sync(() => console.log(event, JSON.stringify(data))))
  )
})

await Effect.runPromise(program.pipe(Effect.provide(UndiciHttpClient.layer())))
server.close()
// Output:
// price "101"
// price "102"
// message "two\nlines"
