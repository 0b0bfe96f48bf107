/** All parts of a policy at once, under random calls: what was taken is given back, once, whatever happened. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Random, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, Policy, Release, type Retry, type Retryable } from "holdfast/policy"

class Failure implements Retryable.Retryable {
  readonly _tag = "Failure"
  readonly isRetryable: boolean
  readonly phase: Retryable.Phase
  readonly isThrottle: boolean
  readonly retryAfter: Duration.Duration | undefined
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number } | undefined
  constructor(options: Omit<Failure, "_tag">) {
    this.isRetryable = options.isRetryable
    this.phase = options.phase
    this.isThrottle = options.isThrottle
    this.retryAfter = options.retryAfter
    this.usage = options.usage
  }
}

const maxConcurrency = 4
const deadlineMillis = 8_000
const safeties = ["idempotent", "costly", "unsafe"] as const
const phases = ["notSent", "rejected", "maybeSent", "answered"] as const

const policy = Policy.make({
  maxConcurrency,
  maxQueue: 12,
  maxWait: "4 seconds",
  adaptive: { min: 1, max: maxConcurrency, initial: maxConcurrency },
  ageing: "1 seconds",
  retry: { retries: 3, base: 50, maxDelay: 500, retryWhen: (value) => value === "unwanted" },
  timeout: { attempt: 1_500, total: deadlineMillis },
  retryBudget: { floor: 10 },
  rateLimit: { requestsPerMinute: 600, tokensPerMinute: 6_000, window: "2 seconds" },
  circuit: { failures: 5, openFor: "300 millis" },
  hedge: { delay: 200, maxExtra: 1, costly: true },
  costBudget: { limit: 25_000 }
})

/** What the world saw of the calls. */
class World {
  sends = 0
  running = 0
  most = 0
  releases = 0
  /** What sends used that said it, and the worst case of those that did not say. */
  spent = 0
  readonly lateSends: Array<number> = []
  readonly spans: Array<{ ends: number }> = []
}

const estimate = { inputTokens: 10, maxTokens: 90 }
const worst = estimate.inputTokens + estimate.maxTokens

/** One send: it takes a while and ends in any way. Its exit says what it costs. */
const sendOf = (world: World, deadlineAt: number, tell: (usage: number | undefined) => void, isRelease: boolean) =>
  Effect.gen(function* () {
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    world.sends++
    if (!isRelease) world.most = Math.max(world.most, ++world.running)
    if (now >= deadlineAt) world.lateSends.push(now)
    if (yield* Random.nextBoolean) yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(0, 2_000)))
    const dice = yield* Random.next
    if (dice < 0.03) return yield* Effect.die("bug")
    if (dice < 0.05) return yield* Effect.interrupt
    const used = (yield* Random.nextBoolean) ? yield* Random.nextIntBetween(0, 150) : undefined
    if (dice < 0.5) {
      tell(used)
      return dice < 0.1 ? "unwanted" : "ok"
    }
    const phase = phases[yield* Random.nextIntBetween(0, 3)] ?? "maybeSent"
    const isThrottle = phase === "rejected" && dice < 0.7
    return yield* Effect.fail(
      new Failure({
        isRetryable: dice < 0.9,
        phase,
        isThrottle,
        retryAfter: isThrottle && dice < 0.6 ? Duration.millis(yield* Random.nextIntBetween(0, 1_000)) : undefined,
        usage: used === undefined ? undefined : { inputTokens: used, outputTokens: 0 }
      })
    )
  }).pipe(
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (isRelease) return
        world.running--
        const failure = Exit.findErrorOption(exit)
        if (Exit.isSuccess(exit)) return
        const error = failure._tag === "Some" ? failure.value : undefined
        const isFree = error?.usage === undefined && (error?.phase === "notSent" || error?.phase === "rejected")
        world.spent += error?.usage?.inputTokens ?? (isFree ? 0 : worst)
      })
    )
  )

const tracerOf = (world: World) =>
  Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const seen = { ends: 0 }
      if (options.name === "Policy.attempt") world.spans.push(seen)
      const end = span.end.bind(span)
      span.end = (time, exit) => {
        seen.ends++
        end(time, exit)
      }
      return span
    }
  })

