/** Read a large answer piece by piece with `for await`, while the server is still sending, and leave by `break`. */
import { once } from "node:events"
import { createServer } from "node:http"
import { pipeline } from "node:stream/promises"
import { createClient } from "holdfast/promise"

// A server on loopback that sends kilobytes for as long as somebody reads them.
const kilobytes = function* () {
  while (true) yield "x".repeat(1024)
}
const { promise: left, resolve: leave } = Promise.withResolvers<void>()
const server = createServer((_, response) => {
  pipeline(kilobytes, response).catch(() => leave())
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`

{
  await using client = createClient({ http: { baseUrl } })
  const response = await client.http.get("/")
  let bytes = 0
  for await (const piece of response.stream()) {
    bytes += piece.length
    if (bytes > 100_000) break
  }
  console.log(`${response.status}, more than 100 kilobytes, and no end of it`)
  await left
  console.log("the server saw the reader leave")
}
server.close()
// Output:
// 200, more than 100 kilobytes, and no end of it
// the server saw the reader leave
