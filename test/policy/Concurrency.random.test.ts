import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency } from "holdfast/policy"

const seeds = Array.from({ length: 40 }, (_, seed) => seed)

const below = (end: number): Effect.Effect<number> => Random.nextIntBetween(0, end - 1)

const pick = <const A>(all: readonly [A, ...ReadonlyArray<A>]): Effect.Effect<A> =>
  Effect.map(below(all.length), (index) => all[index] ?? all[0])

/** A gate that is shut at times, for a while that it says. */
const shutter = (): Concurrency.Gate => {
  let taken = 0
  let shutUntil = 0
  return {
    admitUnsafe: (_, claim, now) => {
      if (now < shutUntil) return shutUntil - now
      if (++taken % 7 === 0) shutUntil = now + 700
      claim.reservation = taken
      return 0
    }
  }
}

const claims = Effect.gen(function* () {
  const priority = yield* pick(["high", "normal", "low", undefined])
  const tenant = yield* pick(["a", "b", "c", undefined])
  return { priority, tenant }
})

describe("Concurrency under random arrivals, interruptions and resizes", () => {
  it.effect.each(seeds)("returns every slot, keeps its limit and loses nobody (seed %i)", (seed) =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe(
        {
          maxConcurrency: 1 + (yield* below(6)),
          maxQueue: yield* pick([5, 40, 1000]),
          maxWait: yield* pick(["Infinity", "5 seconds"]),
          ageing: yield* pick(["1 second", "Infinity"])
        },
        seed % 2 === 0 ? undefined : shutter()
      )
      let running = 0
      const work = Effect.gen(function* () {
        // Nobody begins above the limit; those who had begun before it shrank may go on.
        assert.strictEqual(slots.inFlight("k"), ++running)
        assert.isAtMost(running, slots.limit("k"))
        const kind = yield* below(4)
        if (kind === 0) return
        if (kind === 1) return yield* Effect.fail("no")
        yield* Effect.sleep(1 + (yield* below(2000)))
      })
      const fibers: Array<Fiber.Fiber<void, unknown>> = []
      for (let step = 0; step < 200; step++) {
        const action = yield* below(10)
        if (action < 6) {
          const counted = Effect.onExit(work, () => Effect.sync(() => running--))
          fibers.push(yield* Effect.forkChild(slots.withSlot("k", yield* claims)(counted), { startImmediately: true }))
        } else if (action < 8) {
          const victim = fibers[yield* below(fibers.length + 1)]
          if (victim !== undefined) yield* Fiber.interrupt(victim)
        } else if (action === 8) yield* slots.resize(1 + (yield* below(6)))
        else yield* TestClock.adjust(yield* below(1500))
      }
      yield* TestClock.adjust("1 hour")
      for (const fiber of fibers) {
        const exit = fiber.pollUnsafe()
        assert.isTrue(exit !== undefined && !Exit.hasDies(exit))
      }
      assert.deepStrictEqual([running, slots.inFlight("k"), slots.waiting("k")], [0, 0, 0])
      assert.isTrue(slots.takeUnsafe("k", {}, Number.MAX_SAFE_INTEGER))
    }).pipe(Random.withSeed(`slots ${seed}`))
  )

  it.effect.each(seeds)("serves each tenant's calls of a class in their order (seed %i)", (seed) =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 2, ageing: "Infinity" })
      const served = new Map<string, Array<number>>()
      const fibers: Array<Fiber.Fiber<void, unknown>> = []
      for (let n = 0; n < 200; n++) {
        const claim = yield* claims
        const line = `${claim.priority} ${claim.tenant}`
        const work = Effect.suspend(() => {
          served.set(line, [...(served.get(line) ?? []), n])
          return Effect.sleep("1 second")
        })
        fibers.push(yield* Effect.forkChild(slots.withSlot("k", claim)(work), { startImmediately: true }))
        const victim = fibers[yield* below(fibers.length * 3)]
        if (victim !== undefined) yield* Fiber.interrupt(victim)
        if ((yield* below(5)) === 0) yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("1 hour")
      const exits = yield* Effect.forEach(fibers, (fiber) => Fiber.await(fiber))
      assert.isAtLeast(exits.filter(Exit.isSuccess).length, 50)
      for (const [, order] of served) {
        assert.deepStrictEqual(
          order,
          [...order].sort((a, b) => a - b)
        )
      }
    }).pipe(Random.withSeed(`order ${seed}`))
  )
})
