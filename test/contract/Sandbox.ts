/**
 * What every Sandbox does, whatever is behind it. One suite for every implementation: give it a layer and the
 * languages that the layer runs.
 */
import { assert, layer as testLayer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream, type Layer } from "effect"
import { Sandbox, type SandboxError } from "holdfast/sandbox"

/** The same small programs in each language. */
const programs = {
  python: {
    answer: 'print("out")\nimport sys\nprint("err", file=sys.stderr)\n6 * 7',
    remember: "x = 20",
    recall: "x + 1",
    raise: 'def f():\n    raise ValueError("no good")\nf()',
    raised: { name: "ValueError", value: "no good" },
    broken: "x = (",
    loop: "while True: pass",
    swallow: "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    env: 'import os\nprint(os.environ.get("A"), os.environ.get("B"))',
    exit: "import sys\nsys.exit(3)",
    display: 'display("first")\ndisplay("second")\n"third"',
    unicode: 'print("привет 🚀")',
    forge:
      'import sys\nprint(\'{"t":"end","id":1,"ok":true,"exitCode":0}\')\nprint("exit code 0", file=sys.stderr)\nraise SystemExit(0)',
    quiet: "x = 1",
    ticks: "import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.05)",
    forever: 'print("started", flush=True)\nwhile True: pass',
    frames: "<cell "
  },
  javascript: {
    answer: 'console.log("out")\nconsole.error("err")\n6 * 7',
    remember: "let x = 20",
    recall: "x + 1",
    raise: 'function f() { throw new TypeError("no good") }\nf()',
    raised: { name: "TypeError", value: "no good" },
    broken: "x = (",
    loop: "while (true) {}",
    swallow: "for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }",
    env: "console.log(process.env.A, process.env.B)",
    exit: "process.exit(3)",
    display: 'display("first")\ndisplay("second")\n"third"',
    unicode: 'console.log("привет 🚀")',
    forge: 'console.log(\'{"t":"end","id":1,"ok":true,"exitCode":0}\')\nprocess.exit(0)',
    quiet: "let y = 1",
    ticks: "for (let i = 0; i < 3; i++) { console.log(i); await new Promise((r) => setTimeout(r, 50)) }",
    forever: 'console.log("started")\nawait new Promise((r) => setTimeout(r, 60))\nfor (;;) {}',
    frames: "<cell "
  }
} as const

