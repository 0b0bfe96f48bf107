import { assert, describe, it, layer } from "@effect/vitest"
import { ConfigProvider, Context, Deferred, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { Policy } from "holdfast/policy"
import { RestSandbox, Sandbox, SandboxError } from "holdfast/sandbox"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { encode, reasonOfBody } from "../../src/sandbox/internal/restErrors.ts"

interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}

type Answer =
  | "reset"
  | "hang"
  | {
      readonly status?: number
      readonly headers?: Record<string, string>
      readonly body?: unknown
      readonly text?: string
    }

/** A code interpreter of three endpoints: all that the protocol demands, with answers that a test may change. */
class Interpreter {
  readonly asked: Array<Asked> = []
  /** Answers in order, by method and path; past them, what a working server says. */
  readonly scripts = new Map<string, Array<Answer | Promise<Answer>>>()
  private readonly waiters: Array<() => void> = []
  made = 0
  url = ""
  /** What texts are. */
  textType = "text/plain"

  of(endpoint: string): ReadonlyArray<Asked> {
    return this.asked.filter(({ method, path }) => `${method} ${path}` === endpoint)
  }

  /** Resolves when this has been asked so often. */
  async until(endpoint: string, times = 1): Promise<void> {
    while (this.of(endpoint).length < times) await new Promise<void>((resolve) => this.waiters.push(resolve))
  }

  private usual(endpoint: string): Answer {
    if (endpoint === "POST /sandboxes") return { status: 201, body: { id: `s${++this.made}` } }
    if (endpoint.startsWith("DELETE ")) return { status: 204 }
    return { body: { stdout: "42\n", stderr: "", exitCode: 0 } }
  }

