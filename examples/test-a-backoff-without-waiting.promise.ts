/** Test code that waits five minutes for a busy server, in a few milliseconds: under virtual time, over a real socket. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import type { Client } from "holdfast/promise"
import { VirtualTime } from "holdfast/testing"

/** The code under test. */
const nameOf = async (client: Client, id: number) => {
  const { name } = JSON.parse(await (await client.http.get(`/users/${id}`)).text())
  return name
}

// A server on loopback that is busy at first, and says for how long.
let requests = 0
const server = createServer((_, response) => {
  if (++requests === 1) response.writeHead(503, { "retry-after": "300" }).end()
  else response.end('{"name":"Ada"}')
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

{
  const time = VirtualTime.make()
  await using client = time.createClient({
    http: { baseUrl: `http://127.0.0.1:${port}` },
    retry: { maxRetryAfter: "10 minutes" }
  })

  // Time passes from timer to timer until the promise is settled: a test does not have to know how long that is.
  assert.equal(await time.run(() => nameOf(client, 1)), "Ada")
  console.log(`${requests} requests, ${time.elapsed() / 1000} seconds of virtual time`)

  // Or step by step, to look in between.
  requests = 0
  const name = nameOf(client, 2)
  await time.advance("299 seconds")
  console.log(`after 299 seconds: ${requests} request`)
  await time.advance("1 second")
  console.log(`after 300 seconds: ${requests} requests, ${await name}`)
}
server.close()
// Output:
// 2 requests, 300 seconds of virtual time
// after 299 seconds: 1 request
// after 300 seconds: 2 requests, Ada
