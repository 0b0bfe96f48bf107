import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Sandbox } from "holdfast/sandbox"
import { Fault, TestSandbox } from "holdfast/testing"

const always = (...kinds: ReadonlyArray<Fault.Kind>) => Fault.planUnsafe({ kinds, rate: 1, maxInARow: 1 })

/** A test on a sandbox with these faults; its runs print what they were given. */
const within = <A, E>(plan: Fault.Plan, test: Effect.Effect<A, E, Sandbox.Sandbox | TestSandbox.Journal>) =>
  Effect.provide(test, Fault.sandbox(plan, { latency: "1 minute" })(TestSandbox.layer((run) => run.code)))

/** Asserts that it has not ended just before this time, and has just then. */
const endsAt = <A, E, R>(effect: Effect.Effect<A, E, R>, seconds: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(seconds * 1000 - 1)
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })

describe("Fault.sandbox", () => {
  for (const [kind, code, isRetryable] of [
    ["refuse", "Unavailable", true],
    ["unavailable", "Unavailable", true],
    ["serverError", "Unavailable", false],
    ["rateLimited", "LimitExceeded", false]
  ] as const) {
    it.effect(`makes no session with ${kind}, and one when it is asked again`, () => {
      const plan = always(kind)
      return within(
        plan,
        Effect.gen(function* () {
          const error = yield* Effect.flip(Effect.scoped(Sandbox.create()))
          assert.deepInclude(error, { code, isRetryable, provider: "fault" })
          assert.strictEqual((yield* Sandbox.runCode("hi")).stdout, "hi")
          assert.strictEqual(plan.tallyUnsafe().survived[kind], 1)
          assert.strictEqual(yield* Ref.get((yield* TestSandbox.Journal).open), 0)
        })
      )
    })
  }

  it.effect("makes sessions that can be copied with all that they do", () =>
    within(
      Fault.planUnsafe({ rate: 0 }),
      Effect.scoped(
        Effect.gen(function* () {
          const session = { ...(yield* Sandbox.create({ language: "javascript" })) }
          yield* session.interrupt
          yield* session.reset
          assert.strictEqual((yield* session.runCode("hi")).stdout, "hi")
        })
      )
    )
  )

  it.effect("waits for a silent sandbox as long as a create may take", () =>
    within(
      always("silence"),
      Effect.gen(function* () {
        const created = Effect.scoped(Sandbox.create({ createTimeout: "20 seconds" }))
        const error = yield* endsAt(Effect.flip(created), 20)
        assert.include(error.message, "no session within 20s")
        assert.isTrue(error.isRetryable)
      })
    )
  )

  for (const [kind, why, runs, output] of [
    ["reset", "crashed", 0, ""],
    ["cut", "killed", 1, "hi"],
    ["garbage", "protocol", 1, ""]
  ] as const) {
    it.effect(`loses a session with ${kind}, and keeps it lost`, () =>
      Effect.gen(function* () {
        for (const isStream of [false, true]) {
          let said = ""
          const lostIn = (session: Sandbox.Session) =>
            isStream
              ? Stream.runForEach(session.streamCode("hi"), (event) =>
                  Effect.sync(() => {
                    said += event.type === "stdout" ? event.text : ""
                  })
                )
              : session.runCode("hi")
          const test = Effect.gen(function* () {
            const session = yield* Sandbox.create()
            const { reason } = yield* Effect.flip(lostIn(session))
            assert.deepInclude(reason, { _tag: "SessionLost", why })
            assert.strictEqual((yield* Effect.flip(session.runCode("again"))).reason, reason)
            assert.strictEqual((yield* Ref.get((yield* TestSandbox.Journal).runs)).length, runs)
            // Another session is another guest.
            assert.strictEqual((yield* Sandbox.runCode("hi")).stdout, "hi")
          })
          yield* within(always(kind), Effect.scoped(test))
          if (isStream) assert.strictEqual(said, output)
        }
      })
    )
  }

  it.effect("hangs a run until its timeout, and loses the session", () =>
    within(
      always("stall"),
      Effect.gen(function* () {
        const session = yield* Sandbox.create()
        const run = yield* endsAt(session.runCode("hi", { timeout: "5 seconds" }), 5)
        assert.deepInclude(run, { outcome: "timedOut", exitCode: 124, durationMillis: 5000, sessionState: "lost" })
        assert.strictEqual((yield* Effect.flip(session.runCode("hi"))).code, "SessionLost")
      }).pipe(Effect.scoped)
    )
  )

  it.effect("loses a session to a command too, its files with it, until it is reset", () =>
    Effect.gen(function* () {
      for (const isStream of [false, true]) {
        const sandbox = Fault.sandbox(always("cut"))(TestSandbox.layer("", { commands: ({ command }) => command }))
        const test = Effect.gen(function* () {
          const session = yield* Sandbox.create()
          yield* session.files.write("a", "1")
          const command = isStream ? Stream.runDrain(session.streamCommand("ls")) : session.runCommand("ls")
          const { reason } = yield* Effect.flip(command)
          assert.deepInclude(reason, { _tag: "SessionLost", why: "killed" })
          for (const use of [session.files.read("a"), session.interrupt, session.extend("1 hour")])
            assert.strictEqual((yield* Effect.flip(use)).reason, reason)
          assert.strictEqual((yield* Effect.flip(session.createContext())).reason, reason)
          yield* session.reset
          assert.strictEqual((yield* session.runCommand("ls")).stdout, "ls")
        })
        yield* Effect.provide(Effect.scoped(test), sandbox)
      }
    })
  )

  it.effect("is slow where it is told to be, creates and runs", () =>
    within(
      always("latency"),
      Effect.gen(function* () {
        const session = yield* endsAt(Sandbox.create(), 60)
        assert.strictEqual((yield* endsAt(session.runCode("hi"), 60)).stdout, "hi")
      }).pipe(Effect.scoped)
    )
  )

  it.effect("deals the same by the same seed, and other faults by another", () =>
    Effect.gen(function* () {
      const play = (seed: number) =>
        within(
          Fault.planUnsafe({ seed, kinds: Fault.allKinds, rate: 0.5 }),
          Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(
              Effect.forEach(
                Array.from({ length: 30 }, (_, index) => `print(${index})`),
                (code) => Effect.map(Effect.result(Sandbox.runCode(code)), (result) => result._tag)
              )
            )
            yield* TestClock.adjust("2 hours")
            return yield* Fiber.join(fiber)
          })
        )
      const ends = yield* play(3)
      assert.includeMembers(ends, ["Success", "Failure"])
      assert.deepStrictEqual(yield* play(3), ends)
      assert.notDeepEqual(yield* play(4), ends)
    })
  )
})
