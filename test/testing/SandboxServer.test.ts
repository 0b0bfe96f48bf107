import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { Sandbox } from "holdfast/sandbox"
import { SandboxServer, TestSandbox } from "holdfast/testing"

interface Call {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
  readonly signal?: AbortSignal
}

/** As any client asks. */
const ask = (url: string, { body, headers = {}, method = "POST", signal }: Call = {}) =>
  Effect.promise(async () => {
    const sent = typeof body === "string" || body === undefined ? body : JSON.stringify(body)
    const response = await fetch(url, { method, headers, body: sent ?? null, signal: signal ?? null })
    const text = await response.text()
    return { status: response.status, type: response.headers.get("content-type"), text }
  })

const over = (sandbox: Layer.Layer<Sandbox.Sandbox>, options?: SandboxServer.Options) =>
  Layer.provide(SandboxServer.layer(options), sandbox)

const json = (text: string): unknown => JSON.parse(text)

layer(over(TestSandbox.layer((run) => `${run.code}\n`)), { excludeTestServices: true })("SandboxServer", (it) => {
  it.effect("makes a sandbox, runs code in it whole or line by line, and deletes it", () =>
    Effect.gen(function* () {
      const { open, requests, url } = yield* SandboxServer.SandboxServer
      const made = yield* ask(`${url}/sandboxes`, { body: { runtime: "javascript" } })
      assert.strictEqual(made.status, 201)
      const { id, ...rest } = json(made.text) as { id: string }
      assert.deepInclude(rest, {
        languages: ["python", "javascript"],
        features: ["timeout", "interrupt", "contexts", "lifetime", "files"]
      })
      const run = yield* ask(`${url}/sandboxes/${id}/execute`, { body: { code: "hi" } })
      assert.deepInclude(json(run.text), { outcome: "ok", stdout: "hi\n", stderr: "", exitCode: 0 })
      const headers = { accept: "application/x-ndjson" }
      const lines = yield* ask(`${url}/sandboxes/${id}/execute`, { body: { code: "hi" }, headers })
      assert.strictEqual(lines.type, "application/x-ndjson")
      const [first, last] = lines.text.trim().split("\n").map(json)
      assert.deepStrictEqual(first, { type: "stdout", text: "hi\n" })
      assert.deepInclude(last, { type: "done", outcome: "ok", exitCode: 0 })
      assert.notProperty(last, "stdout")
      assert.strictEqual(yield* open, 1)
      assert.strictEqual((yield* ask(`${url}/sandboxes/${id}`, { method: "DELETE" })).status, 204)
      assert.strictEqual((yield* ask(`${url}/sandboxes/${id}`, { method: "DELETE" })).status, 404)
      assert.strictEqual(yield* open, 0)
      assert.deepInclude(yield* requests, { method: "POST", path: `/sandboxes/${id}/execute` })
    })
  )

  it.effect("makes one sandbox for all requests with one key", () =>
    Effect.gen(function* () {
      const { open, url } = yield* SandboxServer.SandboxServer
      const headers = { "idempotency-key": "k1" }
      const once = ask(`${url}/sandboxes`, { headers })
      const [one, two] = yield* Effect.all([once, once], { concurrency: 2 })
      assert.strictEqual(one.text, two.text)
      assert.strictEqual((yield* once).text, one.text)
      assert.strictEqual(yield* open, 1)
      const { id } = json(one.text) as { id: string }
      yield* ask(`${url}/sandboxes/${id}`, { method: "DELETE" })
      const again = json((yield* once).text) as { id: string }
      assert.notStrictEqual(again.id, id)
      yield* ask(`${url}/sandboxes/${again.id}`, { method: "DELETE" })
    })
  )

  it.effect("refuses what it does not understand, and says why", () =>
    Effect.gen(function* () {
      const { url } = yield* SandboxServer.SandboxServer
      const { id } = json((yield* ask(`${url}/sandboxes`)).text) as { id: string }
      const refusals: ReadonlyArray<readonly [string, Call, number, object]> = [
        ["/sandboxes", { body: { runtime: "cobol" } }, 422, { code: "UnsupportedLanguage", language: "cobol" }],
        ["/sandboxes", { method: "GET" }, 405, { message: "no GET here" }],
        ["/else", {}, 404, { message: "no route /else" }],
        ["/sandboxes/none/execute", { body: { code: "1" } }, 410, { code: "SessionLost", why: "gone" }],
        [`/sandboxes/${id}/execute`, { body: {} }, 422, { message: "there is no `code`" }],
        [`/sandboxes/${id}/execute`, { body: "[1" }, 422, { message: "the body is no JSON object" }],
        [`/sandboxes/${id}/execute`, { body: { code: "1", context: "x" } }, 422, { code: "InvalidRequest" }],
        [`/sandboxes/${id}/commands`, { body: { command: "ls" } }, 501, { code: "Unsupported" }],
        [`/sandboxes/${id}/files`, { method: "GET" }, 422, { message: "there is no `path`" }],
        [`/sandboxes/${id}/files?path=x`, { method: "GET" }, 404, { code: "FileFailed", why: "notFound", path: "x" }],
        [`/sandboxes/${id}/dance`, {}, 405, { message: "no POST /sandboxes/{id}/dance" }]
      ]
      for (const [path, call, status, error] of refusals) {
        const answer = yield* ask(`${url}${path}`, call)
        assert.strictEqual(answer.status, status, path)
        assert.deepInclude((json(answer.text) as { error: object }).error, error)
      }
      yield* ask(`${url}/sandboxes/${id}`, { method: "DELETE" })
    })
  )
})

