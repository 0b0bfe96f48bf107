/**
 * What every Sandbox does, whatever is behind it. One suite for every implementation: give it a layer, the languages
 * that the layer runs, and what it is able to do. What a layer is not able to do must fail with `Unsupported`.
 */
import { assert, layer as testLayer, type Vitest } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { Sandbox, type SandboxError } from "holdfast/sandbox"
import { programs, type Program } from "./sandboxPrograms.ts"

/** What a layer is able to do beside running code. */
export interface Abilities {
  /** `runCommand` and `streamCommand`. Default: `false`. */
  readonly shell?: boolean | undefined
  /** Default: `true`. */
  readonly files?: boolean | undefined
  /** Default: `true`. */
  readonly contexts?: boolean | undefined
  /** `session.interrupt`. Default: `true`. */
  readonly interrupt?: boolean | undefined
  /** Default: `true`. */
  readonly reset?: boolean | undefined
  /** `session.extend`, and a `lifetime` that ends. Default: `true`. */
  readonly lifetime?: boolean | undefined
  /** Kills or stops a program at its timeout and when its effect is interrupted. Default: `true`. */
  readonly stop?: boolean | undefined
  /** Output over a limit is cut. Default: `true`. */
  readonly cut?: boolean | undefined
  /** Files that one language writes are seen by another one of the session. Default: `true`. */
  readonly sharedFiles?: boolean | undefined
  /** A string is shown with its quotes. Default: `true`. */
  readonly quotes?: boolean | undefined
}

const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index)
const mebibyte = Uint8Array.from({ length: 1 << 20 }, (_, index) => (index * 31 + (index >> 8)) & 0xff)
const text = 'привет 🚀, "quoted"\n\\ and \u0000 nothing'

type Files = (path: string) => Effect.Effect<unknown, SandboxError.SandboxError>

/** Why a file operation failed. */
const why = (operation: ReturnType<Files>) =>
  Effect.map(Effect.flip(operation), (error) => (error.reason._tag === "FileFailed" ? error.reason.why : error.code))

const code = <R>(operation: Effect.Effect<unknown, SandboxError.SandboxError, R>) =>
  Effect.map(Effect.flip(operation), (error) => error.code)

const concat = (pieces: ReadonlyArray<Uint8Array>) => new Uint8Array(Buffer.concat(pieces))

/** Starts a program and waits for its first word. */
const begun = Effect.fnUntraced(function* (session: Sandbox.Session, program: string, options?: Sandbox.RunOptions) {
  const started = yield* Deferred.make<void>()
  const fiber = yield* session.streamCode(program, options).pipe(
    Stream.tap(() => Deferred.succeed(started, undefined)),
    Stream.runCollect,
    Effect.forkChild
  )
  yield* Effect.raceFirst(Deferred.await(started), Fiber.join(fiber))
  return Effect.map(Fiber.join(fiber), (events) => {
    const last = events.at(-1)
    return last?.type === "done" ? last.execution : assert.fail("the stream has no end")
  })
})

/** A session that several tests use, one after another: starting one takes longer than most tests. */
class Shared extends Context.Service<Shared, Sandbox.Session>()("test/contract/Sandbox/Shared") {}

/** The `it` of a suite with a sandbox and a shared session. */
type Its = Vitest.MethodsNonLive<Sandbox.Sandbox | Shared>

