import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency, Hedge, type Retry } from "holdfast/policy"

const call = { key: "k", safety: "idempotent" } as const

/** Sends that each take what a test says, and what became of them. */
const sender = (results: ReadonlyArray<Effect.Effect<string, string>>) => {
  const story: Array<string> = []
  let sends = 0
  const send = Effect.suspend(() => {
    const name = `send ${++sends}`
    story.push(name)
    return Effect.onInterrupt(results[sends - 1] ?? Effect.die("one send too many"), () =>
      Effect.sync(() => story.push(`${name} interrupted`))
    )
  })
  return { send, story }
}

const after = (millis: number, result: Effect.Effect<string, string>) => Effect.andThen(Effect.sleep(millis), result)

/** Lets a key earn its first hedge. */
const earn = (hedge: Hedge.Hedge) => Effect.repeat(hedge.race(call, Effect.void), { times: 20 })

/** Runs a race to its end in virtual time. */
const settle = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(self), { startImmediately: true })
    let millis = 0
    for (; fiber.pollUnsafe() === undefined; millis += 10) yield* TestClock.adjust(10)
    return { exit: yield* Fiber.join(fiber), millis }
  })

describe("Hedge", () => {
  it.effect("sends a second time after the delay, takes the first success and interrupts the other send", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ delay: 100 })
      yield* earn(hedge)
      const { send, story } = sender([Effect.never, after(50, Effect.succeed("second"))])
      const { exit, millis } = yield* settle(hedge.race(call, send))
      assert.deepStrictEqual(exit, Exit.succeed("second"))
      assert.strictEqual(millis, 150)
      assert.deepStrictEqual(story, ["send 1", "send 2", "send 1 interrupted"])
    })
  )

  it.effect("takes the first send's answer when that comes first", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ delay: 100 })
      yield* earn(hedge)
      const { send, story } = sender([after(120, Effect.succeed("first")), Effect.never])
      assert.deepStrictEqual((yield* settle(hedge.race(call, send))).exit, Exit.succeed("first"))
      assert.deepStrictEqual(story, ["send 1", "send 2", "send 2 interrupted"])
    })
  )

  it.effect("sends once when the answer or the failure comes before the delay", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ delay: 100 })
      yield* earn(hedge)
      for (const result of [Effect.succeed("quick"), Effect.fail("quick")]) {
        const { send, story } = sender([after(90, result)])
        const { exit, millis } = yield* settle(hedge.race(call, send))
        assert.deepStrictEqual(exit, yield* Effect.exit(result))
        assert.strictEqual(millis, 90)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(story, ["send 1"])
      }
    })
  )

  it.effect("waits for the other send when one fails, and fails with the first send's failure when both do", () =>
    Effect.gen(function* () {
      const run = (first: Effect.Effect<string, string>, second: Effect.Effect<string, string>) =>
        Effect.gen(function* () {
          const hedge = yield* Hedge.make({ delay: 100 })
          yield* earn(hedge)
          return (yield* settle(hedge.race(call, sender([first, second]).send))).exit
        })
      const fail = (millis: number, name: string) => after(millis, Effect.fail(name))
      const succeed = (millis: number, name: string) => after(millis, Effect.succeed(name))
      assert.deepStrictEqual(yield* run(fail(120, "first"), succeed(100, "second")), Exit.succeed("second"))
      assert.deepStrictEqual(yield* run(succeed(300, "first"), fail(100, "second")), Exit.succeed("first"))
      assert.deepStrictEqual(yield* run(fail(120, "first"), fail(100, "second")), Exit.fail("first"))
      assert.deepStrictEqual(yield* run(fail(300, "first"), fail(100, "second")), Exit.fail("first"))
    })
  )

  it.effect("never doubles an unsafe call, and a costly one only where that is allowed", () =>
    Effect.gen(function* () {
      const sendsOf = (safety: Retry.Safety, options: Hedge.Options = {}) =>
        Effect.gen(function* () {
          const hedge = yield* Hedge.make({ delay: 100, maxExtra: 1, ...options })
          const { send, story } = sender([after(500, Effect.succeed("1")), after(500, Effect.succeed("2"))])
          yield* settle(hedge.race({ key: "k", safety }, send))
          return story.filter((line) => !line.includes("interrupted")).length
        })
      assert.strictEqual(yield* sendsOf("idempotent"), 2)
      assert.strictEqual(yield* sendsOf("costly"), 1)
      assert.strictEqual(yield* sendsOf("costly", { costly: true }), 2)
      assert.strictEqual(yield* sendsOf("unsafe", { costly: true }), 1)
    })
  )

  it.effect("does not start a second send that has no slot", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ delay: 100, maxExtra: 1 })
      let asked = 0
      const second = () => {
        asked++
        return undefined
      }
      const { send } = sender([after(500, Effect.succeed("alone"))])
      const { exit, millis } = yield* settle(hedge.race({ ...call, second }, send))
      assert.deepStrictEqual([exit, millis, asked], [Exit.succeed("alone"), 500, 1])
    })
  )

  it.effect("interrupts both sends with the call, and waits for them", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ delay: 100, maxExtra: 1 })
      const { send, story } = sender([Effect.never, Effect.never])
      const fiber = yield* Effect.forkChild(hedge.race(call, send), { startImmediately: true })
      yield* TestClock.adjust(200)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(story, ["send 1", "send 2", "send 1 interrupted", "send 2 interrupted"])
    })
  )

  it.effect("measures each key, the newest sends only, and never goes under minDelay", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ maxExtra: 0, minDelay: 20 })
      const sends = (millis: number, times: number, key = "k") =>
        settle(Effect.repeat(hedge.race({ ...call, key }, Effect.sleep(millis)), { times: times - 1 }))
      yield* sends(100, 19)
      assert.isUndefined(hedge.delayMillisUnsafe("k"))
      yield* sends(100, 1)
      assert.strictEqual(hedge.delayMillisUnsafe("k"), 101)
      yield* sends(10, 20, "other")
      assert.strictEqual(hedge.delayMillisUnsafe("other"), 20)
      yield* sends(300, 10)
      assert.strictEqual(hedge.delayMillisUnsafe("k"), 301)
      yield* sends(50, 300)
      assert.strictEqual(hedge.delayMillisUnsafe("k"), 51)
    })
  )

  it.effect("remembers no more than maxKeys keys", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ maxKeys: 2, minSamples: 1 })
      for (const key of ["a", "b", "c"]) yield* hedge.race({ ...call, key }, Effect.void)
      assert.deepStrictEqual(
        ["a", "b", "c"].map((key) => hedge.delayMillisUnsafe(key) !== undefined),
        [false, true, true]
      )
    })
  )

  it.effect("works on any effect", () =>
    Effect.gen(function* () {
      const { send, story } = sender([Effect.never, Effect.succeed("second")])
      const { exit } = yield* settle(send.pipe(Hedge.hedge({ delay: 100, maxExtra: 1 })))
      assert.deepStrictEqual(exit, Exit.succeed("second"))
      assert.strictEqual(story.length, 3)
    })
  )

  // 3 % of the sends take 10 s instead of 50 ms: without hedges the 99th percentile is 10 s.
  const simulate = (options: Hedge.Options, calls: number) =>
    Effect.gen(function* () {
      const maxConcurrency = 12
      const hedge = yield* Hedge.make(options)
      const slots = yield* Concurrency.make({ maxConcurrency })
      let sends = 0
      let most = 0
      const send = Effect.gen(function* () {
        sends++
        most = Math.max(most, slots.inFlight("k"))
        yield* Effect.sleep((yield* Random.next) < 0.03 ? 10_000 : 50)
      })
      const second = () =>
        slots.takeUnsafe("k")
          ? Effect.ensuring(
              send,
              Effect.sync(() => slots.releaseUnsafe("k"))
            )
          : undefined
      const latencies: Array<number> = []
      const ask = Effect.gen(function* () {
        const began = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* hedge.race({ ...call, second }, slots.withSlot("k")(send))
        latencies.push((yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - began)
      })
      yield* settle(Effect.forEach(Array.from({ length: calls }), () => ask, { concurrency: 10, discard: true }))
      latencies.sort((a, b) => a - b)
      const at = (share: number) => latencies[Math.ceil(calls * share) - 1] ?? NaN
      assert.strictEqual(slots.inFlight("k"), 0)
      assert.isAtMost(most, maxConcurrency)
      return { p50: at(0.5), p99: at(0.99), extra: (sends - calls) / calls }
    })

  it.effect.each([1, 2, 3, 4, 5])("cuts the tail with few extra sends and within the slots (seed %i)", (seed) =>
    Effect.gen(function* () {
      const { extra, p50, p99 } = yield* simulate({}, 2_000)
      assert.strictEqual(p50, 50)
      assert.isAtMost(p99, 2.5 * p50)
      assert.isAtMost(extra, 0.06)
    }).pipe(Random.withSeed(seed))
  )

  it.effect("keeps to its budget when everything is slow", () =>
    Effect.gen(function* () {
      const { extra } = yield* simulate({ delay: 10 }, 1_000)
      assert.isAtLeast(extra, 0.04)
      assert.isAtMost(extra, 0.05)
    }).pipe(Random.withSeed(1))
  )
})
