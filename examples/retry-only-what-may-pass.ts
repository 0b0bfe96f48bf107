/** Try again after a 429 or a 503, never after a 404, and send nothing twice that may have been done already. */
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { ResilientHttpClient } from "holdfast/http"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

// In place of the network, a server that says no to each path once. In production it is `UndiciHttpClient.layer()`.
const seen = new Map<string, number>()
const network = TestHttpClient.layer(({ method, url }) => {
  const name = `${method} ${new URL(url).pathname}`
  const requests = (seen.get(name) ?? 0) + 1
  seen.set(name, requests)
  const status = requests === 1 ? Number(name.slice(-3)) : 200
  return new Response("", { status })
})

// The defaults. `retryIf` and `classify` of the option `retry` decide otherwise.
const http = ResilientHttpClient.layer(Policy.make({ retry: { retries: 2, base: "1 millis" } })).pipe(
  Layer.provide(network)
)

const requests = [
  HttpClientRequest.get("https://api.example.com/429"),
  HttpClientRequest.get("https://api.example.com/503"),
  HttpClientRequest.get("https://api.example.com/404"),
  // A server that breaks down may have done it before; one that is too busy has not.
  HttpClientRequest.post("https://api.example.com/500"),
  HttpClientRequest.post("https://api.example.com/429"),
  // With a key of its own the server does it once, however often it comes.
  HttpClientRequest.put("https://api.example.com/500"),
  HttpClientRequest.post("https://api.example.com/502", { headers: { "idempotency-key": "order-7" } })
]
const program = Effect.forEach(requests, (request) =>
  Effect.gen(function* () {
    const { status } = yield* HttpClient.execute(request)
    const name = `${request.method} ${new URL(request.url).pathname}`
    console.log(`${name}: ${status}, requests: ${seen.get(name)}`)
  })
)

await Effect.runPromise(program.pipe(Effect.provide(http)))
// Output:
// GET /429: 200, requests: 2
// GET /503: 200, requests: 2
// GET /404: 404, requests: 1
// POST /500: 500, requests: 1
// POST /429: 200, requests: 2
// PUT /500: 200, requests: 2
// POST /502: 200, requests: 2
