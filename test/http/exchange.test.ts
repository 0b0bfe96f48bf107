import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Redacted, Result, Stream } from "effect"
import { Headers, HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { Policy, type Retryable } from "holdfast/policy"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import type { Ask } from "../../src/http/internal/ask.ts"
import { Exchange, type Settings } from "../../src/http/internal/exchange.ts"

type Step =
  | "reset"
  | "hang"
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly chunks: ReadonlyArray<string>; readonly end: "end" | "reset" | "hang" }

/** A server that plays for each path the steps that a test gave it, the last one for ever. */
class Server extends Context.Service<
  Server,
  {
    readonly url: string
    readonly script: (path: string, ...steps: ReadonlyArray<Step>) => void
    readonly requests: (path: string) => ReadonlyArray<http.IncomingMessage>
    /** Resolves when a response to this path was left before its end. */
    readonly left: (path: string) => Promise<void>
  }
>()("test/Server") {}

const play = (step: Step, request: http.IncomingMessage, response: http.ServerResponse): void => {
  if (step === "hang") return
  if (step === "reset") return void request.socket.resetAndDestroy()
  if (!("chunks" in step)) return void response.writeHead(step.status ?? 200, step.headers).end(step.body)
  response.writeHead(200)
  response.flushHeaders()
  const write = ([first, ...rest]: ReadonlyArray<string>): void => {
    if (first !== undefined) return void response.write(first, () => setImmediate(write, rest))
    if (step.end === "end") response.end()
    if (step.end === "reset") request.socket.destroy()
  }
  write(step.chunks)
}

const serve = Effect.gen(function* () {
  const scripts = new Map<string, ReadonlyArray<Step>>()
  const seen = new Map<string, Array<http.IncomingMessage>>()
  const left = new Map<string, PromiseWithResolvers<void>>()
  const server = http.createServer((request, response) => {
    const path = (request.url ?? "").replace(/\?.*/, "")
    const earlier = seen.get(path) ?? []
    seen.set(path, [...earlier, request])
    const steps = scripts.get(path) ?? []
    response.once("close", () => (response.writableFinished ? undefined : left.get(path)?.resolve()))
    request.resume().once("end", () => play(steps[Math.min(earlier.length, steps.length - 1)] ?? {}, request, response))
  })
  const listening = Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
  })
  const port = yield* Effect.acquireRelease(listening, () =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
  )
  return Server.of({
    url: `http://127.0.0.1:${port}`,
    script: (path, ...steps) => {
      scripts.set(path, steps)
      left.set(path, Promise.withResolvers<void>())
    },
    requests: (path) => seen.get(path) ?? [],
    left: (path) => left.get(path)?.promise ?? Promise.reject(new Error(`no script for ${path}`))
  })
})

const services = Layer.mergeAll(Layer.effect(Server, serve), UndiciHttpClient.layer())

const quick = { retry: { base: "1 millis", jitter: "none" } } satisfies Policy.Options

/** What a test calls, with a server of its own policy. */
const exchange = <R extends { readonly _tag: string } & Retryable.Retryable = never>(
  options: Partial<Settings<R>> = {},
  policy: Policy.Options = quick
) =>
  Effect.gen(function* () {
    const server = yield* Server
    const held = yield* Policy.open(Policy.make(policy))
    const http = yield* HttpClient.HttpClient
    const headers = { "x-api-key": Redacted.make("sk-secret") }
    const api = new Exchange<R>({ provider: "test", key: "test", held, http, baseUrl: server.url, headers, ...options })
    return { api, held, server }
  })

const number = (value: unknown): Result.Result<number, string> =>
  typeof value === "number" ? Result.succeed(value) : Result.fail("no number")

const get = (path: string): Ask => ({ method: "GET", path })
const post = (path: string): Ask => ({ method: "POST", path, json: { a: 1 } })

