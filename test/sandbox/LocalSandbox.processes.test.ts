import { execFileSync, spawn } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"
import * as Child from "../../src/sandbox/internal/child.ts"
import * as Engines from "../../src/sandbox/internal/engines.ts"
import * as Wall from "../../src/sandbox/internal/wall.ts"
import * as Warm from "../../src/sandbox/internal/warm.ts"
import { descriptors, engines, exists, guests, temporaryFiles } from "./processes.ts"

const cold = { pool: { python: 0 }, maxSessions: 8 }

const live = (
  name: string,
  body: Effect.Effect<void, unknown, Sandbox.Sandbox>,
  options: LocalSandbox.Options = cold
) => it.live(name, () => body.pipe(Effect.provide(LocalSandbox.layer(options))), 60_000)

/** Starts an endless program and waits for its first word, so that the guest is in the middle of it. */
const started = Effect.fnUntraced(function* (session: Sandbox.Session, code: string) {
  const begun = yield* Deferred.make<void>()
  const running = yield* session.streamCode(code).pipe(
    Stream.tap(() => Deferred.succeed(begun, undefined)),
    Stream.runDrain,
    Effect.forkChild
  )
  yield* Deferred.await(begun)
  return running
})

const busy = 'console.log("begun"); await new Promise((r) => setTimeout(r, 60)); for (;;) {}'

describe("LocalSandbox processes", () => {
  live(
    "are gone when the scope closes: after success, failure, interruption and in the middle of a run",
    Effect.gen(function* () {
      const pids: Array<number> = []
      const use = (then: (session: Sandbox.Session) => Effect.Effect<unknown, unknown>) =>
        Effect.gen(function* () {
          const session = yield* Sandbox.create({ language: "javascript" })
          pids.push(...engines())
          return yield* then(session)
        }).pipe(Effect.scoped, Effect.exit)
      yield* use((session) => session.runCode("1"))
      yield* use(() => Effect.fail("no"))
      yield* use((session) => Effect.andThen(started(session, busy), Effect.interrupt))
      yield* use((session) => started(session, busy))
      assert.strictEqual(new Set(pids).size, 4)
      assert.deepStrictEqual(pids.filter(exists), [])
      assert.deepStrictEqual(guests(), [])
    })
  )

  it.live("are gone when the layer closes, the warm ones too", () =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const context = yield* Layer.buildWithScope(LocalSandbox.layer(), scope)
      yield* Sandbox.runCode("1").pipe(Effect.provide(context))
    }).pipe(Effect.scoped, Effect.andThen(Effect.sync(() => assert.deepStrictEqual(guests(), []))))
  )

  it.live("that are warm and that nobody takes in time are killed", () =>
    Effect.gen(function* () {
      const wall = yield* Wall.find("off")
      const { engine, variant, folders } = yield* Engines.find("javascript")
      const limit = 1 << 26
      const boot = {
        language: "javascript" as const,
        engine,
        variant,
        snapshot: "",
        snapshotOnly: false,
        env: {},
        memoryBytes: limit,
        fileBytes: limit,
        fileCount: 10,
        outputBytes: limit,
        resultBytes: limit
      }
      const over = yield* Deferred.make<void>()
      let boots = 0
      const booted = Effect.orDie(Child.boot({ wall, readable: folders, boot }, new Set())).pipe(
        Effect.tap((child) =>
          Effect.sync(() => {
            // The first is the one that was asked for, the second the warm one.
            if (++boots === 2) child.onOver(() => Deferred.doneUnsafe(over, Effect.void))
          })
        )
      )
      const { take } = yield* Warm.make(booted, 1, Duration.millis(1))
      const child = yield* take
      yield* Deferred.await(over)
      assert.isTrue(child.isAlive)
      yield* child.kill("closed", "the test is over")
      assert.strictEqual(boots, 2)
    })
  )

  live(
    "that are killed in the middle of a run lose the session, and leave nothing",
    Effect.gen(function* () {
      yield* Effect.scoped(Sandbox.create({ language: "javascript" }))
      const before = descriptors()
      for (let round = 0; round < 3; round++) {
        const error = yield* Effect.gen(function* () {
          const session = yield* Sandbox.create({ language: "javascript" })
          const [pid] = engines()
          assert.isDefined(pid)
          const running = yield* started(session, 'for (let i = 0; ; i++) console.log("x".repeat(i % 5000))')
          process.kill(pid ?? 0, "SIGKILL")
          return yield* Effect.flip(Fiber.join(running))
        }).pipe(Effect.scoped)
        assert.strictEqual(error.reason._tag === "SessionLost" && error.reason.why, "killed")
      }
      assert.deepStrictEqual(guests(), [])
      assert.deepStrictEqual(temporaryFiles(), [])
      assert.isAtMost(descriptors(), before + 2)
    })
  )

  live(
    "are never more than maxSessions; who does not fit in the queue is refused",
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Sandbox.create({ language: "javascript" })
          const waiting = yield* Effect.forkChild(Effect.scoped(Sandbox.create({ language: "javascript" })))
          yield* Effect.yieldNow
          const refused = yield* Effect.flip(Effect.scoped(Sandbox.create({ language: "javascript" })))
          assert.strictEqual(refused.code, "LimitExceeded")
          assert.strictEqual(engines().length, 1)
          yield* Fiber.interrupt(waiting)
          const late = yield* Effect.flip(
            Effect.scoped(Sandbox.create({ language: "javascript", createTimeout: "50 millis" }))
          )
          assert.strictEqual(late.code, "Unavailable")
          assert.isTrue(late.isRetryable)
        })
      )
      assert.strictEqual((yield* Sandbox.runCode("1", { language: "javascript" })).outcome, "ok")
    }),
    { maxSessions: 1, maxQueue: 1 }
  )

  it("of a parent that was killed end by themselves", async () => {
    // A busy guest must notice; an idle one reads the end of its stdin.
    const script = `
      import { Effect } from "effect"
      import { LocalSandbox, Sandbox } from "holdfast/sandbox"
      const program = Effect.gen(function* () {
        const idle = yield* Sandbox.create({ language: "javascript" })
        const busy = yield* Sandbox.create({ language: "javascript" })
        yield* Effect.forkChild(busy.runCode("for (;;) {}", { timeout: "10 minutes" }))
        yield* Effect.sleep("50 millis")
        console.log("ready")
        yield* Effect.sleep("10 minutes")
      })
      await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(LocalSandbox.layer())))`
    const file = join(process.cwd(), "test", "sandbox", `.parent-${process.pid}.ts`)
    writeFileSync(file, script)
    try {
      const parent = spawn(process.execPath, ["--conditions=holdfast-source", "--no-warnings", file], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      await new Promise((resolve) => parent.stdout.once("data", resolve))
      const pids = engines()
      assert.strictEqual(pids.length, 2)
      const closed = new Promise((resolve) => parent.once("close", resolve))
      parent.kill("SIGKILL")
      await closed
      // They are no children of ours: look until they are gone; the test's own timeout is the bound.
      while (pids.some(exists)) await new Promise((resolve) => setImmediate(resolve))
    } finally {
      rmSync(file, { force: true })
    }
  })

  it("of a program that forgot its session do not keep it alive, and go with it", () => {
    const script = `
      import { Effect, Layer, Scope } from "effect"
      import { LocalSandbox, Sandbox } from "holdfast/sandbox"
      const scope = Scope.makeUnsafe()
      const program = Effect.gen(function* () {
        const session = yield* Sandbox.create({ language: "javascript" })
        yield* session.runCode("1")
      })
      const context = await Effect.runPromise(Layer.buildWithScope(LocalSandbox.layer(), scope))
      await Effect.runPromise(program.pipe(Scope.provide(scope), Effect.provide(context)))`
    const file = join(process.cwd(), "test", "sandbox", `.forgetful-${process.pid}.ts`)
    writeFileSync(file, script)
    try {
      execFileSync(process.execPath, ["--conditions=holdfast-source", "--no-warnings", file], { timeout: 25_000 })
      assert.deepStrictEqual(guests(), [])
    } finally {
      rmSync(file, { force: true })
    }
  })
})

