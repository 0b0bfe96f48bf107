import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Random, Schedule, Semaphore } from "effect"
import { TestClock } from "effect/testing"
import { RetryBudget } from "holdfast/policy"

const twice = Schedule.recurs(2)

/** Two retries, each after a wait from `[0, 500 ms)`: what a policy does by default, nearly. */
const backoff = Schedule.modifyDelay(Schedule.recurs(2), () =>
  Effect.map(Random.next, (random) => Duration.millis(500 * random))
)

interface Server {
  /** How long an answer takes, or a failure. Default: 50 ms both. */
  readonly latency?: (isFailing: boolean) => Duration.Input
  /** Whether the n-th send of a call fails, from 1. */
  readonly fails: (send: number) => boolean
}

/** A server that counts what it is sent, and one call of it with its retries. */
const serve = ({ fails, latency = () => "50 millis" }: Server) => {
  const seen = { sends: 0 }
  const call = (budget: RetryBudget.RetryBudget, schedule: Schedule.Schedule<unknown, unknown> = backoff) =>
    Effect.suspend(() => {
      let sends = 0
      const send = Effect.suspend(() => {
        seen.sends++
        const isFailing = fails(++sends)
        return Effect.delay(isFailing ? Effect.fail("down") : Effect.void, latency(isFailing))
      })
      return send.pipe(RetryBudget.retry(budget, schedule))
    })
  return { seen, call }
}

const dead: Server = { fails: () => true }

/** Runs `calls` calls, `inFlight` at a time, each with its retries, and returns how many ended in failure. */
const load = <E>(call: Effect.Effect<void, E>, calls: number, inFlight: number) =>
  Effect.gen(function* () {
    const all = Effect.forEach(
      Array.from({ length: calls }, () => call),
      (one) => Effect.exit(one),
      { concurrency: inFlight }
    )
    const fiber = yield* Effect.forkChild(all)
    yield* TestClock.adjust("1 hour")
    return (yield* Fiber.join(fiber)).filter(Exit.isFailure).length
  })

