import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency, PolicyError, type Retryable } from "holdfast/policy"

class Throttled implements Retryable.Retryable {
  readonly _tag = "Throttled"
  readonly isRetryable = true
  readonly isThrottle = true
}

/** A server with room for `capacity` calls of `millis` each; what it does with more is its kind. */
class Server {
  capacity: number
  inFlight = 0
  answered = 0
  throttled = 0
  millis = 1000
  readonly call: Effect.Effect<void, Throttled | PolicyError.AttemptTimeout>
  constructor(capacity: number, kind: "throttles" | "slows" | "hangs", spread = 0) {
    this.capacity = capacity
    this.call = Effect.gen({ self: this }, function* () {
      const load = ++this.inFlight / this.capacity
      const noise = spread === 0 ? 1 : Math.exp(spread * (yield* normal) - spread ** 2 / 2)
      const work = Effect.gen({ self: this }, function* () {
        if (load > 1 && kind === "throttles") {
          yield* Effect.sleep("50 millis")
          this.throttled++
          return yield* Effect.fail(new Throttled())
        }
        if (load > 1 && kind === "hangs") {
          yield* Effect.sleep("5 seconds")
          return yield* Effect.fail(new PolicyError.AttemptTimeout({ key: "server", timeoutMillis: 5000 }))
        }
        yield* Effect.sleep(this.millis * noise * (kind === "slows" ? Math.max(1, load) : 1))
        this.answered++
      })
      yield* Effect.onExit(work, () => Effect.sync(() => this.inFlight--))
    })
  }
}

/** Twelve uniform numbers, summed, are normal enough. */
const normal = Effect.map(Effect.all(Array.from({ length: 12 }, () => Random.next)), (all) =>
  all.reduce((sum, one) => sum + one, -6)
)

/** Callers who never stop: always more of them than the limit. */
const crowd = (slots: Concurrency.Concurrency, server: Server, callers: number) =>
  Effect.forkChild(
    Effect.forEach(
      Array.from({ length: callers }),
      () =>
        Effect.forever(
          Effect.catch(slots.withSlot("server")(server.call), (error) =>
            error._tag === "Throttled" ? Effect.sleep("100 millis") : Effect.void
          )
        ),
      { concurrency: "unbounded", discard: true }
    )
  )

/** What happens in `seconds`: the limit, looked at each second, and the answers per second. */
const watch = (slots: Concurrency.Concurrency, server: Server, seconds: number) =>
  Effect.gen(function* () {
    const limits: Array<number> = []
    const before = server.answered
    for (let second = 0; second < seconds; second++) {
      yield* TestClock.adjust("1 second")
      limits.push(slots.limit("server"))
    }
    const goodput = (server.answered - before) / seconds
    return { least: Math.min(...limits), most: Math.max(...limits), goodput }
  })

const make = (options: Concurrency.Adaptive = {}): Concurrency.Concurrency =>
  Concurrency.makeUnsafe({ maxConcurrency: 400, adaptive: options })

