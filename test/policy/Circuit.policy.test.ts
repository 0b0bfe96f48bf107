import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, Policy, type PolicyError, type Retryable } from "holdfast/policy"

const call = { key: "k", safety: "idempotent" } as const
const down: Retryable.Retryable & { readonly _tag: "Down" } = { _tag: "Down", isRetryable: true, phase: "notSent" }

/** Runs an effect to its end in virtual time. */
const settle = <A, E>(self: Effect.Effect<A, E>, step = 100) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(step)
    return yield* Fiber.join(fiber)
  })

describe("Circuit in a policy", () => {
  it.effect("leaves a dead server alone, and finds it again", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ circuit: {}, retryBudget: false }))
      let sends = 0
      let isUp = false
      const send = Effect.suspend(() => {
        sends++
        return isUp ? Effect.succeed("up") : Effect.fail(down)
      })
      const ask = Effect.exit(held.apply(call)(send))
      // A minute of ten calls a second: ten failures, then a trial after 5, 10 and 20 seconds.
      yield* settle(
        Effect.forEach(
          Array.from({ length: 600 }, (_, n) => n),
          (n) => Effect.delay(ask, n * 100),
          { concurrency: "unbounded" }
        )
      )
      assert.strictEqual(sends, 10 + 3)
      assert.isDefined(held.circuit?.openUntilUnsafe("k"))

      isUp = true
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* held.apply(call)(send), "up")
      assert.isUndefined(held.circuit?.openUntilUnsafe("k"))
    })
  )

  it.effect("refuses a retry, too, and writes down only what was sent", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ circuit: { failures: 2 }, retry: { retries: 5, base: 100, jitter: "none" } })
      const held = yield* Policy.open(policy)
      const recorder = new Attempt.Recorder()
      const error: typeof down | PolicyError.PolicyError = yield* settle(
        Effect.flip(held.apply({ ...call, recorder })(Effect.fail(down)))
      )
      assert.strictEqual(error._tag, "CircuitOpen")
      assert.deepStrictEqual(
        recorder.attempts.map(({ outcome }) => outcome),
        ["Down", "Down"]
      )
      assert.strictEqual(held.concurrency.inFlight("k"), 0)
    })
  )
})
