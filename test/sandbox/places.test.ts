import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
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

  it.effect("come to the lowest class, too, before its caller has waited as long as callers do", () =>
    Effect.gen(function* () {
      const { enter, served } = line(new Places("local", 1))
      let holder = yield* enter("first")
      const low = yield* enter("low", { priority: "low" })
      // Somebody of the highest class waits at all times.
      for (const second of Array(30).keys()) {
        const next = yield* enter(`high ${second}`, { priority: "high" })
        yield* TestClock.adjust("1 second")
        yield* holder.leave
        if (served.at(-1) === "low") break
        holder = next
      }
      assert.strictEqual(served.at(-1), "low")
      assert.isAtMost(served.length, 22)
      yield* low.leave
    })
  )

  it.effect("are never lost or given twice, whenever who waits is interrupted or its scope closed", () =>
    Effect.gen(function* () {
      const places = new Places("local", 2)
      let inUse = 0
      let most = 0
      const caller = (n: number) =>
        Effect.gen(function* () {
          const scope = yield* Effect.scope
          yield* places.takeIn(scope)
          most = Math.max(most, ++inUse)
          yield* Effect.addFinalizer(() => Effect.sync(() => inUse--))
          for (let step = 0; step < n % 4; step++) yield* Effect.yieldNow
        }).pipe(Effect.scoped, Effect.timeoutOption(n % 3 === 0 ? "1 second" : "1 hour"))
      const priorities = ["high", "normal", "low"] as const
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let n = 0; n < 150; n++) {
        const standing = { priority: priorities[n % 3], tenant: `t${n % 5}` }
        fibers.push(yield* Effect.forkChild(Effect.provideService(caller(n), Policy.Override, standing)))
        if (n % 2 === 0) yield* Effect.yieldNow
        // Of each age: not begun, in line, served this very turn, gone.
        const victim = fibers[n - (n % 7)]
        if (n % 5 === 0 && victim !== undefined) yield* Effect.forkChild(Fiber.interrupt(victim))
        if (n % 50 === 0) yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("1 second")
      yield* Fiber.awaitAll(fibers)
      assert.strictEqual(most, 2)
      assert.strictEqual(inUse, 0)
      assert.deepStrictEqual(
        [1, 2, 3].map(() => places.takeIfAvailable()),
        [true, true, false]
      )
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
