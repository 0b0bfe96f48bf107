import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Fiber } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Deadline, SharedRateLimit } from "holdfast/policy"

/** Two processes with one store. */
const both = (options: SharedRateLimit.Options) =>
  Effect.map(RateLimiter.make, (limiter) => ({
    limiter,
    one: SharedRateLimit.make(limiter, options),
    other: SharedRateLimit.make(limiter, options)
  })).pipe(Effect.provide(RateLimiter.layerStoreMemory))

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

describe("SharedRateLimit", () => {
  it.effect("counts the requests of all together, at most twice the limit in a minute", () =>
    Effect.gen(function* () {
      const { one, other } = yield* both({ requestsPerMinute: 30 })
      const starts: Array<number> = []
      const send = Effect.map(Clock.currentTimeMillis, (at) => void starts.push(at))
      const fibers = yield* Effect.forEach(Array.from({ length: 100 }), (_, n) =>
        fork(send.pipe((n % 2 === 0 ? one : other).withLimit({ key: "k" })))
      )
      for (let second = 0; second < 300; second++) yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(starts.length, 100)
      for (const at of starts) assert.isAtMost(starts.filter((start) => start <= at && start > at - 60_000).length, 60)
      assert.isAtMost(starts.at(-1) ?? Infinity, 190_000)
      assert.isAtLeast(starts.at(-1) ?? 0, 180_000)
    })
  )

  it.effect("counts tokens, and lets a call larger than the window take all of it", () =>
    Effect.gen(function* () {
      const { one, other } = yield* both({ tokensPerMinute: 600 })
      yield* one.take("k", 600)
      const waiting = yield* fork(Effect.andThen(other.take("k", 9_000), Clock.currentTimeMillis))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      // To the moment itself: a clock that goes further may have gone before the fiber has read it.
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), 60_000)
    })
  )

  it.effect("serves the first of a process first, and takes no tokens for who is interrupted", () =>
    Effect.gen(function* () {
      const { limiter, one, other } = yield* both({ tokensPerMinute: 600 })
      yield* one.take("k", 600)
      const taken: Array<number | undefined> = []
      const spy: RateLimiter.RateLimiter = {
        ...limiter,
        consume: (options) => Effect.tap(limiter.consume(options), () => Effect.sync(() => taken.push(options.tokens)))
      }
      const limit = SharedRateLimit.make(spy, { tokensPerMinute: 600 })
      const gone = yield* fork(limit.take("k", 600))
      const large = yield* fork(limit.take("k", 500))
      const small = yield* fork(limit.take("k", 50))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("51 seconds")
      yield* Fiber.joinAll([large, small])
      assert.deepStrictEqual(taken, [500, 50])
      yield* other.take("k", 50)
    })
  )

  it.effect("fails at once when the wait does not fit, and takes nothing then", () =>
    Effect.gen(function* () {
      const { one } = yield* both({ requestsPerMinute: 6, maxWait: "50 seconds" })
      yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => one.take("k"))
      const hasty = yield* Effect.flip(Deadline.within(one.take("k"), "30 seconds"))
      assert.deepStrictEqual([hasty._tag, hasty.phase], ["DeadlineExceeded", "notSent"])
      const shed = yield* Effect.flip(one.take("k"))
      assert.deepStrictEqual(shed._tag === "Shed" ? shed.retryAfter : undefined, Duration.minutes(1))
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      yield* TestClock.adjust("1 minute")
      yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => one.take("k"))
    })
  )

  it.effect("shows the store no key as it is", () =>
    Effect.gen(function* () {
      const { limiter } = yield* both({})
      const keys: Array<string> = []
      const spy: RateLimiter.RateLimiter = {
        ...limiter,
        consume: (options) => {
          keys.push(options.key)
          return limiter.consume(options)
        }
      }
      const limit = SharedRateLimit.make(spy, { requestsPerMinute: 5, tokensPerMinute: 5_000 })
      yield* limit.take("https://api.example.com sk-secret tenant-7")
      assert.strictEqual(keys.length, 2)
      for (const key of keys) assert.match(key, /^[0-9a-f]{64}:(requests|tokens)$/)
    })
  )

  it.effect("lets calls pass while the store fails or hangs, or sheds them when told so", () =>
    Effect.gen(function* () {
      const { limiter } = yield* both({})
      const reason = new RateLimiter.RateLimitStoreError({ message: "down" })
      const down = { ...limiter, consume: () => Effect.fail(new RateLimiter.RateLimiterError({ reason })) }
      yield* SharedRateLimit.make(down, { requestsPerMinute: 1 }).take("k")
      const strict = SharedRateLimit.make(down, { requestsPerMinute: 1, onStoreError: "shed" })
      assert.strictEqual((yield* Effect.flip(strict.take("k")))._tag, "Shed")
      let asked = 0
      // The key's hash takes real time: virtual time may go on only when the store has been asked.
      const isAsked = yield* Deferred.make<void>()
      const hung = {
        ...limiter,
        consume: () =>
          Effect.suspend(() => {
            asked++
            return Effect.andThen(Deferred.succeed(isAsked, undefined), Effect.never)
          })
      }
      const limit = SharedRateLimit.make(hung, { requestsPerMinute: 1 })
      const waiting = yield* Effect.forEach(Array.from({ length: 50 }), () => fork(limit.take("k")))
      yield* Deferred.await(isAsked)
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(waiting)
      assert.strictEqual(asked, 1)
      // After a rest it is asked again.
      yield* TestClock.adjust("10 seconds")
      yield* fork(limit.take("k"))
      assert.strictEqual(asked, 2)
    })
  )
})