  readonly handle = async (incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> => {
    const chunks: Array<Buffer> = []
    for await (const chunk of incoming) chunks.push(chunk)
    const { headers, method = "", url: path = "" } = incoming
    const text = Buffer.concat(chunks).toString()
    this.asked.push({ method, path, headers, body: text === "" ? undefined : JSON.parse(text) })
    for (const wake of this.waiters.splice(0)) wake()
    const endpoint = `${method} ${path}`
    const answer = await (this.scripts.get(endpoint)?.shift() ?? this.usual(endpoint))
    if (answer === "hang") return
    if (answer === "reset") return void incoming.socket.resetAndDestroy()
    const type = answer.text === undefined ? "application/json" : this.textType
    const body = answer.text ?? (answer.body === undefined ? undefined : JSON.stringify(answer.body))
    outgoing.writeHead(answer.status ?? 200, { "content-type": type, ...answer.headers }).end(body)
  }
}

class Server extends Context.Service<Server, { readonly start: Effect.Effect<Interpreter, never, Scope.Scope> }>()(
  "test/Server"
) {}

const start = Effect.acquireRelease(
  Effect.callback<{ readonly server: http.Server; readonly interpreter: Interpreter }>((resume) => {
    const interpreter = new Interpreter()
    const server = http.createServer((incoming, outgoing) => {
      interpreter.handle(incoming, outgoing).catch(() => outgoing.destroy())
    })
    server.listen(0, "127.0.0.1", () => {
      interpreter.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      resume(Effect.succeed({ server, interpreter }))
    })
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
).pipe(Effect.map(({ interpreter }) => interpreter))

const policy = Policy.make({ retry: { base: "1 millis", jitter: "none" } })

/** A test on an interpreter of its own. */
const within = <A, E>(
  test: (interpreter: Interpreter) => Effect.Effect<A, E, Sandbox.Sandbox | Scope.Scope>,
  options: Partial<RestSandbox.Options> = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const interpreter = yield* (yield* Server).start
      const rest = RestSandbox.layer({ baseUrl: `${interpreter.url}/`, policy, ...options })
      return yield* Effect.provide(test(interpreter), rest)
    })
  )

const why = ({ reason }: SandboxError.SandboxError) => (reason._tag === "SessionLost" ? reason.why : reason._tag)

const services = Layer.mergeAll(Layer.succeed(Server, { start }), UndiciHttpClient.layer())

layer(services, { excludeTestServices: true })("RestSandbox", (it) => {
  it.effect("needs three endpoints of a server, and sends it no field that nobody asked for", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const session = yield* Sandbox.create({ userId: "u1" })
            assert.deepInclude({ ...session }, { id: "s1", userId: "u1", languages: ["python"], hasShell: false })
            assert.deepStrictEqual(session.isolation, {
              engine: "remote",
              process: "remote",
              os: "remote",
              network: "remote"
            })
            assert.deepInclude(yield* session.runCode("print(42)"), { outcome: "ok", stdout: "42\n", exitCode: 0 })
            yield* session.runCode("1", { env: { A: "1" }, cwd: "/tmp", timeout: "1 second" })
          })
        )
        assert.deepStrictEqual(
          interpreter.asked.map(({ body, method, path }) => [method, path, body]),
          [
            ["POST", "/sandboxes", { runtime: "python" }],
            ["POST", "/sandboxes/s1/execute", { code: "print(42)" }],
            ["POST", "/sandboxes/s1/execute", { code: "1", env: { A: "1" }, cwd: "/tmp" }],
            ["DELETE", "/sandboxes/s1", undefined]
          ]
        )
      })
    )
  )

  it.effect("reads what servers answer under other names", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const traceback = 'Traceback (most recent call last):\n  File "<cell>"\nValueError: no good'
        const error = { name: "ValueError", value: "no good", traceback }
        const bundle = { "text/plain": "1", "text/html": "<b>1</b>" }
        const answers: ReadonlyArray<readonly [Answer, Partial<Sandbox.Execution>]> = [
          [
            { body: { output: "a", exit_code: 3, execution_time: 1.5, memory_usage: 7 } },
            { outcome: "failed", exitCode: 3, stdout: "a", durationMillis: 1500, memoryBytes: 7 }
          ],
          [{ body: { stdout: "", error: traceback } }, { outcome: "failed", exitCode: 1, error }],
          [
            { body: { error: null, results: [{ text: "1", html: "<b>1</b>" }, "2", { "image/png": "x" }] } },
            { outcome: "ok", results: [bundle, { "text/plain": "2" }, { "image/png": "x" }] }
          ],
          [{ body: { result: 42 } }, { results: [{ "text/plain": "42" }] }],
          [
            { body: { status: "ok", output: { execution_result: { output: "deep", exit_code: 0 } } } },
            { outcome: "ok", stdout: "deep" }
          ],
          [
            { body: { outcome: "timedOut", error: { name: "E", message: "m", traceback: ["x", "y"] } } },
            { outcome: "timedOut", exitCode: 124, error: { name: "E", value: "m", traceback: "x\ny" } }
          ],
          [{ text: "plain" }, { outcome: "ok", stdout: "plain" }],
          [{ body: "json text" }, { stdout: "json text" }]
        ]
        interpreter.scripts.set("POST /sandboxes", [{ body: { sandbox: { sandbox_id: "s 1" } } }])
        interpreter.scripts.set(
          "POST /sandboxes/s%201/execute",
          answers.map(([answer]) => answer)
        )
        const session = yield* Sandbox.create()
        for (const [, expected] of answers) assert.deepInclude(yield* session.runCode("x"), expected)
        interpreter.scripts.set("POST /sandboxes/s%201/execute", [{ body: { status: "queued" } }])
        const failed = yield* Effect.flip(session.runCode("x"))
        assert.strictEqual(
          failed.message,
          "sandbox rest: not a valid answer (it has nothing of a run in it); check the base URL: `excerpt` has the beginning of what came"
        )
      })
    )
  )

  it.effect("says Unsupported of what the server does not have, and sends nothing", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create()
        const { files } = session
        for (const unable of [
          session.runCommand("ls"),
          Stream.runDrain(session.streamCommand("ls")),
          session.createContext(),
          files.read("a"),
          files.list(),
          files.upload("a", Stream.empty),
          Stream.runDrain(files.download("a"))
        ])
          assert.strictEqual((yield* Effect.flip(unable)).code, "Unsupported")
        yield* session.interrupt
        yield* session.extend("1 hour")
        assert.strictEqual(interpreter.asked.length, 1)
        assert.strictEqual((yield* Effect.flip(session.runCode("1", { language: "r" }))).code, "UnsupportedLanguage")
      })
    )
  )

  it.effect("lists and reads the files of a server that has them, under other names too", () =>
    within(
      (interpreter) =>
        Effect.gen(function* () {
          const { files } = yield* Sandbox.create()
          interpreter.scripts.set("GET /sandboxes/s1/files?path=%2Fa&list=true", [
            {
              body: {
                entries: [
                  { name: "z", is_dir: true },
                  { path: "/a/b.txt", size: 3 }
                ]
              }
            }
          ])
          assert.deepStrictEqual(yield* files.list("/a"), [
            { name: "b.txt", path: "/a/b.txt", type: "file", bytes: 3 },
            { name: "z", path: "/a/z", type: "folder", bytes: 0 }
          ])
          interpreter.scripts.set("GET /sandboxes/s1/files?path=x", [
            { status: 404, body: { detail: "no file" } },
            { status: 404, body: { detail: "no such sandbox" } }
          ])
          const missing = yield* Effect.flip(files.read("x"))
          assert.deepInclude(missing.reason, { _tag: "FileFailed", path: "x", why: "notFound", description: "no file" })
          assert.strictEqual(why(yield* Effect.flip(files.read("x"))), "gone")
        }),
      { features: ["files"] }
    )
  )

  it.effect("asks again for a sandbox under the same key, and for a run never", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        interpreter.scripts.set("POST /sandboxes", ["reset", { status: 500 }])
        const session = yield* Sandbox.create()
        const keys = interpreter.of("POST /sandboxes").map(({ headers }) => headers["idempotency-key"])
        assert.strictEqual(keys.length, 3)
        assert.match(String(keys[0]), /^[0-9a-f-]{36}$/)
        assert.strictEqual(new Set(keys).size, 1)

        interpreter.scripts.set("POST /sandboxes/s1/execute", [{ status: 503 }, "reset"])
        const error = yield* Effect.flip(session.runCode("pay()"))
        assert.deepInclude(error, { code: "ConnectionLost", phase: "maybeSent" })
        assert.deepStrictEqual(
          error.attempts?.map(({ outcome }) => outcome),
          ["ServerError", "ConnectionLost"]
        )
        // Nobody knows whether it still runs: on a server that cannot be asked to stop it, the sandbox goes.
        assert.strictEqual(why(yield* Effect.flip(session.runCode("1"))), "killed")
        yield* Effect.promise(() => interpreter.until("DELETE /sandboxes/s1"))
        assert.strictEqual(interpreter.of("POST /sandboxes/s1/execute").length, 2)
      })
    )
  )

  it.effect("ends a run at its timeout by its own clock, and gives a fresh sandbox on reset", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create()
        interpreter.scripts.set("POST /sandboxes/s1/execute", ["hang"])
        const run = yield* session.runCode("while True: pass", { timeout: "100 millis" })
        assert.deepInclude(run, { outcome: "timedOut", exitCode: 124, sessionState: "lost" })
        assert.strictEqual(run.error?.name, "TimeoutError")
        assert.strictEqual(why(yield* Effect.flip(session.runCode("1"))), "killed")
        yield* Effect.promise(() => interpreter.until("DELETE /sandboxes/s1"))
        yield* session.reset
        assert.strictEqual(session.id, "s1")
        assert.strictEqual((yield* session.runCode("1")).stdout, "42\n")
        assert.strictEqual(interpreter.of("POST /sandboxes/s2/execute").length, 1)
      })
    )
  )

  it.effect(
    "asks a server that can to stop a run, at its timeout and when it is interrupted, and keeps the sandbox",
    () =>
      within(
        (interpreter) =>
          Effect.gen(function* () {
            const session = yield* Sandbox.create()
            const stopped = Promise.withResolvers<Answer>()
            interpreter.scripts.set("POST /sandboxes/s1/execute", [stopped.promise, "hang"])
            const running = yield* Effect.forkChild(session.runCode("x", { timeout: "100 millis" }))
            yield* Effect.promise(() => interpreter.until("POST /sandboxes/s1/interrupt"))
            stopped.resolve({ body: { stdout: "some", error: "KeyboardInterrupt" } })
            const run = yield* Fiber.join(running)
            assert.deepInclude(run, { outcome: "timedOut", stdout: "some", sessionState: "kept" })
            const second = yield* Effect.forkChild(session.runCode("x"))
            yield* Effect.promise(() => interpreter.until("POST /sandboxes/s1/execute", 2))
            yield* Fiber.interrupt(second)
            assert.strictEqual(interpreter.of("POST /sandboxes/s1/interrupt").length, 2)
            assert.strictEqual((yield* session.runCode("1")).stdout, "42\n")
            assert.strictEqual(interpreter.of("DELETE /sandboxes/s1").length, 0)
          }),
        { features: ["interrupt"] }
      )
  )

  it.effect("deletes a sandbox whose create was interrupted, or came too late", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const [first, second] = [Promise.withResolvers<Answer>(), Promise.withResolvers<Answer>()]
        interpreter.scripts.set("POST /sandboxes", [first.promise, second.promise])
        const fiber = yield* Effect.forkChild(Effect.scoped(Sandbox.create()))
        yield* Effect.promise(() => interpreter.until("POST /sandboxes"))
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(interpreter.asked.length, 1)
        first.resolve({ body: { id: "late1" } })
        yield* Effect.promise(() => interpreter.until("DELETE /sandboxes/late1"))

        const error = yield* Effect.flip(Effect.scoped(Sandbox.create({ createTimeout: "50 millis" })))
        assert.deepInclude(error.reason, { _tag: "Unavailable", transient: true })
        second.resolve({ body: { id: "late2" } })
        yield* Effect.promise(() => interpreter.until("DELETE /sandboxes/late2"))
      })
    )
  )

  it.effect("waits for what is still being deleted when the layer closes", () =>
    Effect.gen(function* () {
      const interpreter = yield* (yield* Server).start
      const scope = yield* Scope.make()
      const rest = RestSandbox.layer({ baseUrl: interpreter.url, policy })
      const { create } = Context.get(yield* Layer.buildWithScope(rest, scope), Sandbox.Sandbox)
      const held = Promise.withResolvers<Answer>()
      interpreter.scripts.set("POST /sandboxes", [held.promise])
      const fiber = yield* Effect.forkChild(Effect.scoped(create()))
      yield* Effect.promise(() => interpreter.until("POST /sandboxes"))
      yield* Fiber.interrupt(fiber)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      held.resolve({ body: { id: "late" } })
      yield* Fiber.join(closing)
      assert.strictEqual(interpreter.of("DELETE /sandboxes/late").length, 1)
    })
  )

  it.effect("leaves no sandbox of resets that overlap, nor of one that the session's end overtakes", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const session = yield* Scope.provide(Sandbox.create(), scope)
        yield* Effect.all([session.reset, session.reset], { concurrency: 2 })
        const held = Promise.withResolvers<Answer>()
        interpreter.scripts.set("POST /sandboxes", [held.promise])
        const late = yield* Effect.forkChild(session.reset)
        yield* Effect.promise(() => interpreter.until("POST /sandboxes", 4))
        yield* Scope.close(scope, Exit.void)
        held.resolve({ body: { id: "late" } })
        yield* Fiber.join(late)
        const deleted = interpreter.asked.filter(({ method }) => method === "DELETE").map(({ path }) => path)
        assert.sameMembers(
          deleted,
          ["s1", "s2", "s3", "late"].map((id) => `/sandboxes/${id}`)
        )
      })
    )
  )

  it.effect("asks a server to stop the run that has the last slot", () =>
    within(
      (interpreter) =>
        Effect.gen(function* () {
          const session = yield* Sandbox.create()
          const stopped = Promise.withResolvers<Answer>()
          interpreter.scripts.set("POST /sandboxes/s1/execute", [stopped.promise])
          const running = yield* Effect.forkChild(session.runCode("x"))
          yield* Effect.promise(() => interpreter.until("POST /sandboxes/s1/execute"))
          const interrupting = yield* Effect.forkChild(session.interrupt)
          yield* Effect.promise(() => interpreter.until("POST /sandboxes/s1/interrupt"))
          stopped.resolve({ body: { error: "KeyboardInterrupt" } })
          assert.deepInclude(yield* Fiber.join(running), { outcome: "interrupted", sessionState: "kept" })
          yield* Fiber.join(interrupting)
        }),
      { features: ["interrupt"], policy: Policy.make({ maxConcurrency: 1 }) }
    )
  )

  it.effect("takes a 404 for the sandbox's end, and asks no more", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create()
        interpreter.scripts.set("POST /sandboxes/s1/execute", [{ status: 404, body: { error: "not found" } }])
        for (let times = 0; times < 2; times++) {
          const { reason } = yield* Effect.flip(session.runCode("1"))
          assert.deepInclude(reason, { _tag: "SessionLost", why: "gone", description: "not found" })
        }
        assert.strictEqual(interpreter.of("POST /sandboxes/s1/execute").length, 1)
      })
    )
  )

  it.effect("ends a session with its lifetime, also on a server that knows of none", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        const session = yield* Sandbox.create({ lifetime: "1 hour" })
        assert.deepStrictEqual(interpreter.asked[0]?.body, { runtime: "python", lifetimeMillis: 3_600_000 })
        interpreter.scripts.set("POST /sandboxes/s1/execute", ["hang"])
        const fiber = yield* Effect.forkChild(Effect.flip(session.runCode("x")))
        yield* Effect.promise(() => interpreter.until("POST /sandboxes/s1/execute"))
        yield* session.extend("10 millis")
        assert.strictEqual(why(yield* Fiber.join(fiber)), "expired")
        yield* Effect.promise(() => interpreter.until("DELETE /sandboxes/s1"))
      })
    )
  )

  it.effect("streams a run line by line, and tells one that breaks off", () =>
    within(
      (interpreter) =>
        Effect.gen(function* () {
          const lines = [
            { type: "keepalive" },
            { type: "stdout", text: "a" },
            { type: "stderr", data: "b" },
            { type: "result", result: { text: "1" } }
          ]
          const streamed = (last: object): Answer => ({
            text: [...lines, last].map((line) => JSON.stringify(line)).join("\n")
          })
          const session = yield* Sandbox.create()
          interpreter.textType = "application/x-ndjson"
          interpreter.scripts.set("POST /sandboxes/s1/execute", [
            streamed({ type: "done", exitCode: 3 }),
            streamed({ type: "error", error: { code: "SessionLost", why: "outOfMemory", message: "too much sk-own" } })
          ])
          const events = yield* Stream.runCollect(session.streamCode("x"))
          assert.deepStrictEqual(
            events.map(({ type }) => type),
            ["stdout", "stderr", "result", "done"]
          )
          const last = events.at(-1)
          assert.deepInclude(last?.type === "done" ? last.execution : {}, { stdout: "a", stderr: "b", exitCode: 3 })
          const lost = yield* Effect.flip(session.runCode("x"))
          assert.strictEqual(why(lost), "outOfMemory")
          assert.include(lost.message, "too much <redacted>")
        }),
      { apiKey: Redacted.make("sk-own") }
    )
  )

  it.effect("shows its key as it is told to, and no error has it", () =>
    Effect.gen(function* () {
      const apiKey = Redacted.make("sk-secret")
      const refused = (interpreter: Interpreter) =>
        Effect.gen(function* () {
          const answer: Answer = { status: 401, body: { error: "bad key sk-secret" } }
          interpreter.scripts.set("POST /sandboxes", [answer])
          const error = yield* Effect.flip(Sandbox.create())
          assert.strictEqual(error.code, "Unauthorized")
          assert.include(error.message, "bad key <redacted>")
          return interpreter.asked[0]?.headers
        })
      assert.strictEqual((yield* within(refused, { apiKey }))?.authorization, "Bearer sk-secret")
      assert.strictEqual((yield* within(refused, { apiKey, keyHeader: "X-API-Key" }))?.["x-api-key"], "sk-secret")
    })
  )

  it.effect("finds another server's endpoints and the names of its languages", () =>
    within(
      (interpreter) =>
        Effect.gen(function* () {
          interpreter.scripts.set("POST /v1/vm", [{ body: { id: 7 } }])
          yield* Effect.scoped(Effect.flatMap(Sandbox.create(), (session) => session.runCode("1", { language: "r" })))
          assert.deepStrictEqual(
            interpreter.asked.map(({ body, method, path }) => [method, path, body]),
            [
              ["POST", "/v1/vm", { runtime: "py3" }],
              ["POST", "/v1/vm/7/run", { code: "1", language: "r" }],
              ["DELETE", "/v1/vm/7", undefined]
            ]
          )
          assert.strictEqual((yield* Effect.flip(Sandbox.create({ language: "java" }))).code, "UnsupportedLanguage")
        }),
      {
        paths: { create: "/v1/vm", sandbox: "/v1/vm/{id}", execute: "/v1/vm/{id}/run" },
        runtimes: { python: "py3" },
        languages: ["python", "r"]
      }
    )
  )

  it.effect("finds its server and its key in the environment, and gives the key to no other server", () =>
    Effect.gen(function* () {
      const interpreter = yield* (yield* Server).start
      const from = (env: Record<string, string>, options?: RestSandbox.ConfigOptions) =>
        Effect.scoped(Sandbox.create()).pipe(
          Effect.provide(RestSandbox.layerConfig(options)),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))
        )
      const env = { HOLDFAST_SANDBOX_URL: interpreter.url, HOLDFAST_SANDBOX_API_KEY: "k" }
      yield* from(env)
      yield* from({ ...env, HOLDFAST_SANDBOX_URL: "http://127.0.0.1:1" }, { baseUrl: interpreter.url })
      assert.deepStrictEqual(
        interpreter.of("POST /sandboxes").map(({ headers }) => headers.authorization),
        ["Bearer k", undefined]
      )
      const missing = yield* Effect.flip(from({ HOLDFAST_SANDBOX_URL: "" }))
      assert.include(String(missing), "set HOLDFAST_SANDBOX_URL")
    }).pipe(Effect.scoped)
  )
})

