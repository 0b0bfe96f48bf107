import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency, PolicyError } from "holdfast/policy"

describe("Concurrency", () => {
  it.effect("serves in order of arrival and never more than its slots", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 3 })
      const order: Array<number> = []
      let running = 0
      let most = 0
      const task = (n: number) =>
        slots.withSlot("k")(
          Effect.gen(function* () {
            order.push(n)
            most = Math.max(most, ++running)
            yield* Effect.yieldNow
            running--
          })
        )
      yield* Effect.forEach(
        Array.from({ length: 500 }, (_, n) => n),
        task,
        { concurrency: "unbounded" }
      )
      assert.strictEqual(most, 3)
      assert.deepStrictEqual(
        order,
        Array.from({ length: 500 }, (_, n) => n)
      )
      assert.strictEqual(slots.inFlight("k"), 0)
    })
  )

  it.effect("keeps keys apart", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 1 })
      assert.isTrue(slots.takeUnsafe("a"))
      assert.isTrue(slots.takeUnsafe("b"))
      assert.isFalse(slots.takeUnsafe("a"))
    })
  )

  it.effect("starts those who wait when it grows, and lets those in flight end when it shrinks", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 1 })
      const gate = yield* Deferred.make<void>()
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () =>
        Effect.forkChild(slots.withSlot("k")(Deferred.await(gate)), { startImmediately: true })
      )
      assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [1, 3])
      yield* slots.resize(3)
      assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [3, 1])
      yield* slots.resize(1, "k")
      assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [3, 1])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [0, 0])
    })
  )

  it.effect("sheds who finds the queue full and who waits too long", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 1, maxQueue: 1, maxWait: "5 seconds" })
      assert.isTrue(slots.takeUnsafe("k"))
      const waiting = yield* Effect.forkChild(Effect.flip(slots.withSlot("k")(Effect.void)), { startImmediately: true })
      assert.instanceOf(yield* Effect.flip(slots.withSlot("k")(Effect.void)), PolicyError.Shed)
      yield* TestClock.adjust("5 seconds")
      assert.instanceOf(yield* Fiber.join(waiting), PolicyError.Shed)
      assert.strictEqual(slots.waiting("k"), 0)
    })
  )

  it.effect("returns every slot when those who wait are interrupted at random", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 5 })
      const fibers = yield* Effect.forEach(Array.from({ length: 400 }), () =>
        Effect.forkChild(slots.withSlot("k")(Effect.sleep("1 second")), { startImmediately: true })
      )
      for (let step = 0; step < 60; step++) {
        for (let n = 0; n < 5; n++) {
          const victim = fibers[yield* Random.nextIntBetween(0, fibers.length - 1)]
          if (victim !== undefined) yield* Fiber.interrupt(victim)
        }
        assert.isAtMost(slots.inFlight("k"), 5)
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [0, 0])
    }).pipe(Random.withSeed("slots"))
  )
})
