/** Give a program that uses Effect's HttpClient retries, timeouts and limits without changing it. */
import { once } from "node:events"
import { createServer } from "node:http"
import { Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { ResilientHttpClient, UndiciHttpClient } from "holdfast/http"
import { Policy } from "holdfast/policy"

// A server on loopback that fails twice.
let requests = 0
const server = createServer((_, response) => {
  response.writeHead(++requests < 3 ? 503 : 200).end(`request ${requests}`)
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/`

// The program knows nothing of policies.
const program = Effect.gen(function* () {
  const response = yield* HttpClient.get(url)
  console.log(response.status, yield* response.text)
})

// `ResilientHttpClient` wraps whatever client is below it. In a constant: its slots and counters belong to the layer.
const http = ResilientHttpClient.layer(Policy.make({ retry: { base: "10 millis" }, maxConcurrency: 20 })).pipe(
  Layer.provide(UndiciHttpClient.layer())
)

await Effect.runPromise(program.pipe(Effect.provide(http)))
server.close()
// Output:
// 200 request 3