layer(services)("RestSandbox, in virtual time", (it) => {
  it.effect("counts a run's time from the send that is not refused", () =>
    Effect.gen(function* () {
      const waits = yield* Deferred.make<void>()
      const onRetry = () => Effect.asVoid(Deferred.succeed(waits, undefined))
      const test = (interpreter: Interpreter) =>
        Effect.gen(function* () {
          const session = yield* Sandbox.create()
          const refused = { status: 429, headers: { "retry-after": "40" } }
          interpreter.scripts.set("POST /sandboxes/s1/execute", [refused, "hang"])
          const fiber = yield* Effect.forkChild(session.runCode("x", { timeout: "30 seconds" }))
          yield* Deferred.await(waits)
          yield* TestClock.adjust("40 seconds")
          yield* Effect.promise(() => interpreter.until("POST /sandboxes/s1/execute", 2))
          yield* TestClock.adjust("29999 millis")
          assert.isUndefined(fiber.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          assert.deepInclude(yield* Fiber.join(fiber), { outcome: "timedOut", sessionState: "lost" })
        })
      yield* within(test, { policy: Policy.make({ retry: { onRetry } }) })
    })
  )

  it.effect("keeps the sandbox of a run that is stopped while it waits to be sent again", () =>
    Effect.gen(function* () {
      const waits = yield* Deferred.make<void>()
      const onRetry = () => Effect.asVoid(Deferred.succeed(waits, undefined))
      const test = (interpreter: Interpreter) =>
        Effect.gen(function* () {
          const session = yield* Sandbox.create()
          interpreter.scripts.set("POST /sandboxes/s1/execute", [{ status: 429, headers: { "retry-after": "40" } }])
          const fiber = yield* Effect.forkChild(session.runCode("x"))
          yield* Deferred.await(waits)
          yield* session.interrupt
          const run = yield* Fiber.join(fiber)
          assert.deepInclude(run, { outcome: "interrupted", sessionState: "kept", durationMillis: 0 })
          assert.strictEqual((yield* session.runCode("1")).outcome, "ok")
        })
      yield* within(test, { policy: Policy.make({ retry: { onRetry } }) })
    })
  )

  it.effect("gives a server five seconds to delete a sandbox, whatever the deadline around", () =>
    within((interpreter) =>
      Effect.gen(function* () {
        interpreter.scripts.set("DELETE /sandboxes/s1", ["hang"])
        const made = yield* Deferred.make<void>()
        const closing = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(Sandbox.create(), Deferred.succeed(made, undefined)))
        )
        yield* Deferred.await(made)
        yield* Effect.promise(() => interpreter.until("DELETE /sandboxes/s1"))
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(closing)
      })
    )
  )
})

describe("the errors of the REST protocol", () => {
  it("are read as they were written", () => {
    for (const reason of [
      new SandboxError.Unavailable({ description: "d", transient: true }),
      new SandboxError.SessionLost({ why: "crashed", description: "d" }),
      new SandboxError.LimitExceeded({ limit: "queue", description: "d" }),
      new SandboxError.UnsupportedLanguage({ language: "cobol", supported: ["python"] }),
      new SandboxError.Unsupported({ operation: "o", description: "d" }),
      new SandboxError.FileFailed({ path: "p", why: "noSpace", description: "d" })
    ]) {
      const { body, status } = encode(new SandboxError.SandboxError({ provider: "p", reason }))
      assert.isAtLeast(status, 400)
      assert.deepStrictEqual({ ...reasonOfBody(JSON.parse(JSON.stringify(body)), "") }, { ...reason })
    }
    assert.isUndefined(reasonOfBody({ error: { code: "teapot" } }, ""))
    assert.isUndefined(reasonOfBody({ error: "text" }, ""))
  })
})