describe("adaptive Concurrency", () => {
  for (const kind of ["throttles", "slows"] as const) {
    it.effect(
      `stays within 0.9 to 1.1 of the capacity of a server that ${kind} past it, and follows it up and down`,
      () =>
        Effect.gen(function* () {
          const server = new Server(20, kind)
          const slots = make()
          const callers = yield* crowd(slots, server, 200)
          for (const capacity of [20, 40, 20]) {
            server.capacity = capacity
            yield* watch(slots, server, 60)
            const { goodput, least, most } = yield* watch(slots, server, 120)
            assert.isAtLeast(least, 0.9 * capacity)
            assert.isAtMost(most, 1.1 * capacity)
            assert.isAtLeast(goodput, 0.9 * capacity)
          }
          yield* Fiber.interrupt(callers)
        })
    )
  }

  it.effect("asks a server that throttles only now and then for more than it has", () =>
    Effect.gen(function* () {
      const server = new Server(40, "throttles")
      const callers = yield* crowd(make(), server, 200)
      yield* TestClock.adjust("1 minute")
      const before = { ...server }
      yield* TestClock.adjust("2 minutes")
      // It comes to one too many every fourth window of 40 calls; what comes in until the step back is throttled too.
      const share = (server.throttled - before.throttled) / (server.answered - before.answered)
      assert.isAtMost(share, 0.05)
      yield* Fiber.interrupt(callers)
    })
  )

  it.effect("keeps nine tenths of the capacity where latencies scatter by themselves", () =>
    Effect.gen(function* () {
      const server = new Server(40, "slows", 0.3)
      const slots = make()
      const callers = yield* crowd(slots, server, 200)
      yield* watch(slots, server, 60)
      const { goodput, least, most } = yield* watch(slots, server, 200)
      assert.isAtLeast(goodput, 0.9 * 40)
      assert.isAtLeast(least, 0.7 * 40)
      assert.isAtMost(most, 2 * 40)
      yield* Fiber.interrupt(callers)
    }).pipe(Random.withSeed("scatter"))
  )

  it.effect("comes back when calls take longer for reasons of their own", () =>
    Effect.gen(function* () {
      const server = new Server(40, "slows")
      const slots = make()
      const callers = yield* crowd(slots, server, 200)
      yield* watch(slots, server, 60)
      server.millis = 3000
      yield* watch(slots, server, 180)
      const { goodput, least, most } = yield* watch(slots, server, 240)
      assert.isAtLeast(goodput, (0.9 * 40) / 3)
      assert.isAtLeast(least, 0.7 * 40)
      assert.isAtMost(most, 1.1 * 40)
      yield* Fiber.interrupt(callers)
    })
  )

  it.effect("steps back from a server that hangs", () =>
    Effect.gen(function* () {
      const server = new Server(40, "hangs")
      const slots = make()
      const callers = yield* crowd(slots, server, 200)
      yield* watch(slots, server, 60)
      const { least, most } = yield* watch(slots, server, 200)
      assert.isAtLeast(least, 0.5 * 40)
      assert.isAtMost(most, 1.1 * 40)
      yield* Fiber.interrupt(callers)
    })
  )

  it.effect("does not grow while it is not used, and learns nothing from failures and interruptions", () =>
    Effect.gen(function* () {
      const slots = make({ initial: 10 })
      const call = Effect.sleep("1 second").pipe(slots.withSlot("k"))
      const three = Effect.all([call, call, call], { concurrency: "unbounded", discard: true })
      const callers = yield* Effect.forkChild(Effect.forever(three))
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(slots.limit("k"), 10)
      yield* Fiber.interrupt(callers)
      for (let n = 0; n < 100; n++) yield* Effect.exit(slots.withSlot("k")(Effect.fail("no")))
      assert.strictEqual(slots.limit("k"), 10)
    })
  )

  it.effect("keeps within its bounds, and within those of a resize", () =>
    Effect.gen(function* () {
      const slots = make({ min: 4, max: 30, initial: 50 })
      assert.strictEqual(slots.limit("k"), 30)
      const throttle = Effect.ignore(slots.withSlot("k")(Effect.fail(new Throttled())))
      for (let n = 0; n < 20; n++) yield* throttle
      assert.strictEqual(slots.limit("k"), 4)
      const calls = Effect.all(
        Array.from({ length: 60 }, () => slots.withSlot("k")(Effect.sleep("1 second"))),
        { concurrency: "unbounded", discard: true }
      )
      const callers = yield* Effect.forkChild(Effect.forever(calls))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(slots.limit("k"), 30)
      yield* slots.resize(12)
      assert.deepStrictEqual([slots.limit("k"), slots.limit("new")], [12, 12])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([slots.limit("k"), slots.inFlight("k")], [12, 12])
      yield* Fiber.interrupt(callers)
    })
  )

  it.effect("learns of each key by itself, from the samples that it is given", () =>
    Effect.gen(function* () {
      const slots = make({ initial: 10, backoffRatio: 0.5 })
      for (let n = 0; n < 10; n++) assert.isTrue(slots.takeUnsafe("a"))
      slots.releaseUnsafe("a", { outcome: "throttled", durationMillis: 20 })
      assert.deepStrictEqual([slots.limit("a"), slots.limit("b")], [5, 10])
      // Those that were in flight at the same time say the same thing once.
      for (let n = 0; n < 9; n++) slots.releaseUnsafe("a", { outcome: "throttled", durationMillis: 20 })
      assert.strictEqual(slots.limit("a"), 5)
      assert.strictEqual(slots.inFlight("a"), 0)
    })
  )
})
