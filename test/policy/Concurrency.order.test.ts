import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency, PolicyError } from "holdfast/policy"

/** One slot, taken; what gets it afterwards writes its name down and keeps it for a second. */
const taken = (options: Concurrency.Options = {}, gate?: Concurrency.Gate) => {
  const slots = Concurrency.makeUnsafe({ maxConcurrency: 1, ...options }, gate)
  const served: Array<string> = []
  const enter = (name: string, claim?: Concurrency.Claim) =>
    Effect.forkChild(
      Effect.exit(
        slots.withSlot(
          "k",
          claim
        )(
          Effect.andThen(
            Effect.sync(() => served.push(name)),
            Effect.sleep("1 second")
          )
        )
      ),
      { startImmediately: true }
    )
  return { slots, served, enter }
}

/** Callers of each class, `perSecond` of them each, to a key with ten slots whose calls take a second. */
const overload = (options: Concurrency.Options, perSecond: number, seconds: number) =>
  Effect.gen(function* () {
    const slots = Concurrency.makeUnsafe({ maxConcurrency: 10, ...options })
    const counts = {
      high: { asked: 0, ok: 0, longestMillis: 0 },
      normal: { asked: 0, ok: 0, longestMillis: 0 },
      low: { asked: 0, ok: 0, longestMillis: 0 }
    }
    const call = (priority: Concurrency.Priority) =>
      Effect.clockWith((clock) => {
        const count = counts[priority]
        const since = clock.currentTimeMillisUnsafe()
        count.asked++
        const work = Effect.suspend(() => {
          count.longestMillis = Math.max(count.longestMillis, clock.currentTimeMillisUnsafe() - since)
          return Effect.sleep("1 second")
        })
        const done = Effect.sync(() => count.ok++)
        return Effect.ignore(Effect.andThen(slots.withSlot("k", { priority })(work), done))
      })
    for (let n = 0; n < perSecond * seconds; n++) {
      for (const priority of ["low", "normal", "high"] as const) yield* Effect.forkChild(call(priority))
      yield* TestClock.adjust(Math.round(1000 / perSecond))
    }
    yield* TestClock.adjust("10 minutes")
    return counts
  })