/** Runs the suite. `layer` is built once for all of it. */
export const contract = (
  name: string,
  layer: Layer.Layer<Sandbox.Sandbox, SandboxError.SandboxError>,
  languages: ReadonlyArray<keyof typeof programs>,
  abilities: Abilities = {}
): void => {
  const able = {
    shell: false,
    files: true,
    contexts: true,
    interrupt: true,
    reset: true,
    lifetime: true,
    stop: true,
    cut: true,
    sharedFiles: true,
    quotes: true,
    ...abilities
  }
  const runs = (it: Its, language: keyof typeof programs) => {
    const program: Program = programs[language]
    const create = (options: Sandbox.CreateOptions = {}) => Sandbox.create({ language, ...options })

    it.effect("gives output by stream, results, an exit code, and what a program raised", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        const run = yield* session.runCode(program.answer)
        assert.strictEqual(run.outcome, "ok", run.stderr)
        assert.strictEqual(run.stdout, "out\n")
        assert.strictEqual(run.stderr, "err\n")
        if (program.showsValues) assert.strictEqual(run.results[0]?.["text/plain"], "42")
        assert.strictEqual(run.results.length, program.showsValues ? 1 : 0)
        assert.strictEqual(run.error, undefined)
        assert.strictEqual(run.exitCode, 0)
        assert.strictEqual(run.sessionState, "kept")
        assert.isFalse(run.truncated)
        assert.isAtLeast(run.memoryBytes, 0)

        const raised = yield* session.runCode(program.raise)
        assert.strictEqual(raised.outcome, "failed")
        assert.strictEqual(raised.exitCode, program.raised.exitCode)
        assert.include(`${raised.error?.value}${raised.stderr}`, program.raised.value)
        if (program.raised.name !== undefined) {
          assert.strictEqual(raised.error?.name, program.raised.name)
          assert.strictEqual(raised.error?.value, program.raised.value)
          assert.include(raised.error?.traceback ?? "", program.raised.value)
          assert.notInclude(raised.error?.traceback ?? "", "holdfast")
          assert.notInclude(raised.error?.traceback ?? "", "prelude")
        }
        const exited = yield* session.runCode(program.exit)
        assert.strictEqual(exited.outcome, "failed")
        assert.strictEqual(exited.exitCode, 3)
      })
    )

    it.effect("keeps variables between runs, also after a syntax error, and shows nothing for a statement", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        assert.deepStrictEqual((yield* session.runCode(program.remember)).results, [])
        const broken = yield* session.runCode(program.broken)
        assert.strictEqual(broken.outcome, "failed")
        if (program.raised.name !== undefined) assert.strictEqual(broken.error?.name, "SyntaxError")
        assert.strictEqual((yield* session.runCode(program.recall)).stdout, "21\n")
        for (const cell of program.redeclare) yield* session.runCode(cell)
        assert.strictEqual((yield* session.runCode(program.redeclared)).stdout, "2\n")
      })
    )

    it.effect("hides the variables and files of one session from another", () =>
      Effect.gen(function* () {
        const one = yield* Shared
        const two = yield* create()
        assert.notStrictEqual(one.id, two.id)
        yield* one.runCode(program.remember)
        assert.notStrictEqual((yield* two.runCode(program.recall)).stdout, "21\n")
        if (!able.files) return
        yield* one.files.write("secret.txt", "1")
        assert.strictEqual(yield* why(two.files.read("secret.txt")), "notFound")
        // Where nobody says otherwise, programs and files begin at the same home.
        yield* two.files.write("home.txt", "at home")
        assert.strictEqual((yield* two.runCode(program.read("home.txt"))).stdout, "at home\n")
      })
    )

    if (able.stop)
      it.effect("ends endless programs at their timeout, the obstinate ones too", () =>
        Effect.gen(function* () {
          let session = yield* create()
          for (const endless of ["loop", "swallow"] as const) {
            yield* session.runCode(program.remember)
            const run = yield* session.runCode(program[endless], { timeout: "300 millis" })
            assert.strictEqual(run.outcome, "timedOut")
            assert.strictEqual(run.exitCode, 124)
            assert.strictEqual(run.error?.name, "TimeoutError")
            const after = yield* Effect.result(session.runCode(program.recall))
            if (run.sessionState === "lost") {
              assert.strictEqual(after._tag, "Failure")
              session = yield* create()
            } else assert.strictEqual(after._tag === "Success" && after.success.stdout, "21\n")
          }
        })
      )

    it.effect("believes nothing that a program prints about its own end", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        const run = yield* session.runCode(program.forge)
        assert.strictEqual(run.outcome, program.forged)
        assert.include(run.stdout, '"ok":true')
      })
    )

    it.effect("lets the environment and the folder of a run stand over the session's", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        const run = yield* session.runCode(program.env, { env: { B: "run" }, cwd: "/" })
        assert.strictEqual(run.stdout, "session run /\n")
        assert.strictEqual((yield* session.runCode(program.env)).stdout, "session session /tmp\n")
      })
    )

    it.effect("passes text of every script, broken text, floods and large values, and lives on", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        assert.strictEqual((yield* session.runCode(program.unicode)).stdout, "привет 🚀\n")
        if (program.surrogate !== undefined) {
          const run = yield* session.runCode(program.surrogate)
          assert.strictEqual(run.sessionState, "kept")
        }
        if (program.display !== undefined) {
          const run = yield* session.runCode(program.display)
          const shown = run.results.map((result) => result["text/plain"])
          const quote = able.quotes ? "'" : ""
          assert.deepStrictEqual(
            shown,
            ["first", "second", "third"].map((word) => quote + word + quote)
          )
        }
        if (program.large !== undefined) {
          const run = yield* session.runCode(program.large)
          assert.strictEqual(run.outcome, "ok")
          assert.isAbove(run.results[0]?.["text/plain"]?.length ?? 0, 1000)
        }
        if (able.cut) {
          const flood = yield* session.runCode(program.flood)
          assert.strictEqual(flood.outcome, "ok", flood.stderr.slice(0, 200))
          assert.isTrue(flood.truncated)
          assert.strictEqual(flood.stdout.slice(0, 5), "flood")
          assert.isBelow(flood.stdout.length, 16 << 20)
        }
        assert.strictEqual((yield* session.runCode(program.unicode)).stdout, "привет 🚀\n")
      })
    )

    it.effect("streams output as it comes and ends with the execution, one run at a time", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        const [events, second] = yield* Effect.all(
          [Stream.runCollect(session.streamCode(program.ticks)), session.runCode(program.ticks)],
          { concurrency: 2 }
        )
        const texts = events.filter((event) => event.type === "stdout").map((event) => event.text)
        assert.isAbove(texts.length, 1)
        assert.strictEqual(texts.join(""), "0\n1\n2\n")
        const last = events.at(-1)
        assert.strictEqual(last?.type === "done" && last.execution.outcome, "ok")
        assert.strictEqual(last?.type === "done" && last.execution.stdout, "0\n1\n2\n")
        assert.strictEqual(second.stdout, "0\n1\n2\n")
      })
    )

    const awaits = program.awaits
    if (awaits !== undefined)
      it.effect("awaits at the top level", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          for (const cell of awaits) {
            const run = yield* session.runCode(cell)
            assert.strictEqual(run.stdout, "3\n", run.error?.traceback)
          }
        })
      )

    if (able.stop)
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
          const after = yield* Effect.result(session.runCode(program.remember))
          if (after._tag === "Failure") assert.strictEqual(after.failure.code, "SessionLost")
          else assert.strictEqual(after.success.outcome, "ok")
        })
      )

    if (able.interrupt)
      it.effect("interrupts what runs, keeps its state, and goes on with what waits", () =>
        Effect.gen(function* () {
          const session = yield* create()
          yield* session.interrupt // nothing runs: nothing happens
          yield* session.runCode(program.remember)
          const ended = yield* begun(session, program.forever)
          const waiting = yield* Effect.forkChild(Effect.result(session.runCode(program.recall)), {
            startImmediately: true
          })
          yield* session.interrupt
          const execution = yield* ended
          assert.strictEqual(execution.outcome, "interrupted")
          assert.strictEqual(execution.exitCode, 130)
          assert.include(execution.stdout, "started")
          const next = yield* Fiber.join(waiting)
          if (execution.sessionState === "kept")
            assert.strictEqual(next._tag === "Success" && next.success.stdout, "21\n")
          else assert.strictEqual(next._tag === "Failure" && next.failure.code, "SessionLost")
        })
      )

    if (able.contexts)
      it.effect("keeps the variables of contexts apart, and their files together", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          const [one, two] = yield* Effect.all([session.createContext(), session.createContext({ cwd: "/tmp" })])
          assert.notStrictEqual(one.id, two.id)
          assert.strictEqual(one.language, language)
          assert.strictEqual(two.cwd, "/tmp")
          yield* session.runCode(program.remember)
          assert.notStrictEqual((yield* session.runCode(program.recall, { context: one })).stdout, "21\n")
          yield* session.runCode(program.remember, { context: one })
          assert.strictEqual((yield* session.runCode(program.recall, { context: one })).stdout, "21\n")
          assert.notStrictEqual((yield* session.runCode(program.recall, { context: two })).stdout, "21\n")
          assert.include((yield* session.runCode(program.env, { context: two })).stdout, "/tmp")
          if (!able.files) return
          yield* session.runCode(program.write("/tmp/shared.txt", "both"), { context: one })
          assert.strictEqual((yield* session.runCode(program.read("shared.txt"), { context: two })).stdout, "both\n")
        })
      )

    if (able.files)
      it.effect("reads the files that a program writes, and the reverse", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          yield* session.runCode(program.write("from-code.txt", "héllo"), { cwd: "/tmp" })
          assert.strictEqual(yield* session.files.readText("/tmp/from-code.txt"), "héllo")
          yield* session.files.write("/tmp/to code/text.txt", "wörld")
          assert.strictEqual((yield* session.runCode(program.read("to code/text.txt"))).stdout, "wörld\n")
          yield* session.files.write("/tmp/bytes", everyByte)
          if (program.sum === undefined) return
          const sum = yield* session.runCode(program.sum("/tmp/bytes"))
          assert.strictEqual(sum.stdout, "256 32640\n", sum.error?.traceback)
        })
      )

    if (able.reset)
      it.effect("resets to a fresh machine under the same id", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          const id = session.id
          yield* session.runCode(program.remember)
          if (able.files) yield* session.files.write("kept.txt", "1")
          yield* session.reset
          assert.strictEqual(session.id, id)
          assert.notStrictEqual((yield* session.runCode(program.recall)).stdout, "21\n")
          if (able.files) assert.strictEqual(yield* why(session.files.read("kept.txt")), "notFound")
          yield* session.runCode(program.remember)
          assert.strictEqual((yield* session.runCode(program.recall)).stdout, "21\n")
        })
      )
  }

  const machine = (it: Its, language: keyof typeof programs) => {
    const program: Program = programs[language]
    const create = (options: Sandbox.CreateOptions = {}) => Sandbox.create({ language, ...options })

    it.effect("refuses a language that it does not run", () =>
      Effect.gen(function* () {
        // A caller without types may ask for anything.
        const stranger: { readonly language: Sandbox.Language } = JSON.parse('{"language":"cobol"}')
        assert.strictEqual(yield* code(Sandbox.create(stranger)), "UnsupportedLanguage")
        const session = yield* Shared
        assert.includeMembers([...session.languages], [...languages])
        assert.strictEqual(yield* code(session.runCode("1", stranger)), "UnsupportedLanguage")
        if (able.contexts) assert.strictEqual(yield* code(session.createContext(stranger)), "UnsupportedLanguage")
      })
    )

    it.effect("says Unsupported where it is not able to", () =>
      Effect.gen(function* () {
        const session = yield* Shared
        const { files } = session
        assert.strictEqual(session.hasShell, able.shell)
        const unable: Array<Effect.Effect<unknown, SandboxError.SandboxError>> = []
        if (!able.shell) unable.push(session.runCommand("true"), Stream.runDrain(session.streamCommand("true")))
        if (!able.contexts) unable.push(session.createContext())
        if (!able.interrupt) unable.push(session.interrupt)
        if (!able.reset) unable.push(session.reset)
        if (!able.lifetime) unable.push(session.extend("1 hour"))
        if (!able.files)
          unable.push(
            files.read("a"),
            files.readText("a"),
            files.write("a", ""),
            files.list(),
            files.remove("a"),
            files.upload("a", Stream.empty),
            Stream.runDrain(files.download("a"))
          )
        for (const operation of unable) assert.strictEqual(yield* code(operation), "Unsupported")
        assert.strictEqual((yield* session.runCode(program.answer)).stdout, "out\n")
      })
    )

    if (able.files) {
      it.effect("keeps files as they are: text, bytes, large ones, in folders", () =>
        Effect.gen(function* () {
          const { files } = yield* Shared
          yield* files.write("text.txt", text)
          assert.strictEqual(yield* files.readText("text.txt"), text)
          yield* files.write("text.txt", "short") // over what was there
          assert.strictEqual(yield* files.readText("text.txt"), "short")
          yield* files.write("empty", "")
          assert.strictEqual((yield* files.read("empty")).length, 0)
          yield* files.write("/tmp/deep/er/bytes", everyByte)
          assert.deepStrictEqual(yield* files.read("/tmp/deep/er/bytes"), everyByte)
          yield* files.write("/tmp/deep/large", mebibyte)
          assert.isTrue(Buffer.from(yield* files.read("/tmp/deep/large")).equals(mebibyte))
          const listed = yield* files.list("/tmp/deep")
          assert.deepStrictEqual(
            listed.map(({ name, path, type, bytes }) => ({ name, path, type, bytes })),
            [
              { name: "er", path: "/tmp/deep/er", type: "folder", bytes: 0 },
              { name: "large", path: "/tmp/deep/large", type: "file", bytes: 1 << 20 }
            ]
          )
          const home = yield* files.list()
          assert.includeMembers(
            home.map((file) => file.name),
            ["empty", "text.txt"]
          )
          // A path that is not absolute is meant from the home.
          const path = home.find((file) => file.name === "empty")?.path ?? ""
          assert.match(path, /^\/.*\/empty$/)
          yield* files.remove(path)
          assert.strictEqual(yield* why(files.read("empty")), "notFound")
        })
      )

      it.effect("says why a file cannot be had", () =>
        Effect.gen(function* () {
          const { files } = yield* Shared
          yield* files.write("/tmp/folder/file", "x")
          assert.strictEqual(yield* why(files.read("/tmp/none")), "notFound")
          assert.strictEqual(yield* why(files.readText("/tmp/none")), "notFound")
          assert.strictEqual(yield* why(files.list("/tmp/none")), "notFound")
          assert.strictEqual(yield* why(files.remove("/tmp/none")), "notFound")
          assert.strictEqual(yield* why(Stream.runDrain(files.download("/tmp/none"))), "notFound")
          assert.strictEqual(yield* why(files.read("/tmp/folder")), "isFolder")
          assert.strictEqual(yield* why(files.write("/tmp/folder", "x")), "isFolder")
          assert.strictEqual(yield* why(files.list("/tmp/folder/file")), "notFolder")
          assert.strictEqual(yield* why(files.write("/tmp/folder/file/below", "x")), "notFolder")
          yield* files.remove("/tmp/folder") // with all that it holds
          assert.strictEqual(yield* why(files.read("/tmp/folder/file")), "notFound")
        })
      )

      it.effect("moves files as streams, and leaves none that came only half-way", () =>
        Effect.gen(function* () {
          const { files } = yield* Shared
          yield* files.upload("up/whole", Stream.fromIterable([everyByte, mebibyte, new Uint8Array(0), everyByte]))
          const pieces = yield* Stream.runCollect(files.download("up/whole"))
          assert.isTrue(pieces.every((piece) => piece.length > 0 && piece.length <= 64 * 1024))
          assert.deepStrictEqual(concat(pieces), concat([everyByte, mebibyte, everyByte]))
          yield* files.upload("up/copy", files.download("up/whole"))
          assert.strictEqual((yield* files.read("up/copy")).length, 512 + (1 << 20))
          yield* files.upload("up/none", Stream.empty)
          assert.strictEqual((yield* files.read("up/none")).length, 0)
          // Soon: a server hears of the end after its client, and the promise client rejects at once and tidies up after.
          const soon = { times: 100, schedule: Schedule.spaced("50 millis") }
          const gone = (path: string) => Effect.retry(why(files.read(path)), soon)
          const broken = Stream.concat(Stream.make(mebibyte), Stream.fail("broken"))
          assert.strictEqual(yield* Effect.flip(files.upload("up/half", broken)), "broken")
          assert.strictEqual(yield* gone("up/half"), "notFound")
          // Nor one whose upload was interrupted.
          const asked = yield* Deferred.make<void>()
          const slow = Stream.concat(
            Stream.make(everyByte),
            Stream.fromEffect(Effect.andThen(Deferred.succeed(asked, undefined), Effect.never))
          )
          const fiber = yield* Effect.forkChild(files.upload("up/slow", slow))
          yield* Deferred.await(asked)
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(yield* gone("up/slow"), "notFound")
        })
      )
    }

    const other = languages.find((item) => item !== language)
    if (able.files && able.sharedFiles && other !== undefined)
      it.effect("shows the files of one language to another", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          const second = programs[other]
          yield* session.files.write("/tmp/one/first.txt", "given")
          yield* session.runCode(program.write("/tmp/one/second.txt", "first"))
          const options = { language: other }
          assert.strictEqual((yield* session.runCode(second.read("/tmp/one/first.txt"), options)).stdout, "given\n")
          assert.strictEqual((yield* session.runCode(second.read("/tmp/one/second.txt"), options)).stdout, "first\n")
          yield* session.runCode(second.write("/tmp/one/second.txt", "changed"), options)
          yield* session.runCode(second.write("/tmp/third.txt", "new"), options)
          assert.strictEqual((yield* session.runCode(program.read("/tmp/one/second.txt"))).stdout, "changed\n")
          assert.strictEqual((yield* session.runCode(program.read("/tmp/third.txt"))).stdout, "new\n")
          yield* session.files.remove("/tmp/one/first.txt")
          assert.strictEqual((yield* session.runCode(second.read("/tmp/one/first.txt"), options)).outcome, "failed")
        })
      )

    if (able.lifetime && able.stop)
      it.effect("ends with its lifetime, unless that is set anew", () =>
        Effect.gen(function* () {
          const [short, extended] = yield* Effect.all([create({ lifetime: "1 second" }), create()], { concurrency: 2 })
          yield* extended.extend("1 second")
          yield* extended.extend("1 hour")
          const error = yield* Effect.flip(short.runCode(program.loop))
          assert.strictEqual(error.reason._tag === "SessionLost" && error.reason.why, "expired")
          const after = yield* Effect.flip(short.runCode(program.answer))
          assert.strictEqual(after.reason._tag === "SessionLost" && after.reason.why, "expired")
          assert.strictEqual(yield* code(short.extend("1 hour")), "SessionLost")
          assert.strictEqual((yield* extended.runCode(program.answer)).stdout, "out\n")
          if (!able.reset) return
          yield* short.reset
          yield* short.extend("1 hour")
          assert.strictEqual((yield* short.runCode(program.answer)).stdout, "out\n")
        })
      )

    if (able.shell) {
      it.effect("runs commands: output, exit code, input, environment, folder", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          const run = yield* session.runCommand('echo out; echo err >&2; echo "$A $B"; pwd; exit 3', {
            env: { B: "command" }
          })
          assert.deepStrictEqual(
            [run.outcome, run.exitCode, run.stdout, run.stderr, run.truncated],
            ["failed", 3, "out\nsession command\n/tmp\n", "err\n", false]
          )
          const input = yield* session.runCommand("cat; pwd", { stdin: "in\n", cwd: "/" })
          assert.strictEqual(input.stdout, "in\n/\n")
          assert.strictEqual(input.outcome, "ok")
          // Without input, the end of it: nothing waits.
          assert.strictEqual((yield* session.runCommand("cat; echo end")).stdout, "end\n")
          const bytes = yield* session.runCommand("wc -c", { stdin: everyByte })
          assert.strictEqual(bytes.stdout.trim(), "256")
        })
      )

      it.effect("streams a command's output, ends it at its timeout, and lives on", () =>
        Effect.gen(function* () {
          const session = yield* Shared
          const events = yield* Stream.runCollect(session.streamCommand("echo one; sleep 0.1; echo two"))
          const texts = events.filter((event) => event.type === "stdout").map((event) => event.text)
          assert.strictEqual(texts.join(""), "one\ntwo\n")
          assert.isAbove(texts.length, 1)
          const last = events.at(-1)
          assert.strictEqual(last?.type === "done" && last.result.stdout, "one\ntwo\n")
          const late = yield* session.runCommand("echo begun; sleep 1000", { timeout: "300 millis" })
          assert.deepStrictEqual([late.outcome, late.exitCode, late.stdout], ["timedOut", 124, "begun\n"])
          assert.strictEqual((yield* session.runCommand("echo on")).stdout, "on\n")
          if (!able.files) return
          yield* session.runCommand("printf made > by-command.txt", { cwd: "/tmp" })
          assert.strictEqual(yield* session.files.readText("/tmp/by-command.txt"), "made")
        })
      )
    }

    it.effect("runs one piece of code in a session of its own", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* Sandbox.runCode(program.answer, { language })).stdout, "out\n")
      })
    )
  }

  testLayer(layer, { excludeTestServices: true, timeout: "60 seconds" })(name, (it) => {
    const shared = (language: Sandbox.Language) =>
      Layer.effect(Shared, Sandbox.create({ language, env: { A: "session", B: "session" }, cwd: "/tmp" }))
    for (const language of languages)
      it.layer(shared(language), { timeout: "60 seconds" })(language, (it) => runs(it, language))
    const [first = "python"] = languages
    it.layer(shared(first), { timeout: "60 seconds" })("machine", (it) => machine(it, first))
  })
}
