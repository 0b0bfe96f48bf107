import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency, Deadline, PolicyError, RateLimit } from "holdfast/policy"

const minute = 60_000

interface Start {
  readonly n: number
  readonly at: number
  readonly tokens: number
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

/** The most that any 60 s hold, both ends counted. */
const fullest = (starts: ReadonlyArray<Start>, of: (start: Start) => number): number =>
  Math.max(
    ...starts.map(({ at }) =>
      starts.reduce((sum, start) => (start.at <= at && start.at >= at - minute ? sum + of(start) : sum), 0)
    )
  )

describe("RateLimit.withLimit", () => {
  it.effect("runs 500 calls in order within both limits, in at most 1.1 times the shortest time", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 60, tokensPerMinute: 10_000 })
      const starts: Array<Start> = []
      const sizes = yield* Effect.forEach(numbers(500), () => Random.nextIntBetween(1, 500))
      const fibers = yield* Effect.forEach(sizes, (tokens, n) => {
        const send = Effect.map(Clock.currentTimeMillis, (at) => void starts.push({ n, at, tokens }))
        return Effect.forkChild(
          send.pipe(Effect.andThen(Effect.sleep("5 seconds")), RateLimit.withLimit(limit, { key: "k", tokens })),
          {
            startImmediately: true
          }
        )
      })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(
        starts.map(({ n }) => n),
        numbers(500)
      )
      assert.isAtMost(
        fullest(starts, () => 1),
        60
      )
      assert.isAtMost(
        fullest(starts, ({ tokens }) => tokens),
        10_000
      )
      const total = sizes.reduce((sum, tokens) => sum + tokens, 0)
      const shortest = minute * (Math.ceil(total / 10_000) - 1)
      assert.isAtMost(starts.at(-1)?.at ?? Infinity, shortest * 1.1)
    }).pipe(Random.withSeed("500 calls"))
  )

  it.effect("gives the reservation back of who is cancelled while it waits", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
      const run = (tokens: number) => Clock.currentTimeMillis.pipe(RateLimit.withLimit(limit, { key: "k", tokens }))
      yield* run(80)
      const large = yield* Effect.forkChild(run(100), { startImmediately: true })
      const small = yield* Effect.forkChild(run(20), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      // The large one is first; nobody passes it.
      assert.isUndefined(small.pollUnsafe())
      yield* Fiber.interrupt(large)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* Fiber.join(small), 10_000)
      assert.deepStrictEqual(limit.usedUnsafe("k", 10_000), { requests: 0, tokens: 100 })
    })
  )

  it.effect("does not starve a large call behind which small ones keep coming", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
      const run = (tokens: number) => Clock.currentTimeMillis.pipe(RateLimit.withLimit(limit, { key: "k", tokens }))
      yield* run(50)
      yield* TestClock.adjust("30 seconds")
      yield* run(50)
      const large = yield* Effect.forkChild(run(100), { startImmediately: true })
      for (let n = 0; n < 200; n++) {
        yield* Effect.forkChild(run(10), { startImmediately: true })
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(yield* Fiber.join(large), 90_001)
    })
  )

  it.effect("settles with what the result says, and lets the next one go at once", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
      const answer = Effect.delay(Effect.succeed({ usage: 15 }), "2 seconds")
      const first = yield* answer.pipe(
        RateLimit.withLimit(limit, { key: "k", tokens: 90, tokensOf: ({ usage }: { usage: number }) => usage }),
        Effect.forkChild({ startImmediately: true })
      )
      const second = yield* Clock.currentTimeMillis.pipe(
        RateLimit.withLimit(limit, { key: "k", tokens: 80 }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(first), { usage: 15 })
      assert.strictEqual(yield* Fiber.join(second), 2_000)
      assert.strictEqual(limit.usedUnsafe("k", 2_000).tokens, 95)
    })
  )

  it.effect("keeps the result and the estimate when reading the tokens throws", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
      const tokensOf = () => {
        throw new Error("no usage")
      }
      const result = yield* Effect.succeed("ok").pipe(RateLimit.withLimit(limit, { key: "k", tokens: 40, tokensOf }))
      assert.strictEqual(result, "ok")
      assert.strictEqual(limit.usedUnsafe("k", 0).tokens, 40)
    })
  )

  it.effect("refunds what was not sent and keeps what may have been", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 100, tokensPerMinute: 1000 })
      const failWith = (phase: "notSent" | "maybeSent") =>
        Effect.fail({ isRetryable: true, phase }).pipe(
          RateLimit.withLimit(limit, { key: "k", tokens: 10 }),
          Effect.flip
        )
      yield* failWith("notSent")
      assert.deepStrictEqual(limit.usedUnsafe("k", 0), { requests: 0, tokens: 0 })
      yield* failWith("maybeSent")
      assert.deepStrictEqual(limit.usedUnsafe("k", 0), { requests: 1, tokens: 10 })
      const running = yield* Effect.never.pipe(
        RateLimit.withLimit(limit, { key: "k", tokens: 10 }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(limit.usedUnsafe("k", 0), { requests: 2, tokens: 20 })
    })
  )

  it.effect("fails at once when the wait does not fit the deadline, also behind others", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 2 })
      const run = Clock.currentTimeMillis.pipe(RateLimit.withLimit(limit, { key: "k" }))
      yield* run
      yield* run
      const hasty = yield* Effect.flip(Deadline.within(run, "30 seconds"))
      assert.instanceOf(hasty, PolicyError.DeadlineExceeded)
      assert.strictEqual(hasty._tag === "DeadlineExceeded" ? hasty.phase : "", "notSent")
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      const waiting = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(Deadline.within(run, "90 seconds"), { startImmediately: true })
      )
      // These two have the second minute for themselves, so the third comes in the third.
      assert.instanceOf(yield* Effect.flip(Deadline.within(run, "90 seconds")), PolicyError.DeadlineExceeded)
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      yield* TestClock.adjust("90 seconds")
      assert.deepStrictEqual(yield* Fiber.joinAll(waiting), [60_001, 60_001])
    })
  )

  it.effect("sheds who would wait longer than maxWait, who finds the line full, and who can never pass", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({
        requestsPerMinute: 1,
        tokensPerMinute: 100,
        maxWait: "3 minutes",
        maxQueue: 2,
        oversize: "refuse"
      })
      const run = (key: string, tokens = 1) => Effect.void.pipe(RateLimit.withLimit(limit, { key, tokens }))
      yield* run("k")
      yield* Effect.forkChild(run("k"), { startImmediately: true })
      yield* Effect.forkChild(run("k"), { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(run("k")))._tag, "Shed")
      assert.strictEqual((yield* Effect.flip(run("other", 101)))._tag, "Shed")
      const slow = RateLimit.makeUnsafe({ requestsPerMinute: 0.1, maxWait: "3 minutes" })
      yield* Effect.void.pipe(RateLimit.withLimit(slow, { key: "k" }))
      const shed = yield* Effect.flip(Effect.void.pipe(RateLimit.withLimit(slow, { key: "k" })))
      assert.deepStrictEqual(shed._tag === "Shed" ? shed.retryAfter : undefined, Duration.millis(600_001))
    })
  )

  it.effect("holds everybody of a key while the provider asked one of them to wait", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe()
      const throttled = {
        isRetryable: true,
        isThrottle: true,
        phase: "rejected",
        retryAfter: Duration.seconds(20)
      } as const
      yield* Effect.flip(Effect.fail(throttled).pipe(RateLimit.withLimit(limit, { key: "k" })))
      const run = (key: string) => Clock.currentTimeMillis.pipe(RateLimit.withLimit(limit, { key }))
      const other = yield* Effect.forkChild(run("k"), { startImmediately: true })
      assert.strictEqual(yield* run("other key"), 0)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(other), 20_000)
    })
  )

  it.effect("keeps nothing of 300 calls that are interrupted at random", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 20, tokensPerMinute: 1_000 })
      let now = 0
      let ran = 0
      const gate = yield* Deferred.make<void>()
      const fibers = yield* Effect.forEach(numbers(300), () =>
        Effect.forkChild(
          Effect.sync(() => ran++).pipe(
            Effect.andThen(Deferred.await(gate)),
            RateLimit.withLimit(limit, { key: "k", tokens: 30 })
          ),
          { startImmediately: true }
        )
      )
      for (; now < 10 * minute; now += 5_000) {
        const victim = fibers[yield* Random.nextIntBetween(0, fibers.length - 1)]
        if (victim !== undefined) yield* Fiber.interrupt(victim)
        const used = limit.usedUnsafe("k", now)
        assert.isAtMost(used.requests, 20)
        assert.strictEqual(used.tokens, used.requests * 30)
        yield* TestClock.adjust("5 seconds")
      }
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("30 minutes")
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      const interrupted = exits.filter(Exit.hasInterrupts).length
      assert.isAtLeast(interrupted, 50)
      assert.isAtLeast(ran, 300 - interrupted)
      assert.deepStrictEqual(limit.usedUnsafe("k", now + 40 * minute), { requests: 0, tokens: 0 })
      const last = yield* Effect.exit(Effect.void.pipe(RateLimit.withLimit(limit, { key: "k" })))
      assert.isTrue(Exit.isSuccess(last))
    }).pipe(Random.withSeed("victims"))
  )

  it.effect("learns from the first answer how many of those in flight the provider will still count", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe()
      let sent = 0
      // A provider that lets 10 pass in a minute, and answers in order.
      const send = Effect.gen(function* () {
        const remaining = 10 - ++sent
        yield* Effect.sleep(`${sent} seconds`)
        yield* RateLimit.learn(limit, "k", { requests: { remaining, resetMillis: 60_000 } })
      }).pipe(RateLimit.withLimit(limit, { key: "k" }))
      yield* Effect.forEach(numbers(6), () => Effect.forkChild(send, { startImmediately: true }))
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(numbers(20), () => Effect.forkChild(send, { startImmediately: true }))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(sent, 10)
    })
  )

  it.effect("is granted together with a slot, or neither", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 3 })
      const slots = Concurrency.makeUnsafe({ maxConcurrency: 2 }, limit)
      const starts: Array<number> = []
      const task = Effect.flatMap(Clock.currentTimeMillis, (at) => {
        starts.push(at)
        assert.isAtMost(limit.usedUnsafe("k", at).requests, 3)
        return Effect.sleep("10 seconds")
      })
      const fibers = yield* Effect.forEach(numbers(6), () =>
        Effect.forkChild(slots.withSlot("k")(task), { startImmediately: true })
      )
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(starts, [0, 0, 10_000, 60_001, 60_001, 70_001])
    })
  )
})