describe("Concurrency's line", () => {
  it.effect("serves class before class, and in a class who came first", () =>
    Effect.gen(function* () {
      const { enter, served, slots } = taken()
      assert.isTrue(slots.takeUnsafe("k"))
      yield* enter("low", { priority: "low" })
      yield* enter("normal 1")
      yield* enter("high 1", { priority: "high" })
      yield* enter("normal 2", { priority: "normal" })
      yield* enter("high 2", { priority: "high" })
      slots.releaseUnsafe("k")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(served, ["high 1", "high 2", "normal 1", "normal 2", "low"])
    })
  )

  it.effect("moves a call up a class for each time of ageing, behind those who are there", () =>
    Effect.gen(function* () {
      const { enter, served, slots } = taken({ ageing: "10 seconds" })
      assert.isTrue(slots.takeUnsafe("k"))
      yield* enter("low", { priority: "low" })
      yield* TestClock.adjust("9 seconds")
      yield* enter("normal before")
      yield* TestClock.adjust("1 second")
      yield* enter("normal after")
      yield* TestClock.adjust("9 seconds")
      yield* enter("high before", { priority: "high" })
      yield* TestClock.adjust("1 second")
      yield* enter("high after", { priority: "high" })
      slots.releaseUnsafe("k")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(served, ["normal before", "high before", "low", "normal after", "high after"])
    })
  )

  it.effect.each([
    { maxQueue: 50, leastMillis: 0 },
    { maxQueue: 300, leastMillis: 20_000 }
  ])("keeps the highest class whole at three times the capacity, and waits under their bound ($maxQueue)", (row) =>
    Effect.gen(function* () {
      const { high, low, normal } = yield* overload({ maxQueue: row.maxQueue, ageing: "10 seconds" }, 10, 200)
      assert.strictEqual(high.asked, 2000)
      assert.isAtLeast(high.ok, 0.95 * high.asked)
      // Twice the ageing, then at most those who wait, at ten a second.
      const boundMillis = 2 * 10_000 + (row.maxQueue / 10) * 1000
      for (const { longestMillis } of [high, normal, low]) assert.isAtMost(longestMillis, boundMillis)
      assert.isAtLeast(low.longestMillis, row.leastMillis)
      // The slots are never idle: whoever is served, it is ten a second.
      assert.isAtLeast(high.ok + normal.ok + low.ok, 10 * 200)
    })
  )

  it.effect("serves the lowest class within its bound while higher ones alone fill the slots", () =>
    Effect.gen(function* () {
      // The high calls are as many as the slot serves.
      const { enter, served } = taken({ ageing: "10 seconds" })
      yield* enter("high", { priority: "high" })
      yield* enter("low", { priority: "low" })
      for (let second = 0; second < 40; second++) {
        yield* enter("high", { priority: "high" })
        yield* TestClock.adjust("1 second")
      }
      // One was in the slot, those of its first 20 seconds passed it, and nobody who came later.
      assert.strictEqual(served.indexOf("low"), 1 + 20)
    })
  )

  it.effect("gives tenants of a class equal shares, whatever each of them asks for", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 4, maxQueue: 100 })
      const served = new Map<string, number>()
      const call = (tenant: string) =>
        Effect.ignore(
          slots.withSlot("k", { tenant })(
            Effect.suspend(() => {
              served.set(tenant, (served.get(tenant) ?? 0) + 1)
              return Effect.sleep("1 second")
            })
          )
        )
      // "a" asks for 20 a second and fills the queue alone, "b" for 4, "c" for 2; 4 are served.
      for (let second = 0; second < 300; second++) {
        for (const [tenant, calls] of [["a", 20] as const, ["b", 4] as const, ["c", 2] as const]) {
          for (let n = 0; n < calls; n++) yield* Effect.forkChild(call(tenant))
        }
        yield* TestClock.adjust("1 second")
      }
      const all = [...served.values()].reduce((sum, one) => sum + one, 0)
      assert.strictEqual(served.size, 3)
      for (const [, count] of served) assert.closeTo(count / all, 1 / 3, 0.1 / 3)
    })
  )

  it.effect("takes turns by tenant, and leaves nothing to a tenant that is not there", () =>
    Effect.gen(function* () {
      const { enter, served, slots } = taken()
      assert.isTrue(slots.takeUnsafe("k"))
      for (const name of ["a1", "a2", "a3", "b1", "c1", "b2"]) yield* enter(name, { tenant: name.slice(0, 1) })
      slots.releaseUnsafe("k")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(served, ["a1", "b1", "c1", "a2", "b2", "a3"])
    })
  )

  describe("when it is full", () => {
    const isShed = (exit: Exit.Exit<unknown, unknown> | undefined): boolean =>
      exit !== undefined && Exit.isFailure(exit)

    it.effect("sheds the youngest call of the lowest class for a higher one, and nobody for an equal one", () =>
      Effect.gen(function* () {
        const { enter, served, slots } = taken({ maxQueue: 3 })
        assert.isTrue(slots.takeUnsafe("k"))
        const old = yield* enter("low old", { priority: "low" })
        const young = yield* enter("low young", { priority: "low" })
        yield* enter("normal")
        const late = yield* enter("low late", { priority: "low" })
        assert.isTrue(isShed(yield* Fiber.join(late)))
        yield* enter("high", { priority: "high" })
        assert.isTrue(isShed(yield* Fiber.join(young)))
        assert.isUndefined(old.pollUnsafe())
        assert.strictEqual(slots.waiting("k"), 3)
        slots.releaseUnsafe("k")
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(served, ["high", "normal", "low old"])
      })
    )

    it.effect("makes room for a tenant who has less than another one", () =>
      Effect.gen(function* () {
        const { enter, served, slots } = taken({ maxQueue: 3 })
        assert.isTrue(slots.takeUnsafe("k"))
        for (const name of ["a1", "a2", "a3"]) yield* enter(name, { tenant: "a" })
        yield* enter("b1", { tenant: "b" })
        const second = yield* enter("b2", { tenant: "b" })
        assert.isTrue(isShed(yield* Fiber.join(second)))
        slots.releaseUnsafe("k")
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(served, ["a1", "b1", "a2"])
      })
    )

    it.effect("says how long those who wait will take, by how fast they were served", () =>
      Effect.gen(function* () {
        const slots = Concurrency.makeUnsafe({ maxConcurrency: 4, maxQueue: 20 })
        const work = slots.withSlot("k")(Effect.sleep("2 seconds"))
        const full = Effect.gen(function* () {
          while (slots.waiting("k") < 20) yield* Effect.forkChild(Effect.ignore(work), { startImmediately: true })
        })
        yield* full
        const unknown = yield* Effect.flip(work)
        assert.deepStrictEqual([unknown.waiting, unknown.retryAfter], [20, undefined])
        for (let second = 0; second < 60; second++) {
          yield* TestClock.adjust("1 second")
          yield* full
        }
        // Two a second are served, so twenty take ten seconds.
        const known = yield* Effect.flip(work)
        assert.strictEqual(known.waiting, 20)
        assert.closeTo(Duration.toMillis(known.retryAfter ?? Duration.zero), 10_000, 500)
      })
    )
  })

  describe("with a gate", () => {
    /** Admits so many tokens a second, starting with none. */
    const bucket = (perSecond: number) => {
      let usedAt = 0
      const asked: Array<number> = []
      const gate: Concurrency.Gate = {
        admitUnsafe: (_, claim, now) => {
          asked.push(now)
          const wait = usedAt + ((claim.tokens ?? 0) / perSecond) * 1000 - now
          if ((claim.tokens ?? 0) === Infinity) return Infinity
          if (wait > 0) return wait
          usedAt = now
          claim.reservation = claim.tokens
          return 0
        }
      }
      return { gate, asked }
    }

    it.effect("grants slot and reservation together, and asks only when it is worth it", () =>
      Effect.gen(function* () {
        const { asked, gate } = bucket(10)
        const { enter, served, slots } = taken({ maxConcurrency: 5 }, gate)
        yield* enter("large", { tokens: 100 })
        yield* enter("small", { tokens: 1 })
        yield* TestClock.adjust("9 seconds")
        assert.deepStrictEqual(served, [])
        assert.strictEqual(slots.inFlight("k"), 0)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(served, ["large"])
        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(served, ["large", "small"])
        // Each when it comes, before and in the line; then at the times that the gate gave.
        assert.isAtMost(asked.length, 8)
      })
    )

    it.effect("lets a higher class pass a head that waits for the gate", () =>
      Effect.gen(function* () {
        const { gate } = bucket(10)
        const { enter, served } = taken({ maxConcurrency: 5 }, gate)
        yield* TestClock.adjust("1 second")
        yield* enter("large", { tokens: 100, priority: "low" })
        yield* enter("small", { tokens: 1, priority: "low" })
        yield* enter("urgent", { tokens: 10, priority: "high" })
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(served, ["urgent"])
        yield* TestClock.adjust("10100 millis")
        assert.deepStrictEqual(served, ["urgent", "large", "small"])
      })
    )

    it.effect("asks for the next one when the head leaves, and takes nothing for those who left", () =>
      Effect.gen(function* () {
        const { gate } = bucket(10)
        const { enter, served, slots } = taken({ maxConcurrency: 5 }, gate)
        const claim: Concurrency.Claim = { tokens: 1000 }
        const large = yield* enter("large", claim)
        yield* enter("small", { tokens: 1 })
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(large)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(served, ["small"])
        assert.isUndefined(claim.reservation)
        assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [1, 0])
      })
    )

    it.effect("sheds what the gate never takes, and goes on with the next", () =>
      Effect.gen(function* () {
        const { gate } = bucket(10)
        const { enter, served } = taken({}, gate)
        const never = yield* enter("never", { tokens: Infinity })
        yield* enter("small", { tokens: 1 })
        const exit = yield* Fiber.join(never)
        assert.isTrue(Exit.isFailure(exit))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(served, ["small"])
      })
    )

    it.effect("takes at once only when it is told the time, and asks again when it is woken", () =>
      Effect.gen(function* () {
        let isOpen = true
        const gate: Concurrency.Gate = { admitUnsafe: () => (isOpen ? 0 : 3_600_000) }
        const { enter, served, slots } = taken({ maxConcurrency: 5 }, gate)
        assert.isFalse(slots.takeUnsafe("k", {}))
        assert.isTrue(slots.takeUnsafe("k", {}, 0))
        isOpen = false
        assert.isFalse(slots.takeUnsafe("k", {}, 0))
        yield* enter("first")
        isOpen = true
        slots.wakeUnsafe("k")
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(served, ["first"])
      })
    )
  })

  it.effect("sheds all who wait, once, and those that come again wait again", () =>
    Effect.gen(function* () {
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 1 })
      const gate = yield* Deferred.make<void>()
      const closed: Array<boolean | undefined> = []
      const call = slots.withSlot("k")(Deferred.await(gate))
      const again = Effect.catch(call, (shed) => {
        closed.push(shed.closed)
        return call
      })
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(again, { startImmediately: true }))
      slots.shedAllUnsafe()
      assert.deepStrictEqual(closed, [true, true])
      assert.strictEqual(slots.waiting("k"), 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual([slots.inFlight("k"), slots.waiting("k")], [0, 0])
      assert.instanceOf(new PolicyError.Shed({ key: "k", waiting: 0 }), PolicyError.Shed)
    })
  )
})