layer(over(TestSandbox.layer("")))("SandboxServer, in virtual time", (it) => {
  it.effect("ends a sandbox some time after its lifetime, and answers on after a path that is none", () =>
    Effect.gen(function* () {
      const { open, url } = yield* SandboxServer.SandboxServer
      const broken = yield* Effect.exit(ask(`${url}/sandboxes/%zz/execute`))
      assert.isTrue(Exit.isFailure(broken))
      yield* ask(`${url}/sandboxes`, { body: { lifetimeMillis: 1000 } })
      yield* ask(`${url}/sandboxes`)
      assert.strictEqual(yield* open, 2)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* open, 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* open, 0)
    })
  )
})

describe("SandboxServer", () => {
  it.live("makes no sandbox for who has gone, and ends those that are left when it closes", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const state = { made: 0, open: 0 }
      const slow = Sandbox.Sandbox.of({
        create: () =>
          Effect.andThen(
            Effect.acquireRelease(
              Effect.sync(() => void [state.made++, state.open++]),
              () => Effect.sync(() => state.open--)
            ),
            state.made === 0 ? Effect.andThen(Deferred.succeed(asked, undefined), Effect.never) : Effect.never
          )
      })
      yield* Effect.gen(function* () {
        const { url } = yield* SandboxServer.make()
        const leaving = new AbortController()
        const gone = yield* Effect.forkChild(Effect.exit(ask(`${url}/sandboxes`, { signal: leaving.signal })))
        yield* Deferred.await(asked)
        assert.strictEqual(state.open, 1)
        leaving.abort()
        yield* Fiber.join(gone)
        while (state.open > 0) yield* Effect.sleep("5 millis")
        yield* Effect.forkChild(Effect.exit(ask(`${url}/sandboxes`)))
        while (state.made < 2) yield* Effect.sleep("5 millis")
      }).pipe(Effect.scoped, Effect.provideService(Sandbox.Sandbox, slow))
      assert.deepStrictEqual(state, { made: 2, open: 0 })
    })
  )
})

layer(over(TestSandbox.layer(""), { apiKey: Redacted.make("k") }), { excludeTestServices: true })(
  "SandboxServer with a key",
  (it) => {
    it.effect("lets in who shows it", () =>
      Effect.gen(function* () {
        const { url } = yield* SandboxServer.SandboxServer
        for (const [headers, status] of [
          [{}, 401],
          [{ authorization: "Bearer other" }, 401],
          [{ authorization: "Bearer k" }, 201],
          [{ "x-api-key": "k" }, 201]
        ] as const)
          assert.strictEqual((yield* ask(`${url}/sandboxes`, { headers })).status, status)
      })
    )
  }
)
