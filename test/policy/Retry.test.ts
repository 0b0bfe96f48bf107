import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, PolicyError, Retry } from "holdfast/policy"

const fail = Effect.fail({ isRetryable: true, phase: "rejected" } as const)

/** Counts the runs of an effect that fails `failures` times. */
const flaky = (failures: number, error: object = { isRetryable: true, phase: "rejected" }) => {
  const state = { runs: 0 }
  const run = Effect.suspend(() => (state.runs++ < failures ? Effect.fail(error) : Effect.succeed("ok")))
  return { state, run }
}

describe("Retry", () => {
  it("waits exponentially up to the cap", () => {
    const retry = Retry.make({ base: 100, factor: 3, maxDelay: 1_000, jitter: "none" })
    assert.deepStrictEqual(
      [0, 1, 2, 3, 4].map((n) => Retry.delayMillis(retry, n, 0.5)),
      [100, 300, 900, 1_000, 1_000]
    )
  })

  it("draws full jitter from the whole wait and equal jitter from its upper half", () => {
    const full = Retry.make({ base: 100, jitter: "full" })
    const equal = Retry.make({ base: 100, jitter: "equal" })
    assert.deepStrictEqual(
      [0, 0.5].map((random) => Retry.delayMillis(full, 0, random)),
      [0, 50]
    )
    assert.deepStrictEqual(
      [0, 0.5].map((random) => Retry.delayMillis(equal, 0, random)),
      [50, 75]
    )
    // After a throttle nobody comes back at once.
    assert.strictEqual(Retry.delayMillis(full, 0, 0, true), 50)
  })

  it("never waits less than minDelay", () => {
    assert.strictEqual(Retry.delayMillis(Retry.make({ base: 100, minDelay: 80 }), 0, 0), 80)
  })

  it.effect("tries again what says that it can be, at most `retries` times", () =>
    Effect.gen(function* () {
      const { run, state } = flaky(9)
      const fiber = yield* Effect.forkChild(Effect.flip(Retry.retry({ retries: 3 })(run)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(state.runs, 4)
    })
  )

  it.effect("does not try again what does not say so, unless retryIf does", () =>
    Effect.gen(function* () {
      const plain = flaky(1, new Error("plain"))
      yield* Effect.flip(Retry.retry({ base: 0 })(plain.run))
      assert.strictEqual(plain.state.runs, 1)
      const wanted = flaky(1, new Error("plain"))
      const fiber = yield* Effect.forkChild(Retry.retry({ base: 0, retryIf: () => true })(wanted.run), {
        startImmediately: true
      })
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
    })
  )

  it.effect("tries an unwanted result again and returns the last one when the retries are used up", () =>
    Effect.gen(function* () {
      let runs = 0
      const retried = Retry.retry({ retries: 2, base: 0, retryWhen: (value) => value !== 9 })(Effect.sync(() => ++runs))
      const fiber = yield* Effect.forkChild(retried, { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* Fiber.join(fiber), 3)
      assert.strictEqual(runs, 3)
    })
  )

  it.effect("waits by a Schedule and ends with it", () =>
    Effect.gen(function* () {
      const { run, state } = flaky(9)
      const schedule = Schedule.spaced("7 seconds").pipe(Schedule.upTo({ times: 2 }))
      const fiber = yield* Effect.forkChild(Effect.flip(Retry.retry({ retries: 5, schedule })(run)), {
        startImmediately: true
      })
      yield* TestClock.adjust("6999 millis")
      assert.strictEqual(state.runs, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(state.runs, 2)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(state.runs, 3)
    })
  )

  it.effect("tells the hook of each wait before it", () =>
    Effect.gen(function* () {
      const told: Array<readonly [number, number, string]> = []
      const onRetry = (event: Retry.RetryEvent) =>
        Effect.sync(() => {
          told.push([event.retry, Duration.toMillis(event.wait), event.cause])
        })
      const options = { retries: 2, base: 100, jitter: "none", onRetry } as const
      const fiber = yield* Effect.forkChild(Effect.flip(Retry.retry(options)(fail)), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(told, [
        [1, 100, "backoff"],
        [2, 200, "backoff"]
      ])
    })
  )

  it.effect("fails at once when a wait does not fit into the deadline around, with the last failure as the cause", () =>
    Effect.gen(function* () {
      const { run, state } = flaky(9)
      const retried = Retry.retry({ base: "10 seconds", maxDelay: "10 seconds", jitter: "none" })(run)
      const error = yield* Effect.flip(Deadline.within(retried, "5 seconds"))
      assert.instanceOf(error, PolicyError.DeadlineExceeded)
      assert.strictEqual(state.runs, 1)
    })
  )

  it.effect("repeats itself with the same seed", () =>
    Effect.gen(function* () {
      const waits = (seed: string) =>
        Effect.gen(function* () {
          const told: Array<number> = []
          const onRetry = (event: Retry.RetryEvent) => Effect.sync(() => void told.push(Duration.toMillis(event.wait)))
          const fiber = yield* Effect.forkChild(Effect.flip(Retry.retry({ retries: 4, onRetry })(fail)), {
            startImmediately: true
          })
          yield* TestClock.adjust("2 minutes")
          yield* Fiber.join(fiber)
          return told
        }).pipe(Random.withSeed(seed))
      assert.deepStrictEqual(yield* waits("a"), yield* waits("a"))
      assert.notDeepEqual(yield* waits("a"), yield* waits("b"))
    })
  )
})
