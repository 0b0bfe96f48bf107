/** Runs, commands and files of a sandbox of E2B, and what goes wrong with them. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Redacted, Stream } from "effect"
import { type E2bSandbox, Sandbox, type SandboxError } from "holdfast/sandbox"
import { afterAll, afterEach, beforeAll } from "vitest"
import { type E2b, type Fault, python, startE2b } from "../fixtures/e2b.ts"
import { callsOf, refuses, says, until, within } from "./e2bLayer.ts"

let e2b: E2b

beforeAll(async () => {
  e2b = await startE2b({ keepaliveMillis: 20, diskBytes: 100_000 })
})

afterEach(() => {
  for (const { id } of e2b.boxes()) e2b.expire(id)
})

afterAll(() => e2b.close())

const execute = "49999 POST /execute"
const start = "49983 POST /process.Process/Start"
const began = { type: "number_of_executions", execution_count: 1 }

const lines = (
  ending: "cut" | "end" | "stall",
  ...said: ReadonlyArray<Readonly<Record<string, unknown>> | string>
): Fault => ({
  script: { lines: [began, ...said], ending }
})

const raising = (name: string, value: string, traceback = "Traceback") =>
  says({ type: "error", name, value, traceback })

const reasonOf = <A, R>(self: Effect.Effect<A, SandboxError.SandboxError, R>) =>
  Effect.map(Effect.flip(self), (error) => error.reason)

/** One session, in real time. */
const test = <E>(
  name: string,
  body: (session: Sandbox.Session) => Effect.Effect<void, E, Sandbox.Sandbox>,
  options: Partial<E2bSandbox.Options> = {}
) => it.live(name, () => Effect.scoped(Effect.flatMap(Sandbox.create(), body)).pipe(running(() => e2b, options)))

const running =
  (at: () => E2b, options: Partial<E2bSandbox.Options>) =>
  <A, E>(self: Effect.Effect<A, E, Sandbox.Sandbox>) =>
    Effect.suspend(() => within(at(), { grace: "1 second", ...options })(self))

