import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, Policy } from "holdfast/policy"

const call = { key: "k", safety: "idempotent" } as const

describe("Hedge in a policy", () => {
  /** Asks once; the first send takes ten seconds, the second one 50 ms. */
  const ask = (maxConcurrency: number) =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency, hedge: { delay: 100, maxExtra: 1 } }))
      const recorder = new Attempt.Recorder()
      let sends = 0
      let most = 0
      const send = Effect.suspend(() => {
        const n = ++sends
        most = Math.max(most, held.concurrency.inFlight("k"))
        return Effect.as(Effect.sleep(n === 1 ? "10 seconds" : "50 millis"), n)
      })
      const fiber = yield* Effect.forkChild(held.apply({ ...call, recorder })(send), { startImmediately: true })
      let millis = 0
      for (; fiber.pollUnsafe() === undefined; millis += 50) yield* TestClock.adjust(50)
      assert.strictEqual(held.concurrency.inFlight("k"), 0)
      const outcomes = recorder.attempts.map(({ outcome }) => outcome)
      return { winner: yield* Fiber.join(fiber), millis, most, outcomes }
    })

  it.effect("takes a slot of its own, and both sends are in the story", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* ask(2), { winner: 2, millis: 150, most: 2, outcomes: ["ok", "interrupted"] })
    })
  )

  it.effect("does not start without one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* ask(1), { winner: 1, millis: 10_000, most: 1, outcomes: ["ok"] })
    })
  )
})
