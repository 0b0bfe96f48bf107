/** What an open policy gives back, and what it sends no more: the paths between a grant, a start, a wait and an end. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, CostBudget, Policy, PolicyError, Release, type Retry, type Retryable } from "holdfast/policy"

class Failure implements Retryable.Retryable {
  readonly _tag = "Failure"
  readonly isRetryable: boolean
  readonly phase: Retryable.Phase
  constructor(phase: Retryable.Phase = "maybeSent", isRetryable = true) {
    this.phase = phase
    this.isRetryable = isRetryable
  }
}

const call = { key: "api", safety: "idempotent" } as const
const quick = { base: 10, jitter: "none" } as const

const errorOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined => {
  const found = Exit.findErrorOption(exit)
  return found._tag === "Some" ? found.value : undefined
}

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

/** Runs an effect to its end while virtual time jumps from step to step. */
const inVirtualTime = <A, E, R>(self: Effect.Effect<A, E, R>, step: Duration.Input = "10 millis") =>
  Effect.gen(function* () {
    const fiber = yield* fork(self)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(step)
    return yield* Fiber.await(fiber)
  })

describe("An open policy", () => {
  describe("whose budget of retries is empty", () => {
    const options = { retryBudget: { floor: 1, ratio: 0 } }

    /** Two calls that fail together: there is a retry for one of them. */
    const twice = (held: Policy.Held, recorder: Attempt.Recorder, send: Effect.Effect<unknown, Failure>) =>
      Effect.gen(function* () {
        const first = yield* fork(Effect.exit(held.apply(call)(send)))
        const second = yield* fork(held.apply({ ...call, recorder })(send))
        yield* inVirtualTime(Effect.all([Fiber.await(first), Fiber.await(second)]))
        return yield* Fiber.await(second)
      })

    it.effect("says so of a retry that was waited for and not paid, and tells the hook of it once", () =>
      Effect.gen(function* () {
        const told: Array<number> = []
        const onRetry = ({ retry }: Retry.RetryEvent) => Effect.sync(() => void told.push(retry))
        const held = yield* Policy.open(Policy.make({ ...options, retry: { ...quick, retries: 1, onRetry } }))
        const recorder = new Attempt.Recorder()
        const exit = yield* twice(held, recorder, Effect.fail(new Failure()))

        assert.instanceOf(errorOf(exit), Failure)
        assert.strictEqual(recorder.stop, "retryBudget")
        assert.strictEqual(recorder.attempts.length, 1)
        assert.deepStrictEqual(told, [1, 1])
      })
    )

    it.effect("counts what was not sent against no circuit", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(
          Policy.make({ ...options, retry: { ...quick, retries: 1 }, circuit: { failures: 4 } })
        )
        let sends = 0
        const send = Effect.suspend(() => {
          sends++
          return Effect.fail(new Failure())
        })
        yield* twice(held, new Attempt.Recorder(), send)

        assert.strictEqual(sends, 3)
        assert.isUndefined(held.circuit?.openUntilUnsafe("api"))
      })
    )

    it.effect("returns the unwanted result that it has, which its hedge does not measure", () =>
      Effect.gen(function* () {
        const hedge = { minSamples: 3, minDelay: 1, percentile: 0.05, maxExtra: 1 }
        const retry = { ...quick, retries: 1, retryWhen: () => true }
        const held = yield* Policy.open(Policy.make({ ...options, retry, hedge }))
        const recorder = new Attempt.Recorder()
        const exit = yield* twice(held, recorder, Effect.as(Effect.sleep(1000), "unwanted"))
        assert.deepStrictEqual(exit, Exit.succeed("unwanted"))
        assert.strictEqual(recorder.stop, "retryBudget")

        let sends = 0
        const slow = Effect.suspend(() => {
          sends++
          return Effect.sleep(1000)
        })
        const once = { retry: { retries: 0 } }
        yield* inVirtualTime(Effect.provideService(held.apply(call)(slow), Policy.Override, once))
        assert.strictEqual(sends, 1)
      })
    )
  })

  describe("past its deadline", () => {
    it.effect("sends no retry that a hook held up", () =>
      Effect.gen(function* () {
        const onRetry = () => Effect.sleep("9900 millis")
        const held = yield* Policy.open(
          Policy.make({ retry: { base: 200, jitter: "none", onRetry }, timeout: { total: "10 seconds" } })
        )
        const sentAt: Array<number> = []
        const send = Effect.clockWith((clock) => {
          sentAt.push(clock.currentTimeMillisUnsafe())
          return Effect.fail(new Failure())
        })
        const recorder = new Attempt.Recorder()
        const exit = yield* inVirtualTime(held.apply({ ...call, recorder })(send))

        assert.instanceOf(errorOf(exit), PolicyError.DeadlineExceeded)
        assert.deepStrictEqual(sentAt, [0])
        assert.isAtMost(yield* Effect.clockWith((clock) => clock.currentTimeMillis), 10_010)
      })
    )

    it.effect("waits for no hook", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(
          Policy.make({ retry: { ...quick, onRetry: () => Effect.never }, timeout: { total: "10 seconds" } })
        )
        const fiber = yield* fork(Effect.exit(held.apply(call)(Effect.fail(new Failure()))))
        yield* TestClock.adjust("10 seconds")

        const exit = fiber.pollUnsafe()
        assert.isDefined(exit)
        assert.instanceOf(errorOf(yield* Fiber.join(fiber)), PolicyError.DeadlineExceeded)
      })
    )

    it.effect("sends nothing whose slot comes at that very moment", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
        const holder = yield* fork(held.apply(call)(Effect.sleep("1 seconds")))
        let sends = 0
        const send = Effect.sync(() => void sends++)
        const total = { timeout: { total: "1 seconds" } } as const
        const fiber = yield* fork(Effect.exit(Effect.provideService(held.apply(call)(send), Policy.Override, total)))
        yield* TestClock.adjust("1 seconds")
        yield* Fiber.join(holder)

        assert.instanceOf(errorOf(yield* Fiber.join(fiber)), PolicyError.DeadlineExceeded)
        assert.strictEqual(sends, 0)
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
      })
    )
  })

  describe("that is drained", () => {
    it.effect("lets a release run to its end, and counts calls alone", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.defaults)
        const short = yield* fork(held.apply(call)(Effect.sleep("1 seconds")))
        const endless = yield* fork(Effect.exit(held.apply(call)(Effect.never)))
        const draining = yield* fork(held.drain("2 seconds"))
        yield* TestClock.adjust("1 seconds")
        yield* Fiber.join(short)
        const long = yield* fork(Effect.exit(Effect.scoped(Release.run(held.lease(call, () => Effect.never)))))
        const kill = yield* fork(
          Effect.exit(Release.run(held.apply(call)(Effect.as(Effect.sleep("3 seconds"), "killed"))))
        )
        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(yield* Fiber.join(kill), Exit.succeed("killed"))
        assert.instanceOf(errorOf(yield* Fiber.join(long)), PolicyError.DeadlineExceeded)
        assert.instanceOf(errorOf(yield* Fiber.join(endless)), PolicyError.Draining)
        assert.deepStrictEqual(yield* Fiber.join(draining), { finished: 1, interrupted: 1 })
      })
    )

    it.effect("ends a send that drains it itself, and counts what it cost", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ costBudget: { limit: 100 } }))
        const gate = yield* Deferred.make<void>()
        const draining = yield* fork(Effect.andThen(Deferred.await(gate), held.drain(0)))
        const send = Effect.andThen(Deferred.succeed(gate, undefined), Effect.never)
        const estimate = () => ({ inputTokens: 10, maxTokens: 20 })
        const fiber = yield* fork(Effect.exit(held.apply({ ...call, estimate })(send)))
        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(yield* Fiber.join(draining), { finished: 0, interrupted: 1 })
        const error = errorOf(yield* Fiber.join(fiber))
        assert.strictEqual(error instanceof PolicyError.Draining ? error.phase : error, "maybeSent")
        assert.strictEqual(held.costBudget?.spent, 30)
      })
    )

    it.effect("begins no call for which another one's refusal makes room in the window", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ rateLimit: { tokensPerMinute: 100 } }))
        let sends = 0
        const ask = (tokens: number) =>
          held.apply({ ...call, estimate: () => ({ inputTokens: 0, maxTokens: tokens }) })(
            Effect.andThen(
              Effect.sync(() => void sends++),
              Effect.never
            )
          )
        for (const tokens of [60, 60, 30]) yield* fork(Effect.exit(ask(tokens)))
        assert.strictEqual(sends, 1)
        const report = yield* inVirtualTime(held.drain(0))

        assert.deepStrictEqual(report, Exit.succeed({ finished: 0, interrupted: 3 }))
        assert.strictEqual(sends, 1)
      })
    )

    it.effect("stops a reader that comes after it", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.defaults)
        const scope = yield* Scope.make()
        const lease = yield* Scope.provide(
          held.lease(call, () => Effect.succeed("stream")),
          scope
        )
        yield* inVirtualTime(held.drain(0), "1 seconds")
        let stopped: string | undefined
        lease.onStop(({ phase }) => {
          stopped = phase
        })

        assert.strictEqual(stopped, "maybeSent")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
      })
    )
  })

  describe("told by what throws", () => {
    const thrown = new Error("a bug")
    const bug = (): never => {
      throw thrown
    }

    const failing = Effect.andThen(Effect.sleep(5), Effect.fail(new Failure()))
    const bugs = [
      ["estimate", { estimate: bug }, Effect.sleep(5)],
      ["usage", { usage: bug }, Effect.sleep(5)],
      ["usage of a send that ends at once", { usage: bug }, Effect.void],
      ["classify", { classify: bug }, failing],
      ["classify of a send that ends at once", { classify: bug }, Effect.fail(new Failure())]
    ] as const

    it.effect.each(bugs)("dies of it and gives everything back: %s", ([, broken, send]) =>
      Effect.gen(function* () {
        const held = yield* Policy.open(
          Policy.make({ maxConcurrency: 1, costBudget: { limit: 10_000 }, retry: { retries: 0 } })
        )
        const exit = yield* inVirtualTime(held.apply({ ...call, ...broken })(send))

        assert.deepStrictEqual(exit, Exit.die(thrown))
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
        assert.strictEqual(held.costBudget?.reserved, 0)
      })
    )
  })

  it.effect("discards the failure of a send whose hedge answers, and of a hedge that fails too", () =>
    Effect.gen(function* () {
      const retry = { retries: 0 }
      const held = yield* Policy.open(Policy.make({ retry, hedge: { delay: 100, maxExtra: 1 } }))
      const ask = (second: Effect.Effect<unknown, Failure>) =>
        Effect.gen(function* () {
          const discarded: Array<unknown> = []
          const onDiscard = (error: unknown) => void discarded.push(error)
          const first = new Failure()
          let sends = 0
          const send = Effect.suspend(() =>
            ++sends === 1 ? Effect.andThen(Effect.sleep(200), Effect.fail(first)) : second
          )
          const exit = yield* inVirtualTime(held.apply({ ...call, onDiscard })(send))
          return { discarded, exit, first }
        })
      const served = yield* ask(Effect.as(Effect.sleep(500), "served"))
      assert.deepStrictEqual(served.exit, Exit.succeed("served"))
      assert.deepStrictEqual(served.discarded, [served.first])

      const other = new Failure()
      const failed = yield* ask(Effect.andThen(Effect.sleep(500), Effect.fail(other)))
      assert.strictEqual(errorOf(failed.exit), failed.first)
      assert.strictEqual(failed.discarded.length, 1)
      assert.strictEqual(failed.discarded[0], other)
    })
  )

  it.effect("says of a hedge how long its own send waited, not that of the first", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(
        Policy.make({ retry: { base: 1000, jitter: "none" }, hedge: { delay: 100, maxExtra: 1 } })
      )
      const recorder = new Attempt.Recorder()
      let sends = 0
      const send = Effect.suspend(() => {
        const n = ++sends
        return n === 1 ? Effect.fail(new Failure()) : Effect.sleep(n === 2 ? 5000 : 50)
      })
      yield* inVirtualTime(held.apply({ ...call, recorder })(send))

      const waits = recorder.attempts.map(({ waitCause, waitMillis }) => [waitCause, waitMillis])
      assert.deepStrictEqual(waits, [
        ["none", 0],
        ["hedge", 0],
        ["backoff", 1000]
      ])
    })
  )

  it.effect("lets a release pass where the budget of the run is spent", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ costBudget: { limit: 0 } }))
      const run = yield* CostBudget.make({ limit: 10, spent: 10 })
      const kill = held.apply(call)(Effect.succeed("killed"))

      assert.strictEqual(yield* CostBudget.within(run)(Release.run(kill)), "killed")
      assert.strictEqual(run.spent, 10)
    })
  )

  it.effect("says why it does not try again, without retries too", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { retries: 0 } }))
      const recorder = new Attempt.Recorder()
      yield* Effect.exit(held.apply({ ...call, recorder })(Effect.fail(new Failure())))
      assert.strictEqual(recorder.stop, "exhausted")
    })
  )
})
