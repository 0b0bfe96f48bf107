import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Sandbox, SandboxError } from "holdfast/sandbox"
import { TestSandbox } from "holdfast/testing"

describe("TestSandbox", () => {
  it.effect("answers with a scripted output and remembers the run", () =>
    Effect.gen(function* () {
      const execution = yield* Sandbox.runCode("print(42)", { language: "javascript", timeout: "5 seconds" })
      assert.deepInclude(execution, { outcome: "ok", stdout: "42\n", exitCode: 0 })
      const [run] = yield* Ref.get((yield* TestSandbox.Journal).runs)
      assert.deepInclude(run, { code: "print(42)", language: "javascript", sessionId: "test-1" })
      assert.strictEqual(run?.options.timeout, "5 seconds")
    }).pipe(Effect.provide(TestSandbox.layer("42\n")))
  )

  it.effect("counts the sessions that are open", () =>
    Effect.gen(function* () {
      const { created, open } = yield* TestSandbox.Journal
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Sandbox.create()
          yield* Sandbox.create()
          assert.strictEqual(yield* Ref.get(open), 2)
        })
      )
      assert.strictEqual(yield* Ref.get(open), 0)
      assert.strictEqual(yield* Ref.get(created), 2)
    }).pipe(Effect.provide(TestSandbox.layer("")))
  )

  it.effect("replies in sequence, a failing program and a lost session among them", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const failed = yield* session.runCode("1 / 0")
      assert.deepInclude(failed, { outcome: "failed", exitCode: 1 })
      assert.strictEqual(failed.error?.name, "ZeroDivisionError")
      assert.strictEqual((yield* Effect.flip(session.runCode("x"))).code, "SessionLost")
      assert.include((yield* Effect.flip(session.runCode("x"))).message, "TestSandbox: call 3 has no reply")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        TestSandbox.layer([
          TestSandbox.raised("ZeroDivisionError", "division by zero"),
          Effect.fail(TestSandbox.failure(new SandboxError.SessionLost({ why: "crashed", description: "gone" })))
        ])
      )
    )
  )

  it.effect("streams the output of a reply and its end", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const events = yield* Stream.runCollect(session.streamCode("x"))
      assert.deepStrictEqual(
        events.map(({ type }) => type),
        ["stdout", "stderr", "result", "done"]
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(TestSandbox.layer((run) => ({ stdout: run.code, stderr: "e", results: [{ "text/plain": "1" }] })))
    )
  )

  it("runs by what the code has in it, shows the nearest of what does not, and keeps its runs as an array", async () => {
    const { layer, runs } = TestSandbox.make([
      { when: "import numpy", reply: TestSandbox.raised("ModuleNotFoundError", "numpy") },
      { when: { language: "javascript" }, reply: "3" }
    ])
    const test = Effect.gen(function* () {
      assert.strictEqual((yield* Sandbox.runCode("import numpy as np")).outcome, "failed")
      assert.strictEqual((yield* Sandbox.runCode("1 + 2", { language: "javascript" })).stdout, "3")
      const error = yield* Effect.flip(Sandbox.runCode("import numbers"))
      assert.strictEqual(error.code, "SessionLost")
      assert.include(error.message, 'number 1, "import numpy": after "import num" comes "bers" and not "py"')
    })
    await Effect.runPromise(Effect.provide(test, layer))
    assert.deepStrictEqual(
      runs.map(({ code }) => code),
      ["import numpy as np", "1 + 2", "import numbers"]
    )
  })

  const why = ({ reason }: SandboxError.SandboxError) => (reason._tag === "SessionLost" ? reason.why : reason._tag)

  it.effect("answers commands by a script of their own, and has no shell without one", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ env: { A: "1" }, cwd: "/tmp" })
      assert.isTrue(session.hasShell)
      assert.deepInclude(yield* session.runCommand("pwd", { env: { B: "2" } }), { outcome: "ok", stdout: "/tmp 1 2" })
      assert.deepInclude(yield* session.runCommand("exit 3"), { outcome: "failed", exitCode: 3 })
      const { commands } = yield* TestSandbox.Journal
      assert.deepStrictEqual(yield* Ref.get(commands), [
        { sessionId: "test-1", command: "pwd", options: { env: { B: "2" } } },
        { sessionId: "test-1", command: "exit 3", options: {} }
      ])
      const shellless = Effect.flatMap(Sandbox.create(), (session) => session.runCommand("pwd"))
      assert.strictEqual((yield* Effect.flip(Effect.provide(shellless, TestSandbox.layer("")))).code, "Unsupported")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        TestSandbox.layer("", {
          commands: [
            { when: "pwd", reply: ({ cwd, env }) => `${cwd} ${env.A} ${env.B}` },
            { when: /^exit/, reply: { outcome: "failed", exitCode: 3 } }
          ]
        })
      )
    )
  )

  it.effect("lets a script print and use files before it replies", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create()
      const events = yield* Stream.runCollect(session.streamCode("plot()"))
      assert.deepStrictEqual(
        events.map((event) => (event.type === "stdout" ? event.text : event.type)),
        ["reading 3\n", "done\n", "done"]
      )
      const last = events.at(-1)
      assert.strictEqual(last?.type === "done" && last.execution.stdout, "reading 3\ndone\n")
      assert.strictEqual(yield* session.files.readText("out/plot.svg"), "<svg/>")
      yield* session.reset
      assert.strictEqual((yield* Effect.flip(session.files.read("out/plot.svg"))).code, "FileFailed")
      assert.strictEqual(yield* session.files.readText("/data.csv"), "1,2")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        TestSandbox.layer(
          ({ files, print }) =>
            Effect.gen(function* () {
              yield* print(`reading ${(yield* files.read("/data.csv")).length}\n`)
              yield* files.write("out/plot.svg", "<svg/>")
              return "done\n"
            }),
          { files: { "/data.csv": "1,2" } }
        )
      )
    )
  )

  it.effect("ends what waits: by its timeout, an interrupt, and the session's lifetime", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ lifetime: "1 hour" })
      const begin = Effect.forkChild({ startImmediately: true })
      const late = yield* begin(session.runCode("x", { timeout: "5 seconds" }))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* Fiber.join(late), { outcome: "timedOut", exitCode: 124, sessionState: "kept" })

      const stopped = yield* begin(session.runCode("x"))
      const waiting = yield* begin(session.runCode("x"))
      yield* session.interrupt
      assert.deepInclude(yield* Fiber.join(stopped), { outcome: "interrupted", exitCode: 130 })
      // What waited has its turn now.
      yield* TestClock.adjust(0)
      assert.isUndefined(waiting.pollUnsafe())
      yield* session.interrupt
      assert.strictEqual((yield* Fiber.join(waiting)).outcome, "interrupted")

      yield* session.extend("10 seconds")
      const lost = yield* begin(Effect.flip(session.runCode("x")))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(why(yield* Fiber.join(lost)), "expired")
      assert.strictEqual(why(yield* Effect.flip(session.files.list())), "expired")
      yield* session.reset
      assert.deepStrictEqual(yield* session.files.list(), [])

      const journal = yield* TestSandbox.Journal
      assert.deepStrictEqual(yield* Ref.get(journal.interrupts), ["test-1", "test-1"])
      assert.deepStrictEqual(yield* Ref.get(journal.resets), ["test-1"])
      assert.deepStrictEqual(yield* Ref.get(journal.extensions), [
        { sessionId: "test-1", lifetime: Duration.seconds(10) }
      ])
    }).pipe(Effect.scoped, Effect.provide(TestSandbox.layer(Effect.never)))
  )

  it.effect("runs in contexts, which it remembers, and in its languages alone", () =>
    Effect.gen(function* () {
      const session = yield* Sandbox.create({ language: "r", cwd: "/work" })
      const context = yield* session.createContext()
      assert.deepStrictEqual(context, { id: "test-1-context-1", language: "r", cwd: "/work" })
      assert.strictEqual((yield* session.runCode("x", { context })).stdout, "test-1-context-1 /work")
      const { contexts } = yield* TestSandbox.Journal
      assert.deepStrictEqual(yield* Ref.get(contexts), [{ ...context, sessionId: "test-1" }])
      assert.strictEqual((yield* Effect.flip(session.runCode("x", { language: "java" }))).code, "UnsupportedLanguage")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Sandbox.create()))).code, "UnsupportedLanguage")
    }).pipe(
      Effect.scoped,
      Effect.provide(TestSandbox.layer(({ cwd, options }) => `${options.context?.id} ${cwd}`, { languages: ["r"] }))
    )
  )
})