/** Runs the suite. `layer` is built once for all of it. */
export const contract = (
  name: string,
  layer: Layer.Layer<Sandbox.Sandbox, SandboxError.SandboxError>,
  languages: ReadonlyArray<Sandbox.Language>
): void => {
  for (const language of languages)
    testLayer(layer, { excludeTestServices: true, timeout: "60 seconds" })(`${name}: ${language}`, (it) => {
      const program = programs[language]
      const create = (options: Sandbox.CreateOptions = {}) => Sandbox.create({ language, ...options })

      it.effect("gives output by stream, the last value and an exit code", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const run = yield* session.runCode(program.answer)
          assert.strictEqual(run.outcome, "ok")
          assert.strictEqual(run.stdout, "out\n")
          assert.strictEqual(run.stderr, "err\n")
          assert.strictEqual(run.results.length, 1)
          assert.strictEqual(run.results[0]?.["text/plain"], "42")
          assert.strictEqual(run.error, undefined)
          assert.strictEqual(run.exitCode, 0)
          assert.strictEqual(run.sessionState, "kept")
          assert.isFalse(run.truncated)
          assert.isAbove(run.memoryBytes, 0)
        })
      )

      it.effect("keeps variables between the runs of a session, and shows nothing for a statement", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const first = yield* session.runCode(program.remember)
          assert.deepStrictEqual(first.results, [])
          const second = yield* session.runCode(program.recall)
          assert.strictEqual(second.results[0]?.["text/plain"], "21")
        })
      )

      it.effect("hides one session from another", () =>
        Effect.gen(function* () {
          const [one, two] = yield* Effect.all([create(), create()], { concurrency: 2 })
          assert.notStrictEqual(one.id, two.id)
          yield* one.runCode(program.remember)
          const run = yield* two.runCode(program.recall)
          assert.strictEqual(run.outcome, "failed")
        })
      )

      it.effect("tells what a program raised, without frames of the sandbox", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const run = yield* session.runCode(program.raise)
          assert.strictEqual(run.outcome, "failed")
          assert.strictEqual(run.exitCode, 1)
          assert.strictEqual(run.error?.name, program.raised.name)
          assert.strictEqual(run.error?.value, program.raised.value)
          assert.include(run.error?.traceback ?? "", program.raised.value)
          assert.notInclude(run.error?.traceback ?? "", "holdfast")
          assert.notInclude(run.error?.traceback ?? "", "prelude")
        })
      )

      it.effect("tells a syntax error, and goes on after it", () =>
        Effect.gen(function* () {
          const session = yield* create()
          yield* session.runCode(program.remember)
          const broken = yield* session.runCode(program.broken)
          assert.strictEqual(broken.outcome, "failed")
          assert.strictEqual(broken.error?.name, "SyntaxError")
          assert.strictEqual((yield* session.runCode(program.recall)).outcome, "ok")
        })
      )

      for (const endless of ["loop", "swallow"] as const)
        it.effect(`ends an endless program at its timeout: ${endless}`, () =>
          Effect.gen(function* () {
            const session = yield* create()
            yield* session.runCode(program.remember)
            const run = yield* session.runCode(program[endless], { timeout: "300 millis" })
            assert.strictEqual(run.outcome, "timedOut")
            assert.strictEqual(run.exitCode, 124)
            assert.strictEqual(run.error?.name, "TimeoutError")
            const after = yield* Effect.result(session.runCode(program.recall))
            if (run.sessionState === "lost") assert.strictEqual(after._tag, "Failure")
            else assert.strictEqual(after._tag === "Success" && after.success.results[0]?.["text/plain"], "21")
          })
        )

      it.effect("gives the program's own exit code", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const run = yield* session.runCode(program.exit)
          assert.strictEqual(run.outcome, "failed")
          assert.strictEqual(run.exitCode, 3)
        })
      )

      it.effect("believes nothing that a program prints about its own end", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const run = yield* session.runCode(program.forge)
          assert.strictEqual(run.outcome, "failed")
          assert.include(run.stdout, '"ok":true')
        })
      )

      it.effect("lets the run's environment stand over the session's", () =>
        Effect.gen(function* () {
          const session = yield* create({ env: { A: "session", B: "session" } })
          const run = yield* session.runCode(program.env, { env: { B: "run" } })
          assert.strictEqual(run.stdout, "session run\n")
          assert.strictEqual((yield* session.runCode(program.env)).stdout, "session session\n")
        })
      )

      it.effect("shows what display() was given, then the last value", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const run = yield* session.runCode(program.display)
          assert.deepStrictEqual(
            run.results.map((result) => result["text/plain"]),
            ["'first'", "'second'", "'third'"]
          )
        })
      )

      it.effect("passes text of every script", () =>
        Effect.gen(function* () {
          const session = yield* create()
          assert.strictEqual((yield* session.runCode(program.unicode)).stdout, "привет 🚀\n")
        })
      )

      it.effect("streams output as it comes, and ends with the execution", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const events = yield* Stream.runCollect(session.streamCode(program.ticks))
          const texts = events.filter((event) => event.type === "stdout").map((event) => event.text)
          assert.isAbove(texts.length, 1)
          assert.strictEqual(texts.join(""), "0\n1\n2\n")
          const last = events.at(-1)
          assert.strictEqual(last?.type === "done" && last.execution.outcome, "ok")
          assert.strictEqual(last?.type === "done" && last.execution.stdout, "0\n1\n2\n")
        })
      )

      it.effect("runs one thing at a time", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const runs = yield* Effect.all([session.runCode(program.ticks), session.runCode(program.ticks)], {
            concurrency: 2
          })
          for (const run of runs) assert.strictEqual(run.stdout, "0\n1\n2\n")
        })
      )

      it.effect("stops the program when its effect is interrupted", () =>
        Effect.gen(function* () {
          const session = yield* create()
          const started = yield* Deferred.make<void>()
          const fiber = yield* session.streamCode(program.forever).pipe(
            Stream.runForEach(() => Deferred.succeed(started, undefined)),
            Effect.forkChild
          )
          yield* Deferred.await(started)
          yield* Fiber.interrupt(fiber)
          const after = yield* Effect.result(session.runCode(program.quiet))
          if (after._tag === "Failure") assert.strictEqual(after.failure.code, "SessionLost")
          else assert.strictEqual(after.success.outcome, "ok")
        })
      )

      it.effect("refuses a language that it does not run", () =>
        Effect.gen(function* () {
          // A caller without types may ask for anything.
          const stranger: { readonly language: Sandbox.Language } = JSON.parse('{"language":"cobol"}')
          const error = yield* Effect.flip(Effect.scoped(Sandbox.create(stranger)))
          assert.strictEqual(error.code, "UnsupportedLanguage")
        })
      )

      it.effect("runs one piece of code in a session of its own", () =>
        Effect.gen(function* () {
          assert.strictEqual((yield* Sandbox.runCode(program.answer, { language })).stdout, "out\n")
        })
      )
    })
}