layer(services, { excludeTestServices: true })("Exchange", (it) => {
  it.effect("sends a safe call again after a 503, and tells each attempt and the id of the request", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/busy", { status: 503 }, "reset", { headers: { "x-request-id": "r3" }, body: "42" })
      const answer = yield* api.json(get("/busy"), number)
      assert.deepInclude(answer, { value: 42, status: 200, requestId: "r3" })
      assert.deepStrictEqual(
        answer.attempts.map(({ outcome }) => outcome),
        ["ServerError", "ConnectionLost", "ok"]
      )
      assert.strictEqual(server.requests("/busy")[0]?.headers["x-api-key"], "sk-secret")
    })
  )

  for (const [what, step, code] of [
    ["a 500", { status: 500 }, "ServerError"],
    ["a proxy's 524, behind which it may run on", { status: 524 }, "ServerError"],
    ["a reset", "reset", "ConnectionLost"],
    ["garbage", { body: "<html>" }, "InvalidResponse"]
  ] as const)
    it.effect(`does not send an unsafe call again after ${what}`, () =>
      Effect.gen(function* () {
        const { api, server } = yield* exchange()
        const path = `/unsafe/${encodeURIComponent(what)}`
        server.script(path, step, { body: "1" })
        const failed = yield* Effect.flip(api.json(post(path), number))
        assert.strictEqual(failed.reason._tag, code)
        assert.strictEqual(failed.attempts.length, 1)
        assert.strictEqual(server.requests(path).length, 1)
      })
    )

  it.effect("sends an unsafe call again after it was rejected, and one with a key after anything", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/rejected", { status: 503 }, { body: "1" })
      assert.strictEqual((yield* api.json(post("/rejected"), number)).attempts.length, 2)
      server.script("/keyed", "reset", { status: 500 }, { body: "2" })
      const keyed = { ...post("/keyed"), headers: { "Idempotency-Key": "k" } }
      assert.strictEqual((yield* api.json(keyed, number)).attempts.length, 3)
    })
  )

  it.effect("waits as long as it is told to, and not beyond its deadline", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/later", { status: 429, headers: { "retry-after-ms": "20" } }, { body: "1" })
      const told: Array<string> = []
      const ask = { ...get("/later"), onSend: () => void told.push("sent"), onFail: () => void told.push("failed") }
      const { attempts } = yield* api.json(ask, number)
      assert.deepStrictEqual(told, ["sent", "failed", "sent"])
      assert.deepInclude(attempts[1], { waitCause: "retryAfter", waitMillis: 20 })
      server.script("/tomorrow", { status: 429, headers: { "retry-after": "30" }, body: '{"detail":"slow down"}' })
      const failed = yield* Effect.flip(api.text({ ...get("/tomorrow"), timeout: { total: "5 seconds" } }))
      assert.deepInclude(failed.reason, { _tag: "RateLimited", wouldExceedDeadline: true, description: "slow down" })
      assert.strictEqual(server.requests("/tomorrow").length, 1)
    })
  )

  it.effect("sends a body once that it would not have again", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/once", { status: 503 }, { body: "1" })
      const failed = yield* Effect.flip(api.text({ method: "PUT", path: "/once", once: true }))
      assert.strictEqual(failed.reason._tag, "ServerError")
      assert.strictEqual(server.requests("/once").length, 1)
    })
  )

  it.effect("hides a header that only its value makes a secret from spans and other origins", () =>
    Effect.gen(function* () {
      let names: ReadonlyArray<string | RegExp> = []
      const noted = Effect.map(Headers.CurrentRedactedNames, (all) => void (names = all))
      const http = HttpClient.transform(yield* HttpClient.HttpClient, (sent) => Effect.andThen(noted, sent))
      const { api, server } = yield* exchange({ http })
      server.script("/hidden", { body: "1" })
      yield* api.text({ ...get("/hidden"), headers: { "X-Own": Redacted.make("secret"), "x-plain": "no" } })
      assert.include(names, "x-own")
      assert.notInclude(names, "x-plain")
    })
  )

  it.effect("tells a refusal in the service's own words, on one line and without the secrets that it was shown", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      const error = { message: "no such key:\n sk-secret\u001b[31m or other-secret" }
      server.script("/refused", { status: 401, body: JSON.stringify({ error }), headers: { "request-id": "r" } })
      const ask = { ...get("/refused"), headers: { "x-tenant": Redacted.make("Bearer other-secret") } }
      const failed = yield* Effect.flip(api.text(ask))
      const description = "no such key: <redacted> [31m or <redacted>"
      assert.deepInclude(failed.reason, { _tag: "Unauthorized", status: 401, description })
      assert.strictEqual(failed.requestId, "r")
      for (const [body, words] of [
        ['{"error":"a"}', "a"],
        ['{"message":"b"}', "b"],
        ['{"status":{"error":"c"}}', "c"],
        ["plain", "plain"],
        ["<html>nginx</html>", "status 400"]
      ] as const) {
        server.script("/words", { status: 400, body })
        const { reason } = yield* Effect.flip(api.text(get("/words")))
        assert.deepInclude(reason, { _tag: "InvalidRequest", description: words })
      }
    })
  )

  it.effect("asks again for an answer that makes no sense, and shows its beginning without secrets", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/garbage", { body: "{sk-secret" })
      const failed = yield* Effect.flip(api.json(get("/garbage"), number))
      assert.deepInclude(failed.reason, { _tag: "InvalidResponse", description: "the body is not JSON" })
      assert.strictEqual("excerpt" in failed.reason && failed.reason.excerpt, "{<redacted>")
      assert.strictEqual(failed.attempts.length, 3)
      server.script("/other", { body: '"7"' })
      const { reason } = yield* Effect.flip(api.json(get("/other"), number))
      assert.deepInclude(reason, { _tag: "InvalidResponse", description: "no number" })
    })
  )

  it.effect("takes what is accepted for an answer, and no body for nothing", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/gone", { status: 404, body: "gone" })
      const gone = yield* api.text({ method: "DELETE", path: "/gone", accept: [404] })
      assert.deepInclude(gone, { status: 404, value: "gone" })
      server.script("/empty", { status: 204 })
      const empty = yield* api.json(get("/empty"), (value) => Result.succeed(value))
      assert.isUndefined(empty.value)
      server.script("/bytes", { body: "\u0001\u0002" })
      assert.deepStrictEqual([...(yield* api.bytes(get("/bytes"))).value], [1, 2])
    })
  )

  it.effect("lets the service read its own refusals first", () =>
    Effect.gen(function* () {
      class Full implements Retryable.Retryable {
        readonly _tag = "Full"
        readonly isRetryable = true
        readonly phase = "rejected"
      }
      const { api, server } = yield* exchange<Full>({
        reasonOf: ({ json }) => (JSON.stringify(json) === '{"full":true}' ? new Full() : undefined)
      })
      server.script("/full", { status: 400, body: '{"full":true}' }, { status: 400, body: "no" })
      const failed = yield* Effect.flip(api.text(post("/full")))
      assert.strictEqual(failed.reason._tag, "InvalidRequest")
      assert.deepStrictEqual(
        failed.attempts.map(({ outcome }) => outcome),
        ["Full", "InvalidRequest"]
      )
    })
  )

  it.effect("keeps within the body's limit, follows no redirect, and tells who cannot be reached", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange({ limitBytes: 10 })
      server.script("/large", { body: "x".repeat(11) })
      assert.deepInclude((yield* Effect.flip(api.text(get("/large")))).reason, { _tag: "BodyTooLarge", limitBytes: 10 })
      assert.strictEqual((yield* api.text({ ...get("/large"), limitBytes: 11 })).value.length, 11)
      server.script("/moved", { status: 307, headers: { location: "/large" } })
      const moved = yield* Effect.flip(api.text(get("/moved")))
      assert.deepInclude(moved.reason, { _tag: "InvalidRequest", status: 307 })
      const nowhere = yield* exchange({ baseUrl: "http://127.0.0.1:1" })
      const lost = yield* Effect.flip(nowhere.api.text(post("/")))
      assert.deepInclude(lost.reason, { _tag: "Unreachable", phase: "notSent" })
      assert.strictEqual(lost.attempts.length, 3)
    })
  )

  it.effect("sends its query with the path, a list as a parameter for each value", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      yield* api.text({ ...get("/query"), query: { path: "/a b", all: ["1", "2"], none: undefined, deep: true } })
      assert.strictEqual(server.requests("/query")[0]?.url, "/query?path=%2Fa+b&all=1&all=2&deep=true")
    })
  )

  it.effect("closes the socket of a call that is interrupted", () =>
    Effect.gen(function* () {
      const { api, held, server } = yield* exchange()
      server.script("/hang", { chunks: ["half"], end: "hang" })
      const fiber = yield* Effect.forkChild(api.text(get("/hang")), { startImmediately: true })
      while (server.requests("/hang").length === 0) yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => server.left("/hang"))
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
    })
  )

  it.effect("streams the lines of a body, and closes the socket when it is left", () =>
    Effect.gen(function* () {
      const { api, held, server } = yield* exchange()
      server.script("/lines", { status: 503 }, { chunks: ['{"a":', "1}\n\n{}\r", '\n"end"'], end: "end" })
      assert.deepStrictEqual(yield* Stream.runCollect(api.lines(get("/lines"))), ['{"a":1}', "{}", '"end"'])
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
      server.script("/endless", { chunks: ["1\n2\n"], end: "hang" })
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(api.lines(get("/endless")), 1)), ["1"])
      yield* Effect.promise(() => server.left("/endless"))
      const begun = yield* Deferred.make<void>()
      server.script("/pieces", { chunks: ["1"], end: "hang" })
      const reading = Stream.runForEach(api.pieces(get("/pieces")), () => Deferred.succeed(begun, undefined))
      const fiber = yield* Effect.forkChild(reading)
      yield* Deferred.await(begun)
      assert.strictEqual(held.concurrency.inFlight("test"), 1)
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => server.left("/pieces"))
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
    })
  )

  it.effect("tells a stream that breaks after what came of it, and sends it once", () =>
    Effect.gen(function* () {
      const { api, server } = yield* exchange()
      server.script("/cut", { chunks: ["1\n", "2"], end: "reset" })
      const seen: Array<string> = []
      const reading = Stream.runForEach(api.lines(get("/cut")), (line) => Effect.sync(() => seen.push(line)))
      assert.strictEqual((yield* Effect.flip(reading)).reason._tag, "ConnectionLost")
      assert.deepStrictEqual(seen, ["1"])
      server.script("/silent", { chunks: ["1\n"], end: "hang" })
      const ask = { ...get("/silent"), timeout: { idleContent: "50 millis" } } satisfies Ask
      const failed = yield* Effect.flip(Stream.runDrain(api.lines(ask)))
      assert.deepInclude(failed.reason, { _tag: "ConnectionLost" })
      assert.strictEqual(server.requests("/cut").length + server.requests("/silent").length, 2)
      server.script("/late", { chunks: ["1\n"], end: "hang" })
      const late = { ...get("/late"), timeout: { total: "300 millis" } } satisfies Ask
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(api.lines(late)))).reason._tag, "DeadlineExceeded")
    })
  )

  it.effect("ends its streams when its policy drains", () =>
    Effect.gen(function* () {
      const { api, held, server } = yield* exchange()
      const begun = yield* Deferred.make<void>()
      server.script("/drained", { chunks: ["1\n"], end: "hang" })
      const reading = Stream.runForEach(api.lines(get("/drained")), () => Deferred.succeed(begun, undefined))
      const fiber = yield* Effect.forkChild(Effect.flip(reading))
      yield* Deferred.await(begun)
      assert.deepStrictEqual(yield* held.drain(0), { finished: 0, interrupted: 1 })
      assert.deepInclude((yield* Fiber.join(fiber)).reason, { _tag: "Draining", isSent: true })
      yield* Effect.promise(() => server.left("/drained"))
      assert.strictEqual((yield* Effect.flip(api.text(get("/drained")))).reason._tag, "Draining")
    })
  )
})
