import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Policy } from "holdfast/policy"
import { Places } from "../../src/sandbox/internal/places.ts"

type Standing = Pick<Policy.CallSettings, "priority" | "tenant">

/** Who was served, in order; each keeps its place until its scope is closed. */
const line = (places: Places) => {
  const served: Array<string> = []
  const enter = (name: string, standing: Standing = {}) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const taking = Effect.tap(places.takeIn(scope), () => Effect.sync(() => served.push(name)))
      const fiber = yield* Effect.forkChild(Effect.provideService(taking, Policy.Override, standing), {
        startImmediately: true
      })
      return { fiber, leave: Effect.andThen(Fiber.await(fiber), Scope.close(scope, Exit.void)) }
    })
  return { served, enter }
}

describe("places", () => {
  it.effect("go to the highest class that waits, to tenants in turns, then in order of arrival", () =>
    Effect.gen(function* () {
      const { enter, served } = line(new Places("local", 1))
      const first = yield* enter("first")
      const low = yield* enter("low", { priority: "low" })
      const a1 = yield* enter("a1", { tenant: "a" })
      const a2 = yield* enter("a2", { tenant: "a" })
      const b1 = yield* enter("b1", { tenant: "b" })
      const high = yield* enter("high", { priority: "high" })
      assert.deepStrictEqual(served, ["first"])
      for (const { leave } of [first, high, a1, b1, a2, low]) yield* leave
      assert.deepStrictEqual(served, ["first", "high", "a1", "b1", "a2", "low"])
    })
  )

  it.effect("are given back by who no longer waits, and by who leaves", () =>
    Effect.gen(function* () {
      const places = new Places("local", 1)
      const { enter, served } = line(places)
      const first = yield* enter("first")
      const gone = yield* enter("gone")
      const next = yield* enter("next")
      yield* Fiber.interrupt(gone.fiber)
      yield* first.leave
      yield* next.leave
      assert.deepStrictEqual(served, ["first", "next"])
      assert.isTrue(places.takeIfAvailable())
      assert.isFalse(places.takeIfAvailable())
      places.release()
      assert.isTrue(places.takeIfAvailable())
    })
  )

  it.effect("refuse the last of the lowest class when too many wait", () =>
    Effect.gen(function* () {
      const { enter, served } = line(new Places("local", 1, 2))
      const first = yield* enter("first")
      const low = yield* enter("low", { priority: "low" })
      const normal = yield* enter("normal")
      const late = yield* enter("late", { priority: "low" })
      const high = yield* enter("high", { priority: "high" })
      for (const { fiber } of [late, low]) {
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.include(error, { provider: "local", code: "LimitExceeded" })
        assert.include(error.message, "3 sessions are open or waiting already")
      }
      yield* first.leave
      yield* high.leave
      yield* normal.leave
      assert.deepStrictEqual(served, ["first", "high", "normal"])
    })
  )
})