/** One call of any kind, interrupted at any time or not. Returns how many attempts its story has. */
const callOf = (world: World, held: Policy.Held, keys: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(0, 6_000)))
    const recorder = new Attempt.Recorder()
    const key = keys[yield* Random.nextIntBetween(0, keys.length - 1)] ?? "a"
    const safety: Retry.Safety = safeties[yield* Random.nextIntBetween(0, 2)] ?? "unsafe"
    const kind = yield* Random.nextIntBetween(0, 9)
    const isRelease = kind === 0
    const isLease = kind > 0 && kind < 4
    let told: number | undefined
    const tell = (usage: number | undefined): void => {
      told = usage
      if (!isLease && !isRelease) world.spent += usage ?? worst
    }
    const usage = () => (told === undefined ? undefined : { inputTokens: told, outputTokens: 0 })
    const call = { key, safety, recorder, estimate: () => estimate, usage }
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const send = sendOf(world, now + deadlineMillis, tell, isRelease)
    const lease = Effect.gen(function* () {
      let isSettled = false
      const settle = (used: number | undefined): void => {
        if (!isSettled) world.spent += used ?? worst
        isSettled = true
      }
      // Finalizers run in the reverse order: this is told of what the lease's own end leaves.
      const opened = yield* held.lease(call, () =>
        Effect.tap(send, () => Effect.addFinalizer(() => Effect.sync(() => settle(undefined))))
      )
      let isStopped = false
      opened.onStop(() => {
        isStopped = true
        settle(undefined)
        opened.end("Draining")
      })
      if (yield* Random.nextBoolean) yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(0, 1_000)))
      if (isStopped || (yield* Random.nextBoolean)) return
      settle(7)
      opened.end("ok", { inputTokens: 7, outputTokens: 0 })
    })
    const applied = held.apply(call)(send)
    const asked = isLease ? Effect.scoped(lease) : isRelease ? Release.run(applied) : applied
    const fiber = yield* Effect.forkChild(Effect.exit(asked), { startImmediately: true })
    if (yield* Random.nextBoolean) {
      yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(0, 3_000)))
      yield* Fiber.interrupt(fiber)
    }
    yield* Fiber.await(fiber)
    return recorder.attempts.length
  })

describe("A policy with all of its parts", () => {
  const seeds = Array.from({ length: 100 }, (_, seed) => seed)

  it.effect.each(seeds)("gives back what it takes (seed %i)", (seed) =>
    Effect.gen(function* () {
      const world = new World()
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(Policy.open(policy), scope)
      const keys = seed % 3 === 0 ? ["a", "b"] : ["a"]
      const calls = Array.from({ length: 80 }, () => callOf(world, held, keys))
      const traced = Effect.provideService(
        Effect.forEach(calls, (one) => one, { concurrency: "unbounded" }),
        Tracer.Tracer,
        tracerOf(world)
      )
      const all = yield* Effect.forkChild(traced, { startImmediately: true })
      const drainsAt = seed % 2 === 0 ? yield* Random.nextIntBetween(0, 9_000) : Infinity
      let draining: Fiber.Fiber<Policy.DrainReport> | undefined
      let before = 0
      for (let millis = 0; all.pollUnsafe() === undefined; millis += 25) {
        if (millis >= drainsAt && draining === undefined) {
          draining = yield* Effect.forkChild(held.drain("500 millis"), { startImmediately: true })
        }
        yield* TestClock.adjust(25)
        for (const key of keys) {
          assert.isAtMost(held.concurrency.inFlight(key), maxConcurrency)
          assert.isAtMost(held.concurrency.waiting(key), 12)
        }
        assert.isAtMost((held.costBudget?.spent ?? 0) + (held.costBudget?.reserved ?? 0), 25_000 + 80 * 60)
        before = millis
      }
      const attempts = yield* Fiber.join(all)
      yield* TestClock.adjust("10 seconds")

      assert.isAtMost(before, 30_000)
      assert.isAtMost(world.most, maxConcurrency * keys.length)
      assert.strictEqual(world.running, 0)
      assert.deepStrictEqual(world.lateSends, [])
      for (const key of keys) {
        assert.strictEqual(held.concurrency.inFlight(key), 0)
        assert.strictEqual(held.concurrency.waiting(key), 0)
      }
      assert.strictEqual(held.costBudget?.reserved, 0)
      assert.strictEqual(held.costBudget?.spent, world.spent)
      const told = attempts.reduce((sum, one) => sum + one, 0)
      assert.strictEqual(told, world.sends)
      assert.strictEqual(world.spans.length, world.sends)
      for (const { ends } of world.spans) assert.strictEqual(ends, 1)
      if (draining !== undefined) {
        const { finished, interrupted } = yield* Fiber.join(draining)
        assert.isAtLeast(finished, 0)
        assert.isAtLeast(interrupted, 0)
      }
      yield* Scope.close(scope, Exit.void)
      // Two windows later nothing of what was reserved is left.
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      assert.deepStrictEqual(held.rateLimit?.usedUnsafe("a", now + 120_000), { requests: 0, tokens: 0 })
    }).pipe(Effect.scoped, Random.withSeed(seed))
  )
})