describe("RetryBudget", () => {
  it("holds the floor at the start and a tenth of a retry more for each call, up to twice the floor", () => {
    const budget = RetryBudget.makeUnsafe()
    assert.strictEqual(budget.available, 250)
    for (let call = 0; call < 10; call++) budget.depositUnsafe()
    assert.strictEqual(budget.available, 251)
    for (let call = 0; call < 10_000; call++) budget.depositUnsafe()
    assert.strictEqual(budget.available, 500)
    budget.refundUnsafe()
    assert.strictEqual(budget.available, 500)
  })

  it("gives a retry for ten calls exactly, and none for nine", () => {
    const budget = RetryBudget.makeUnsafe({ floor: 0, max: 10 })
    for (let call = 0; call < 9; call++) budget.depositUnsafe()
    assert.isFalse(budget.takeUnsafe())
    budget.depositUnsafe()
    assert.isTrue(budget.takeUnsafe())
    assert.isFalse(budget.takeUnsafe())
    budget.refundUnsafe()
    assert.isTrue(budget.takeUnsafe())
  })

  it("never holds more than its max, whatever the floor", () => {
    assert.strictEqual(RetryBudget.makeUnsafe({ floor: 50, max: 20 }).available, 20)
    const unbounded = RetryBudget.makeUnsafe({ floor: Infinity })
    for (let retry = 0; retry < 1000; retry++) assert.isTrue(unbounded.takeUnsafe())
  })

  it.effect("keeps retries <= ratio x calls + floor + refunds, whatever happens in whatever order", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        const ratio = (yield* Random.nextIntBetween(0, 30)) / 100
        const floor = yield* Random.nextIntBetween(0, 40)
        const budget = yield* RetryBudget.make({ ratio, floor })
        let [calls, taken, refunds] = [0, 0, 0]
        for (let step = 0; step < 1000; step++) {
          const dice = yield* Random.nextIntBetween(0, 9)
          if (dice < 4) {
            budget.depositUnsafe()
            calls++
          } else if (dice < 9) {
            if (budget.takeUnsafe()) taken++
          } else if (refunds < taken) {
            budget.refundUnsafe()
            refunds++
          }
          assert.isAtMost(taken, Math.floor(ratio * calls + floor + refunds + 1e-6))
          assert.isAtLeast(budget.available, 0)
          assert.isAtMost(budget.available, 2 * floor)
        }
      }
    }).pipe(Random.withSeed("any order"))
  )

  for (const inFlight of [1, 100, 1000]) {
    it.effect(
      `sends at most 1 100 requests and the floor for 1 000 calls of a dead server, ${inFlight} in flight`,
      () =>
        Effect.gen(function* () {
          const budget = yield* RetryBudget.make({ floor: 20, max: 200 })
          const { call, seen } = serve(dead)
          assert.strictEqual(yield* load(call(budget), 1000, inFlight), 1000)
          assert.isAtMost(seen.sends, 1100 + 20)
          // A tenth is not lost either: it is a budget, not a ban.
          assert.isAtLeast(seen.sends, 1100)
        }).pipe(Random.withSeed("dead"))
    )
  }

  it.effect("sends at most 1 350 requests for 1 000 calls of a dead server by its defaults", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      const { call, seen } = serve(dead)
      yield* load(call(budget), 1000, 100)
      assert.isAtMost(seen.sends, 1100 + 250)
      assert.isAtLeast(seen.sends, 1100)
    }).pipe(Random.withSeed("dead by default"))
  )

  it.effect("gives a server that dies in good times no more than the max on top of a tenth", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      let isDead = false
      const { call, seen } = serve({ fails: () => isDead })
      yield* load(call(budget), 3000, 100)
      assert.deepStrictEqual([seen.sends, budget.available], [3000, 500])
      isDead = true
      yield* load(call(budget), 1000, 100)
      assert.isAtMost(seen.sends, 3000 + 1100 + 500)
    }).pipe(Random.withSeed("mortal"))
  )

  const latencies = {
    "failures as slow as answers": () => "50 millis",
    "failures at once and slow answers": (isFailing) => (isFailing ? "10 millis" : "1 second")
  } satisfies Record<string, Server["latency"]>
  for (const [name, latency] of Object.entries<(isFailing: boolean) => Duration.Input>(latencies)) {
    for (const inFlight of [100, 1000]) {
      it.effect(`refuses nobody when 30 % of calls fail once: ${inFlight} in flight, ${name}`, () =>
        Effect.gen(function* () {
          const budget = yield* RetryBudget.make()
          let unlucky = 0
          const call = Effect.gen(function* () {
            const isUnlucky = (yield* Random.next) < 0.3
            if (isUnlucky) unlucky++
            yield* serve({ latency, fails: (send) => isUnlucky && send === 1 }).call(budget)
          })
          assert.strictEqual(yield* load(call, 4000, inFlight), 0)
          assert.isAbove(unlucky, 1100)
          // Every token came back, so the next failure finds as many.
          assert.isAtLeast(budget.available, 250)
        }).pipe(Random.withSeed(`${name} ${inFlight}`))
      )
    }
  }

  it.effect("refuses nobody who queues for a slot when the token is taken with the slot, and many when before", () =>
    Effect.gen(function* () {
      const batch = (isTakenWithSlot: boolean) =>
        Effect.gen(function* () {
          const budget = yield* RetryBudget.make({ floor: 50 })
          const slots = yield* Semaphore.make(100)
          const take = Effect.suspend(() => (budget.takeUnsafe() ? Effect.void : Effect.fail("no token")))
          const send = (isFailing: boolean) => Effect.delay(isFailing ? Effect.fail("down") : Effect.void, "50 millis")
          const retry = isTakenWithSlot
            ? Effect.andThen(take, send(false)).pipe(slots.withPermit)
            : Effect.andThen(take, send(false).pipe(slots.withPermit))
          const call = Effect.gen(function* () {
            budget.depositUnsafe()
            const isUnlucky = (yield* Random.next) < 0.3
            yield* send(isUnlucky).pipe(
              slots.withPermit,
              Effect.catch(() => Effect.tap(retry, () => Effect.sync(budget.refundUnsafe)))
            )
          })
          return yield* load(call, 2000, 2000)
        })
      assert.strictEqual(yield* batch(true), 0)
      assert.isAbove(yield* batch(false), 200)
    }).pipe(Random.withSeed("queue"))
  )

  it.effect("lets a small client that spent everything retry again ten calls later, and for good", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ floor: 2 })
      yield* load(serve(dead).call(budget), 10, 1)
      assert.isBelow(budget.available, 1)
      yield* load(serve({ fails: () => false }).call(budget), 10, 1)
      // One retry is enough for any number of calls that fail once, since it comes back.
      assert.strictEqual(yield* load(serve({ fails: (send) => send === 1 }).call(budget), 100, 1), 0)
    })
  )

  describe("retry", () => {
    it.effect("fails with the error that it has, at once, when no retry is left", () =>
      Effect.gen(function* () {
        const budget = yield* RetryBudget.make({ floor: 0 })
        let sends = 0
        const call = Effect.suspend(() => Effect.fail(`failure ${++sends}`))
        const error = yield* Effect.flip(call.pipe(RetryBudget.retry(budget, Schedule.spaced("1 minute"))))
        assert.deepStrictEqual([error, sends], ["failure 1", 1])
      })
    )

    it.effect("takes its token when the wait is over, so that nobody misses it meanwhile", () =>
      Effect.gen(function* () {
        const budget = yield* RetryBudget.make({ floor: 1 })
        let sends = 0
        const call = Effect.suspend(() => (++sends === 1 ? Effect.fail("once") : Effect.succeed(sends)))
        const fiber = yield* Effect.forkChild(
          call.pipe(RetryBudget.retry(budget, Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 2 }))))
        )
        yield* TestClock.adjust("59 seconds")
        assert.isTrue(budget.takeUnsafe())
        budget.refundUnsafe()
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(fiber), 2)
        assert.isAtLeast(budget.available, 1)
      })
    )

    it.effect("keeps the token of a retry that fails", () =>
      Effect.gen(function* () {
        const budget = yield* RetryBudget.make({ floor: 5 })
        yield* Effect.ignore(Effect.fail("down").pipe(RetryBudget.retry(budget, twice)))
        assert.closeTo(budget.available, 3.1, 1e-9)
      })
    )

    it.effect("leaves a call alone that succeeds", () =>
      Effect.gen(function* () {
        const budget = yield* RetryBudget.make({ floor: 5 })
        assert.strictEqual(yield* Effect.succeed(7).pipe(RetryBudget.retry(budget, twice)), 7)
        assert.closeTo(budget.available, 5.1, 1e-9)
      })
    )
  })
})
