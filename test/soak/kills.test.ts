/** Guests killed at random moments, each a typed loss that leaves no process, descriptor or file. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { LocalSandbox, Sandbox, type SandboxError } from "holdfast/sandbox"
import { descriptors, engines, guests, temporaryFiles } from "../sandbox/processes.ts"
import { figures } from "./figures.ts"
import { atScale } from "./scale.ts"

const below = figures(41)

const floods = {
  python: "import sys\ni = 0\nwhile True: i += 1; print('x' * (i * 37 % 5000)); display(i)",
  javascript: "for (let i = 0; ; i++) { console.log('x'.repeat(i * 37 % 5000)); display(i) }"
}

type Language = keyof typeof floods

const kill = Effect.sync(() => {
  for (const pid of engines()) process.kill(pid, "SIGKILL")
})

/** Does `use` until a kill comes in the middle of it, and gives how it failed. */
const killedWithin = <A>(
  use: (hit: Effect.Effect<void>) => Effect.Effect<A, SandboxError.SandboxError>
): Effect.Effect<SandboxError.SandboxError, A> => {
  let isDone = false
  return Effect.flip(use(Effect.suspend(() => (isDone ? Effect.void : ((isDone = true), kill)))))
}

/** The moments: within the output at any character, within a transfer at any piece, idle, and before the first word. */
const moments: Readonly<
  Record<string, (session: Sandbox.Session, language: Language) => Effect.Effect<SandboxError.SandboxError, unknown>>
> = {
  output: (session, language) => {
    let left = below(200_000)
    return killedWithin((hit) =>
      session.streamCode(floods[language]).pipe(
        Stream.runForEach((event) => {
          left -= event.type === "stdout" ? event.text.length : 1
          return left < 0 ? hit : Effect.void
        })
      )
    )
  },
  upload: (session) => {
    let left = below(8)
    const piece = new Uint8Array(300_000)
    return killedWithin((hit) =>
      session.files.upload(
        "/tmp/big",
        Stream.fromEffectRepeat(
          Effect.suspend(() => (left-- <= 0 ? Effect.as(hit, piece) : Effect.succeed(piece)))
        ).pipe(Stream.take(12))
      )
    )
  },
  download: (session) => {
    let left = below(30)
    return session.files
      .write("/tmp/big", new Uint8Array(4_000_000))
      .pipe(
        Effect.andThen(
          killedWithin((hit) =>
            session.files.download("/tmp/big").pipe(Stream.runForEach(() => (left-- <= 0 ? hit : Effect.void)))
          )
        )
      )
  },
  idle: (session) => Effect.andThen(kill, Effect.flip(Effect.forever(session.runCode("1")))),
  start: (session, language) =>
    Effect.gen(function* () {
      const running = yield* Effect.forkChild(Effect.flip(session.runCode(floods[language])), {
        startImmediately: true
      })
      for (let turns = below(20); turns > 0; turns--) yield* Effect.yieldNow
      yield* kill
      return yield* Fiber.join(running)
    })
}

const names = Object.keys(moments)

describe("guests killed at random moments", { timeout: 1_800_000 }, () => {
  it.live("are lost sessions, and leave nothing behind", () =>
    Effect.gen(function* () {
      const before = { guests: guests(), files: temporaryFiles() }
      yield* Effect.scoped(Sandbox.create({ language: "javascript" }))
      const open = descriptors()
      for (let round = 0; round < atScale(200); round++) {
        const language = round % 5 === 0 ? "python" : "javascript"
        const name = names[round % names.length] ?? "output"
        const moment = moments[name]
        assert.isDefined(moment)
        const error = yield* Sandbox.create({ language }).pipe(
          Effect.flatMap((session) => moment(session, language)),
          Effect.scoped
        )
        const why = error.reason._tag === "SessionLost" ? error.reason.why : error.reason._tag
        assert.strictEqual(why, "killed", `${name}, round ${round}: ${error.message}`)
        assert.deepStrictEqual(guests(), before.guests)
      }
      assert.deepStrictEqual({ guests: guests(), files: temporaryFiles() }, before)
      assert.isAtMost(descriptors(), open + 2)
    }).pipe(Effect.provide(LocalSandbox.layer({ pool: { python: 0 }, os: "off" })))
  )

  it.live("that still boot fail their create, or are booted again", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(Sandbox.create({ language: "javascript" }))
      for (let round = 0; round < atScale(40); round++) {
        const creating = yield* Effect.scoped(Sandbox.create({ language: "javascript" })).pipe(
          Effect.result,
          Effect.forkChild({ startImmediately: true })
        )
        for (let turns = below(40); turns > 0; turns--)
          yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
        yield* kill
        const made = yield* Fiber.join(creating)
        if (made._tag === "Failure") {
          assert.include(["Unavailable", "SessionLost"], made.failure.code)
          assert.isTrue(made.failure.code !== "Unavailable" || made.failure.isRetryable)
        }
        assert.deepStrictEqual(guests(), [])
      }
      assert.deepStrictEqual(temporaryFiles(), [])
    }).pipe(Effect.provide(LocalSandbox.layer({ pool: { python: 0 }, os: "off" })))
  )
})