describe("LocalSandbox walls", () => {
  it.live("fails a create that requires a wall where there is none", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.scoped(Sandbox.create()).pipe(
        Effect.map((session) => session.isolation.os),
        Effect.provide(LocalSandbox.layer({ ...cold, os: "require" })),
        Effect.exit
      )
      if (Exit.isSuccess(exit)) assert.strictEqual(exit.value, "bubblewrap")
      else assert.include(String(exit.cause), "bubblewrap")
    })
  )
})

describe("LocalSandbox without its engines", () => {
  it("says in one line what to install", () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-bare-"))
    cpSync("src", join(folder, "src"), { recursive: true })
    mkdirSync(join(folder, "node_modules"))
    symlinkSync(join(process.cwd(), "node_modules", "effect"), join(folder, "node_modules", "effect"))
    writeFileSync(join(folder, "package.json"), '{"type":"module"}')
    writeFileSync(
      join(folder, "try.ts"),
      `import * as Effect from "effect/Effect"
      import { LocalSandbox, Sandbox } from "./src/sandbox/index.ts"
      for (const language of ["python", "javascript"] as const) {
        const error = await Effect.runPromise(
          Effect.flip(Sandbox.runCode("1", { language })).pipe(Effect.provide(LocalSandbox.layer()))
        )
        console.log(error.code, error.message)
      }`
    )
    const said = execFileSync(process.execPath, ["--no-warnings", join(folder, "try.ts")], { encoding: "utf8" })
    rmSync(folder, { recursive: true })
    assert.deepStrictEqual(said.trim().split("\n"), [
      "Unavailable sandbox local: a package is missing: `npm install pyodide@314.0.7` installs it",
      "Unavailable sandbox local: a package is missing: `npm install quickjs-emscripten-core@0.32.0 @jitl/quickjs-wasmfile-release-sync@0.32.0` installs it"
    ])
  })
})
