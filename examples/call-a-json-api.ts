/** Call a JSON API: a base URL and headers for every request, queries, JSON and forms, and answers that are checked. */
import { once } from "node:events"
import { createServer } from "node:http"
import { text } from "node:stream/consumers"
import { Effect, Layer, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { ResilientHttpClient, UndiciHttpClient } from "holdfast/http"

// A server on loopback that tells what it was asked.
const server = createServer(async (request, response) => {
  const { authorization, "content-type": type } = request.headers
  const asked = `${request.method} ${request.url} by ${authorization}`
  const body = type === undefined ? "no body" : `${type} ${await text(request)}`
  response.setHeader("content-type", "application/json").end(JSON.stringify({ asked, body }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/api`

const Echo = Schema.Struct({ asked: Schema.String, body: Schema.String })
const show = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(HttpClientResponse.schemaBodyJson(Echo)(response), ({ asked, body }) => console.log(`${asked}: ${body}`))

const program = Effect.gen(function* () {
  // Once for all requests. An answer that is not 2xx is a failure.
  const api = (yield* HttpClient.HttpClient).pipe(
    HttpClient.mapRequest((request) =>
      request.pipe(HttpClientRequest.prependUrl(baseUrl), HttpClientRequest.bearerToken("secret"))
    ),
    HttpClient.filterStatusOk
  )

  yield* show(yield* api.get("/users", { urlParams: { limit: 2, sort: "name" } }))
  const user = yield* HttpClientRequest.post("/users").pipe(HttpClientRequest.bodyJson({ name: "Ada" }))
  yield* show(yield* api.execute(user))
  const login = HttpClientRequest.post("/login").pipe(HttpClientRequest.bodyUrlParams({ user: "ada", remember: true }))
  yield* show(yield* api.execute(login))
})

const http = ResilientHttpClient.layer().pipe(Layer.provide(UndiciHttpClient.layer()))
await Effect.runPromise(program.pipe(Effect.provide(http)))
server.close()
// Output:
// GET /api/users?limit=2&sort=name by Bearer secret: no body
// POST /api/users by Bearer secret: application/json {"name":"Ada"}
// POST /api/login by Bearer secret: application/x-www-form-urlencoded user=ada&remember=true
