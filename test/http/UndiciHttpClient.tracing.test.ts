import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Tracer } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import * as http from "node:http"

/** A server that answers with what it was sent, with the status that the path names. */
const server = Effect.map(
  Effect.acquireRelease(
    Effect.callback<http.Server>((resume) => {
      const made = http.createServer((request, response) => {
        response.writeHead(Number(/\d{3}/.exec(request.url ?? "")?.[0] ?? 200), { "x-answer": "yes" })
        request.resume()
        response.end(JSON.stringify(request.headers))
      })
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) =>
      Effect.sync(() => {
        made.closeAllConnections()
        made.close()
      })
  ),
  (made) => {
    const address = made.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }
)

const traced = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return Effect.map(Effect.result(Effect.withTracer(self, tracer)), (result) => ({ result, spans }))
}

const attributesOf = (span: Tracer.NativeSpan | undefined) => Object.fromEntries(span?.attributes ?? [])

describe("UndiciHttpClient's tracing", () => {
  it.live("tells where a request went, without its secrets", () =>
    Effect.gen(function* () {
      const port = yield* server
      const url = `http://me:secret@127.0.0.1:${port}/200`
      const request = HttpClientRequest.get(url).pipe(
        HttpClientRequest.setUrlParams({ q: "a b", key: Redacted.make("hidden") }),
        HttpClientRequest.bearerToken("hidden")
      )
      const { result, spans } = yield* traced(
        Effect.withSpan(
          Effect.flatMap(HttpClient.execute(request), ({ json }) => json),
          "around"
        )
      )
      const [around, span] = spans
      assert.strictEqual(span?.name, "GET")
      assert.deepStrictEqual(attributesOf(span), {
        "http.request.method": "GET",
        "url.full": `http://REDACTED:REDACTED@127.0.0.1:${port}/200?q=a+b&key=REDACTED`,
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200
      })
      assert.strictEqual(span?.traceId, around?.traceId)
      const sent = result._tag === "Success" ? result.success : undefined
      assert.deepInclude(sent, { traceparent: `00-${span?.traceId}-${span?.spanId}-01` })
    }).pipe(Effect.provide(UndiciHttpClient.layer()), Effect.scoped)
  )

  it.live("marks an error status and a broken connection as failed", () =>
    Effect.gen(function* () {
      const port = yield* server
      const missing = yield* traced(HttpClient.get(`http://127.0.0.1:${port}/404`))
      assert.strictEqual(missing.result._tag, "Success")
      assert.strictEqual(attributesOf(missing.spans[0])["error.type"], "404")
      const { status } = missing.spans[0] ?? assert.fail("no span")
      assert.strictEqual(status._tag === "Ended" && status.exit._tag, "Failure")

      const refused = yield* traced(HttpClient.get("http://127.0.0.1:1/"))
      assert.strictEqual(refused.result._tag, "Failure")
      assert.strictEqual(attributesOf(refused.spans[0])["error.type"], "ECONNREFUSED")
    }).pipe(Effect.provide(UndiciHttpClient.layer()), Effect.scoped)
  )

  it.live("records the headers that it is asked to", () =>
    Effect.gen(function* () {
      const port = yield* server
      const request = HttpClientRequest.post(`http://127.0.0.1:${port}/`, {
        headers: { authorization: "Bearer hidden", "x-tenant": "t1" },
        body: HttpBody.text("hi")
      })
      const filter = (name: string): boolean => name.startsWith("x-") || name === "authorization"
      const { spans } = yield* traced(
        Effect.provideService(HttpClient.execute(request), HttpClient.TracerHeaderFilter, filter)
      )
      const recorded = attributesOf(spans[0])
      assert.strictEqual(recorded["http.request.header.x-tenant"], "t1")
      assert.strictEqual(recorded["http.request.header.authorization"], "<redacted>")
      assert.strictEqual(recorded["http.response.header.x-answer"], "yes")
      assert.isUndefined(recorded["http.request.header.content-type"])
    }).pipe(Effect.provide(UndiciHttpClient.layer()), Effect.scoped)
  )
})
