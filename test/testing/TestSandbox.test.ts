import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref, Stream } from "effect"
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
})