describe("E2bSandbox, its runs", () => {
  test("gives what the lines say, and passes over what it does not know", (session) =>
    Effect.gen(function* () {
      e2b.fail(
        execute,
        says(
          { type: "stdout", text: "héllo\n", timestamp: "2026-11-21T01:34:47.050906+00:00" },
          { type: "news", text: "?" },
          { type: "keepalive" },
          { type: "stderr", text: "err\n" },
          { type: "result", text: "shown", png: "AAAA", extra: {}, is_main_result: false },
          {
            type: "result",
            text: "P",
            html: "<b>",
            json: { a: [1] },
            chart: { type: "line" },
            extra: { "application/x-own": { b: 2 } },
            latex: null,
            is_main_result: true
          }
        )
      )
      const events = yield* Stream.runCollect(session.streamCode("x", { env: { A: "1" } }))
      assert.deepStrictEqual(events.slice(0, -1), [
        { type: "stdout", text: "héllo\n" },
        { type: "stderr", text: "err\n" },
        { type: "result", result: { "text/plain": "shown", "image/png": "AAAA" } },
        {
          type: "result",
          result: {
            "text/plain": "P",
            "text/html": "<b>",
            "application/json": '{"a":[1]}',
            "e2b/chart": '{"type":"line"}',
            "application/x-own": '{"b":2}'
          }
        }
      ])
      const last = events.at(-1)
      const execution = last?.type === "done" ? last.execution : assert.fail()
      const { durationMillis: _, results, ...rest } = execution
      assert.strictEqual(results.length, 2)
      assert.deepStrictEqual(rest, {
        outcome: "ok",
        stdout: "héllo\n",
        stderr: "err\n",
        error: undefined,
        exitCode: 0,
        memoryBytes: 0,
        sessionState: "kept",
        truncated: false
      })
      const asked = JSON.parse(callsOf(e2b, execute).at(-1)?.body ?? "")
      assert.deepInclude(asked, { code: "x", env_vars: { A: "1" } })
      assert.hasAllKeys(asked, ["code", "context_id", "env_vars"])
    }))

  test("makes a value of what a program raised, with an exit code that the wire does not have", (session) =>
    Effect.gen(function* () {
      const exits: Array<[string, number, string]> = []
      const rows: ReadonlyArray<readonly [string, string]> = [
        ["ValueError", "no"],
        ["SystemExit", "3"],
        ["SystemExit", "256"],
        ["SystemExit", "None"],
        ["SystemExit", ""],
        ["SystemExit", "a word"],
        // A program may call its error what it wants: one of the server's own has no traceback.
        ["ContextRestarting", "not so"],
        ["ExecutionAborted", "not so"]
      ]
      for (const [name, value] of rows) {
        e2b.fail(execute, raising(name, value))
        const { error, exitCode, outcome, sessionState } = yield* session.runCode("x")
        assert.deepInclude(error, { name, value })
        assert.strictEqual(outcome, "failed")
        exits.push([`${name} ${value}`, exitCode, sessionState])
      }
      assert.deepStrictEqual(exits, [
        ["ValueError no", 1, "kept"],
        ["SystemExit 3", 3, "kept"],
        ["SystemExit 256", 0, "kept"],
        ["SystemExit None", 0, "kept"],
        ["SystemExit ", 0, "kept"],
        ["SystemExit a word", 1, "kept"],
        ["ContextRestarting not so", 1, "kept"],
        ["ExecutionAborted not so", 1, "kept"]
      ])
    }))

  test("tells the truth about variables that are gone with their kernel", (session) =>
    Effect.gen(function* () {
      e2b.fail(
        execute,
        says(
          { type: "stdout", text: "out\n" },
          { type: "error", name: "ContextRestarting", value: "Context was restarted", traceback: "" }
        )
      )
      const run = yield* session.runCode("os._exit(1)")
      assert.deepInclude(run, { outcome: "failed", stdout: "out\n", sessionState: "lost" })
      assert.deepInclude(yield* reasonOf(session.runCode("x")), { _tag: "SessionLost", why: "crashed" })
      // Another context of the machine is not touched, nor are its files.
      const context = yield* session.createContext()
      e2b.fail(execute, says())
      assert.strictEqual((yield* session.runCode("x", { context })).outcome, "ok")
      yield* session.files.write("a", "1")
    }))

  test("takes a stream without its end for what it is: cut", (session) =>
    Effect.gen(function* () {
      for (const fault of [lines("end", { type: "result", text: "1", extra: {} }), lines("cut")]) {
        e2b.fail(execute, fault, says())
        assert.strictEqual((yield* reasonOf(session.runCode("x")))._tag, "ConnectionLost")
      }
      e2b.fail(execute, lines("end", "no JSON\n"), says())
      assert.strictEqual((yield* reasonOf(session.runCode("x")))._tag, "InvalidResponse")
      e2b.fail(execute, says({ type: "error", name: "WebSocketError", value: "lost", traceback: "" }), says())
      assert.strictEqual((yield* reasonOf(session.runCode("x")))._tag, "ConnectionLost")
      // The machine is there, and nothing was sent twice: each run, and a trial after each that might go on.
      e2b.fail(execute, says())
      assert.strictEqual((yield* session.runCode("last")).outcome, "ok")
      const codes = callsOf(e2b, execute).map(({ body }) => JSON.parse(body).code)
      assert.deepStrictEqual(codes.slice(-9), ["x", "pass", "x", "pass", "x", "pass", "x", "pass", "last"])
    }))

  test("keeps its own time, whatever keeps alive, and asks whether the context still obeys", (session) =>
    Effect.gen(function* () {
      e2b.fail(execute, lines("stall", { type: "stdout", text: "so far\n" }), says())
      const run = yield* session.runCode("x", { timeout: "600 millis" })
      assert.deepInclude(run, { outcome: "timedOut", exitCode: 124, stdout: "so far\n", sessionState: "kept" })
      assert.strictEqual(run.error?.name, "TimeoutError")
      assert.isTrue(callsOf(e2b, execute).at(-2)?.isAborted)
      // One that does not obey is dropped.
      e2b.fail(execute, lines("stall"), lines("stall"))
      const lost = yield* session.runCode("x", { timeout: "200 millis" })
      assert.deepInclude(lost, { outcome: "timedOut", sessionState: "lost" })
      assert.strictEqual(callsOf(e2b, "49999 DELETE /contexts/*").length, 1)
      assert.deepInclude(yield* reasonOf(session.runCode("x")), { _tag: "SessionLost", why: "killed" })
    }))

  test("lets nobody in before an interrupted run has ended", (session) =>
    Effect.gen(function* () {
      e2b.fail(execute, lines("stall", { type: "stdout", text: "started\n" }), says(), says())
      const started = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(session.streamCode("x"), () => Deferred.succeed(started, undefined))
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* session.runCode("y")).outcome, "ok")
      const codes = callsOf(e2b, execute).map(({ body }) => JSON.parse(body).code)
      assert.deepStrictEqual(codes.slice(-3), ["x", "pass", "y"])
      // The same when the session says so, and then the run has an answer.
      e2b.fail(execute, lines("stall", { type: "stdout", text: "on\n" }), says(), says())
      const begun = yield* Deferred.make<void>()
      const stopped = yield* session.streamCode("x").pipe(
        Stream.tap(() => Deferred.succeed(begun, undefined)),
        Stream.runLast,
        Effect.forkChild
      )
      yield* Deferred.await(begun)
      yield* session.interrupt
      const last = yield* Effect.fromOption(yield* Fiber.join(stopped))
      assert.deepInclude(last.type === "done" ? last.execution : {}, {
        outcome: "interrupted",
        exitCode: 130,
        stdout: "on\n",
        sessionState: "kept"
      })
      assert.strictEqual((yield* session.runCode("y")).outcome, "ok")
    }))

  test("says which sandbox is gone, and does not ask it again", (session) =>
    Effect.gen(function* () {
      e2b.fail(execute, lines("stall", { type: "stdout", text: "started\n" }))
      const started = yield* Deferred.make<void>()
      const run = yield* session.streamCode("x").pipe(
        Stream.tap(() => Deferred.succeed(started, undefined)),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* Deferred.await(started)
      e2b.expire(session.id)
      assert.deepInclude(yield* reasonOf(Fiber.join(run)), { _tag: "SessionLost", why: "gone" })
      const since = e2b.calls.length
      const all = [session.runCode("x"), session.files.read("a"), session.runCommand("true"), session.extend("1 hour")]
      for (const use of all)
        assert.strictEqual(
          (yield* Effect.flip(use as Effect.Effect<unknown, SandboxError.SandboxError>)).code,
          "SessionLost"
        )
      assert.deepStrictEqual(callsOf(e2b, execute, since), [])
      yield* session.reset
      e2b.fail(execute, says())
      assert.strictEqual((yield* session.runCode("x")).outcome, "ok")
    }))

  test("tells a sandbox that is gone from a port that is closed, in JSON and in pages", (session) =>
    Effect.gen(function* () {
      const closed = {
        sandboxId: session.id,
        message: "The sandbox is running but port is not open",
        port: 49999,
        code: 502
      }
      const page = (title: string): Fault => ({
        status: 502,
        headers: { "content-type": "text/html; charset=utf-8" },
        body: `<html lang="en"><head><title>${title}</title></head><body>${title}</body></html>`
      })
      // Not listening yet: nothing ran, so it is sent again.
      const since = e2b.calls.length
      e2b.fail(execute, refuses(502, closed), page("Closed Port Error"), says())
      assert.strictEqual((yield* session.runCode("x")).outcome, "ok")
      assert.strictEqual(callsOf(e2b, execute, since).length, 3)
      // A gateway that says nothing: nobody knows, so it is not.
      e2b.fail(execute, page("502 Bad Gateway"), says())
      const unknown = yield* reasonOf(session.runCode("x"))
      assert.deepInclude(unknown, { _tag: "ServerError", status: 502, description: "status 502" })
      e2b.fail(execute, page("Sandbox Not Found"))
      assert.deepInclude(yield* reasonOf(session.runCode("x")), { _tag: "SessionLost", why: "gone" })
    }))

  it.live("has no code to run in a template without the interpreter, and commands all the same", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const reason = yield* reasonOf(session.runCode("1"))
      assert.deepInclude(reason, { _tag: "Unavailable", transient: true })
      assert.include(reason.message, "49999")
      assert.strictEqual((yield* session.runCommand("echo yes")).stdout, "yes\n")
    }).pipe(
      Effect.scoped,
      running(() => e2b, { template: "base" })
    )
  )

  it.live("shows no key and no token in what went wrong", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      e2b.fail(
        "49983 GET /files",
        refuses(500, { code: 500, message: `token ${callsOf(e2b, "POST /v2/sandboxes").length}` })
      )
      yield* session.files.write("a", "1")
      const token = String(callsOf(e2b, "49983 POST /files").at(-1)?.headers["x-access-token"])
      e2b.fail("49983 GET /files", refuses(401, { code: 401, message: `wrong token ${token}` }))
      const first = yield* Effect.flip(session.files.read("a"))
      const second = yield* Effect.flip(session.files.read("a"))
      assert.strictEqual(second.code, "Unauthorized")
      for (const error of [first, second]) assert.notInclude(JSON.stringify(error) + error.message, token)
      assert.notInclude(JSON.stringify(session) + String(Redacted.make(token)), token)
    }).pipe(
      Effect.scoped,
      running(() => e2b, {})
    )
  )

  test(
    "cuts what is too much, and refuses code that is",
    (session) =>
      Effect.gen(function* () {
        const result = { type: "result", text: "r".repeat(300), extra: {} }
        e2b.fail(
          execute,
          says(
            { type: "stdout", text: "abc€" },
            { type: "stderr", text: "€€" },
            { type: "stdout", text: "late" },
            result,
            result
          )
        )
        const run = yield* session.runCode("x")
        assert.deepInclude(run, { stdout: "abc€", stderr: "€", truncated: true })
        assert.strictEqual(run.results.length, 1)
        const reason = yield* reasonOf(session.runCode("x".repeat(101)))
        assert.deepInclude(reason, { _tag: "LimitExceeded", limit: "codeBytes" })
      }),
    { limits: { outputBytes: 10, resultBytes: 500, codeBytes: 100 } }
  )

  it.live("refuses a variable that no shell would take, before anything is sent", () =>
    Effect.gen(function* () {
      const since = e2b.calls.length
      const wrong = yield* reasonOf(Effect.scoped(Sandbox.create({ env: { "A']=1;x['": "1" } })))
      assert.strictEqual(wrong._tag, "InvalidRequest")
      assert.strictEqual(e2b.calls.length, since)
    }).pipe(running(() => e2b, {}))
  )
})

