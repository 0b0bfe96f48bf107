import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Fallback, type Retryable } from "holdfast/policy"

const busy: Retryable.Retryable = { isRetryable: true, phase: "rejected" }
const wrong: Retryable.Retryable = { isRetryable: false, phase: "rejected" }
const waiting = (seconds: number): Retryable.Retryable => ({ ...busy, retryAfter: Duration.seconds(seconds) })

/** Alternatives of which the last that may be asked is picked; `offered` has what the picks chose from. */
const over = (results: Record<string, Effect.Effect<string, unknown>>, settings: Fallback.Settings = {}) =>
  Effect.gen(function* () {
    const offered: Array<string> = []
    const [first = "none", ...others] = Object.keys(results)
    const fallback = yield* Fallback.make<Fallback.Alternative>({
      ...settings,
      alternatives: [{ name: first }, ...others.map((name) => ({ name }))],
      pick: (ready) => {
        offered.push(ready.map(({ name }) => name).join(""))
        return ready.at(-1) ?? ready[0]
      }
    })
    const ask = Effect.exit(fallback.use(({ name }) => results[name] ?? Effect.die(name)))
    return { fallback, ask, take: () => offered.splice(0).join(" ") }
  })

describe("Fallback", () => {
  describe("with a pick of its own", () => {
    it.effect("chooses among all that may be asked, and then among those that were not asked yet", () =>
      Effect.gen(function* () {
        const { ask, take } = yield* over({ a: Effect.fail(busy), b: Effect.fail(busy), c: Effect.fail(busy) })
        yield* ask
        assert.strictEqual(take(), "abc ab a")
      })
    )

    it.effect("is not asked whether anybody would serve, only who", () =>
      Effect.gen(function* () {
        const open: Array<unknown> = []
        const look = Effect.andThen(
          Effect.flatMap(Fallback.Open, (isOpen) => Effect.sync(() => open.push(isOpen?.(busy), isOpen?.(wrong)))),
          Effect.fail(wrong)
        )
        const { ask, take } = yield* over({ a: look, b: look })
        yield* ask
        assert.strictEqual(take(), "ab")
        assert.deepStrictEqual(open, [true, false])
      })
    )

    it.effect("is offered those that come back first when nobody may be asked", () =>
      Effect.gen(function* () {
        const { ask, take } = yield* over({
          a: Effect.fail(waiting(20)),
          b: Effect.fail(waiting(30)),
          c: Effect.fail(waiting(20))
        })
        yield* ask
        take()
        yield* TestClock.adjust("1 second")
        yield* ask
        // Who was asked now comes back later, until both are as late.
        yield* ask
        yield* ask
        assert.strictEqual(take(), "ac a ac")
      })
    )

    it.effect("is offered one that comes back during the call", () =>
      Effect.gen(function* () {
        const results: Record<string, Effect.Effect<string, unknown>> = {
          a: Effect.fail(waiting(20)),
          b: Effect.fail(waiting(10))
        }
        const { ask, take } = yield* over(results)
        yield* ask
        take()
        results["b"] = Effect.delay(Effect.fail(busy), "20 seconds")
        const fiber = yield* Effect.forkChild(ask)
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual(take(), "b a")
      })
    )
  })

  it.effect("skips after a failure without a time for as long as coolDownOf says", () =>
    Effect.gen(function* () {
      const { ask, fallback } = yield* over(
        { a: Effect.fail(wrong), b: Effect.fail(busy), c: Effect.fail(waiting(7)) },
        { coolDownOf: (error) => (error === busy ? "3 seconds" : undefined), maxCoolDown: "5 seconds" }
      )
      yield* ask
      const until = ["a", "b", "c"].map((name) => fallback.coolUntilUnsafe(name, 0))
      assert.deepStrictEqual(until, [undefined, 3_000, 5_000])
    })
  )

  it.effect("skips whom it is told to, until a later call is served by it", () =>
    Effect.gen(function* () {
      const { ask, fallback, take } = yield* over({ a: Effect.succeed("a"), b: Effect.succeed("b") })
      fallback.coolUnsafe("a", 2_000, 0)
      fallback.coolUnsafe("b", 1_000, 0)
      yield* ask
      yield* ask
      assert.strictEqual(take(), "b b")
      assert.isUndefined(fallback.coolUntilUnsafe("b", 0))
      assert.strictEqual(fallback.coolUntilUnsafe("a", 0), 2_000)
    })
  )
})