describe("E2bSandbox, its commands and files", () => {
  test("kills a command whose caller has gone, and what it has started", (session) =>
    Effect.gen(function* () {
      const [box] = e2b.boxes()
      // A time that no other program of this machine sleeps.
      const nap = `${1000 + Math.random()}`
      const started = yield* Deferred.make<void>()
      const fiber = yield* session.streamCommand(`(sleep ${nap}; true) & echo started; sleep ${nap}; true`).pipe(
        Stream.runForEach(() => Deferred.succeed(started, undefined)),
        Effect.forkChild
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      yield* until(() => box?.envd.running() === 0)
      // A process that was killed may be seen for a moment longer.
      const count = `ps -eo args | grep -c '[s]leep ${nap}'`
      const left = yield* session.runCommand(
        `command -v ps > /dev/null || { echo 0; exit; }
         for try in $(seq 100); do n=$(${count}); [ "$n" = 0 ] && break; sleep 0.1; done; echo "$n"`
      )
      assert.strictEqual(left.stdout, "0\n")
      // And one that is stopped by its session.
      const stopped = yield* Effect.forkChild(session.runCommand("echo on; sleep 1000; true"), {
        startImmediately: true
      })
      yield* until(() => box?.envd.running() === 1)
      yield* session.interrupt
      assert.deepInclude(yield* Fiber.join(stopped), { outcome: "interrupted", exitCode: 130 })
      yield* until(() => box?.envd.running() === 0)
    }))

  test("gives the signal that ended a command, and says of a stream that breaks off that it knows nothing", (session) =>
    Effect.gen(function* () {
      const killed = yield* session.runCommand("kill -9 $$")
      assert.deepInclude(killed, { outcome: "failed", exitCode: 137 })
      const since = e2b.calls.length
      e2b.fail(start, { reset: "after" })
      assert.strictEqual((yield* reasonOf(session.runCommand("true")))._tag, "ConnectionLost")
      assert.strictEqual(callsOf(e2b, start, since).filter(({ body }) => body.includes('"true"')).length, 1)
      e2b.fail(start, {
        status: 200,
        headers: { "content-type": "application/connect+json" },
        body: "\u0002\u0000\u0000\u0000\u0002{}"
      })
      assert.strictEqual((yield* reasonOf(session.runCommand("true")))._tag, "ConnectionLost")
      const bad = yield* reasonOf(session.runCommand("true", { cwd: "/nowhere" }))
      assert.strictEqual(bad._tag, "InvalidRequest")
      assert.include(bad.message, "/nowhere")
    }))

  test("reads input that is larger than a message, and text that is cut inside its characters", (session) =>
    Effect.gen(function* () {
      const stdin = "привет 🚀\n".repeat(30_000)
      const run = yield* session.runCommand("tee copy | tail -n 2; wc -c < copy", { stdin })
      assert.strictEqual(run.stdout, `привет 🚀\nпривет 🚀\n${Buffer.byteLength(stdin)}\n`)
      const half = yield* session.runCommand("printf '\\xd0'; sleep 0.05; printf '\\xbf\\xd0'")
      assert.strictEqual(half.stdout, "п\ufffd")
    }))

  test("says that there is no space, and gets a page's refusal right", (session) =>
    Effect.gen(function* () {
      const { files } = session
      const full = yield* reasonOf(files.write("big", new Uint8Array(200_000)))
      assert.deepInclude(full, { _tag: "FileFailed", why: "noSpace" })
      // Nothing of it is left where it was to be, and what was there is still.
      yield* files.write("kept", "before")
      const streamed = yield* reasonOf(files.upload("kept", Stream.make(new Uint8Array(200_000))))
      assert.deepInclude(streamed, { _tag: "FileFailed", why: "noSpace" })
      assert.strictEqual(yield* files.readText("kept"), "before")
      assert.deepStrictEqual(
        (yield* files.list()).map(({ name }) => name).filter((name) => name.endsWith(".part")),
        []
      )
      e2b.fail("49983 GET /files", refuses(500, { code: 500, message: "error opening file: permission denied" }))
      assert.deepInclude(yield* reasonOf(files.read("a")), { _tag: "FileFailed", why: "denied" })
    }))
})

describe("E2bSandbox, on an old template", () => {
  it.live("writes files by forms, and says what it cannot do", () =>
    Effect.gen(function* () {
      const old = yield* Effect.acquireRelease(
        Effect.promise(() => startE2b({ envdVersion: "0.5.1" })),
        (fake) => Effect.promise(() => fake.close())
      )
      const program = Effect.gen(function* () {
        const { files, runCommand } = yield* Sandbox.create()
        const bytes = Uint8Array.from([0, 13, 10, 45, 45, 255])
        yield* files.write("a b/é.bin", bytes)
        assert.deepStrictEqual(yield* files.read("a b/é.bin"), bytes)
        yield* files.upload("up", Stream.make(bytes, bytes))
        assert.strictEqual((yield* files.read("up")).length, 12)
        assert.match(String(callsOf(old, "49983 POST /files")[0]?.headers["content-type"]), /^multipart\/form-data/)
        assert.strictEqual((yield* reasonOf(runCommand("cat", { stdin: "x" })))._tag, "Unsupported")
      })
      yield* within(old)(Effect.scoped(program))
    }).pipe(Effect.scoped)
  )
})

describe.skipIf(python === undefined)("E2bSandbox, with a real kernel", () => {
  it.live("carries every value of a variable, and goes on at once after a time that was over", () =>
    Effect.gen(function* () {
      const value = 'it\'s "q" \\n \\\n$HOME `id` 🚀'
      const session = yield* Sandbox.create({ env: { OWN: value, PLAIN: "p" } })
      const code = "import os, json\nprint(json.dumps([os.environ.get(n) for n in ('OWN', 'PLAIN', 'RUN')]))"
      const run = yield* session.runCode(code, { env: { RUN: value } })
      assert.deepStrictEqual(JSON.parse(run.stdout), [value, "p", value])
      assert.deepStrictEqual(JSON.parse((yield* session.runCode(code)).stdout), [value, "p", null])
      const command = yield* session.runCommand('printf %s "$OWN$PLAIN"')
      assert.strictEqual(command.stdout, `${value}p`)
      yield* session.runCode("kept = 1")
      const endless = yield* session.runCode("while True: pass", { timeout: "200 millis" })
      assert.deepInclude(endless, { outcome: "timedOut", sessionState: "kept" })
      assert.strictEqual((yield* session.runCode("kept")).results[0]?.["text/plain"], "1")
      const nowhere = yield* session.runCode("1", { cwd: "/nowhere" })
      assert.deepInclude(nowhere, { outcome: "failed", sessionState: "kept" })
      assert.strictEqual(nowhere.error?.name, "FileNotFoundError")
      const refused = yield* reasonOf(session.createContext({ cwd: "/nowhere" }))
      assert.deepInclude(refused, { _tag: "FileFailed", why: "notFound" })
    }).pipe(
      Effect.scoped,
      running(() => e2b, { grace: "2 seconds" })
    )
  )
})
