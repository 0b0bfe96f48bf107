/** What a policy's parts do together: the order on line 1 of `Policy.ts`, and what each of them takes and gives back. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Exit, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, CostBudget, Fallback, Policy, PolicyError, Release, type Retryable } from "holdfast/policy"

class Failure implements Retryable.Retryable {
  readonly _tag = "Failure"
  readonly isRetryable = true
  readonly phase: Retryable.Phase
  readonly retryAfter: Duration.Duration | undefined
  readonly isThrottle: boolean
  readonly usage: CostBudget.Usage | undefined
  constructor(options: Partial<Failure> = {}) {
    this.phase = options.phase ?? "maybeSent"
    this.retryAfter = options.retryAfter
    this.isThrottle = options.isThrottle ?? false
    this.usage = options.usage
  }
}

const call = { key: "api", safety: "idempotent" } as const
const quick = { base: "1 millis", jitter: "none" } as const

/** Runs effects to their ends while virtual time jumps from step to step. */
const inVirtualTime = <A, E, R>(self: Effect.Effect<A, E, R>, step: Duration.Input = "100 millis") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(step)
    return yield* Fiber.await(fiber)
  })

const errorOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined => {
  const found = Exit.findErrorOption(exit)
  return found._tag === "Some" ? found.value : undefined
}

describe("Policy's parts", () => {
  describe("the budget of retries", () => {
    it.effect("lets 1 000 calls to a dead server send at most 1 100 requests and the floor", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ retry: quick, retryBudget: { floor: 20 } }))
        let requests = 0
        const send = Effect.suspend(() => {
          requests++
          return Effect.fail(new Failure())
        })
        const one = Effect.exit(held.apply(call)(send))
        yield* inVirtualTime(
          Effect.forEach(Array.from({ length: 1000 }), () => one, { concurrency: 100 }),
          "1 millis"
        )

        assert.isAtMost(requests, 1120)
        assert.isAtLeast(requests, 1100)
      })
    )

    it.effect("says in the story that there was no retry left to spend, and fails with the failure itself", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ retry: quick, retryBudget: { floor: 0, ratio: 0 } }))
        const recorder = new Attempt.Recorder()
        const exit = yield* Effect.exit(held.apply({ ...call, recorder })(Effect.fail(new Failure())))

        assert.strictEqual(errorOf(exit)?._tag, "Failure")
        assert.strictEqual(recorder.stop, "retryBudget")
        assert.strictEqual(recorder.attempts.length, 1)
      })
    )

    it.effect("takes nothing for a wait that the server named, and nothing at all when it is off", () =>
      Effect.gen(function* () {
        const throttle = new Failure({ isThrottle: true, phase: "rejected", retryAfter: Duration.millis(5) })
        const sendsOf = (retryBudget: { readonly floor: number; readonly ratio: number } | false, failure: Failure) =>
          Effect.gen(function* () {
            const held = yield* Policy.open(Policy.make({ retry: quick, retryBudget }))
            const recorder = new Attempt.Recorder()
            yield* inVirtualTime(held.apply({ ...call, recorder })(Effect.fail(failure)), "1 millis")
            return recorder.attempts.length
          })

        assert.strictEqual(yield* sendsOf({ floor: 0, ratio: 0 }, throttle), 3)
        assert.strictEqual(yield* sendsOf(false, new Failure()), 3)
        assert.strictEqual(yield* sendsOf({ floor: 1, ratio: 0 }, new Failure()), 2)
      })
    )

    it.effect("is one for each key: a server that is down takes nothing from the others", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ retry: quick, retryBudget: { floor: 2, ratio: 0 } }))
        const sends = (key: string) => {
          const recorder = new Attempt.Recorder()
          const failing = held.apply({ key, safety: "idempotent", recorder })(Effect.fail(new Failure()))
          return Effect.map(inVirtualTime(failing, "1 millis"), () => recorder.attempts.length)
        }

        assert.strictEqual(yield* sends("a"), 3)
        assert.strictEqual(yield* sends("a"), 1)
        assert.strictEqual(yield* sends("b"), 3)
      })
    )
  })

  describe("the rate limit", () => {
    it.effect("holds calls back until the window has room, in order, and settles what they used", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ rateLimit: { tokensPerMinute: 1000 } }))
        const order: Array<number> = []
        const started = (n: number) => Effect.sync(() => void order.push(n))
        const ask = (n: number, used: number) => {
          const estimate = () => ({ inputTokens: 100, maxTokens: 500 })
          return held.apply({ ...call, estimate, usage: () => ({ inputTokens: 100, outputTokens: used - 100 }) })(
            started(n)
          )
        }
        // 600 are reserved, 200 were used: the second fits at once, 800 more do not.
        yield* ask(1, 200)
        const second = yield* Effect.forkChild(ask(2, 600), { startImmediately: true })
        yield* Fiber.join(second)
        const third = yield* Effect.forkChild(ask(3, 600), { startImmediately: true })
        yield* TestClock.adjust(0)
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(order, [1, 2])
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(third)

        assert.deepStrictEqual(order, [1, 2, 3])
      })
    )

    it.effect(
      "gives a cancelled waiter's place and what was not sent back, and holds everybody while one is told to wait",
      () =>
        Effect.gen(function* () {
          const held = yield* Policy.open(Policy.make({ rateLimit: { requestsPerMinute: 2 }, retry: { retries: 0 } }))
          const used = () => held.rateLimit?.usedUnsafe("api", 0).requests
          yield* Effect.exit(held.apply(call)(Effect.fail(new Failure({ phase: "notSent" }))))
          assert.strictEqual(used(), 0)

          yield* held.apply(call)(Effect.void)
          yield* held.apply(call)(Effect.void)
          const waiting = yield* Effect.forkChild(held.apply(call)(Effect.void), { startImmediately: true })
          assert.strictEqual(held.concurrency.waiting("api"), 1)
          yield* Fiber.interrupt(waiting)
          assert.strictEqual(held.concurrency.waiting("api"), 0)
          assert.strictEqual(used(), 2)

          yield* TestClock.adjust("61 seconds")
          const asked = new Failure({ isThrottle: true, phase: "rejected", retryAfter: Duration.seconds(30) })
          yield* Effect.exit(held.apply(call)(Effect.fail(asked)))
          const next = yield* Effect.forkChild(held.apply(call)(Effect.void), { startImmediately: true })
          yield* TestClock.adjust(0)
          yield* TestClock.adjust("29 seconds")
          assert.isUndefined(next.pollUnsafe())
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.join(next)
        })
    )

    it.effect("fails at once when the window has no room before the deadline", () =>
      Effect.gen(function* () {
        const options = { rateLimit: { requestsPerMinute: 1 }, timeout: { total: "10 seconds" } } as const
        const held = yield* Policy.open(Policy.make(options))
        yield* held.apply(call)(Effect.void)
        const exit = yield* inVirtualTime(held.apply(call)(Effect.void), "1 seconds")

        assert.instanceOf(errorOf(exit), PolicyError.DeadlineExceeded)
      })
    )
  })

  describe("the circuit", () => {
    it.effect("refuses while it is open, without a slot, and tries once when its time has come", () =>
      Effect.gen(function* () {
        const circuit = { failures: 2, openFor: "10 seconds" } as const
        const held = yield* Policy.open(Policy.make({ circuit, retry: { retries: 0 } }))
        let sends = 0
        const send = (isUp: boolean) =>
          held.apply(call)(
            Effect.suspend(() => {
              sends++
              return isUp ? Effect.succeed("up") : Effect.fail(new Failure())
            })
          )
        yield* Effect.exit(send(false))
        yield* Effect.exit(send(false))
        const refused = errorOf(yield* Effect.exit(send(true)))
        assert.strictEqual(sends, 2)
        assert.instanceOf(refused, PolicyError.CircuitOpen)
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
        const state = (yield* Metric.snapshot).find(({ id }) => id === "holdfast_circuit_state")?.state
        assert.deepStrictEqual(state, { value: 2 })

        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* send(true), "up")
      })
    )

    it.effect("is not retried into: an open circuit ends the call", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ circuit: { failures: 1 }, retry: { ...quick, retries: 5 } }))
        const recorder = new Attempt.Recorder()
        const exit = yield* inVirtualTime(held.apply({ ...call, recorder })(Effect.fail(new Failure())), "1 millis")

        assert.instanceOf(errorOf(exit), PolicyError.CircuitOpen)
        assert.strictEqual(recorder.attempts.length, 1)
      })
    )
  })

  describe("the hedge", () => {
    it.effect("sends a second time beside a slow send, in a slot of its own, and interrupts the loser", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ hedge: { delay: "1 seconds", burst: 1, maxExtra: 1 } }))
        const recorder = new Attempt.Recorder()
        let sends = 0
        let interrupted = 0
        let most = 0
        const send = Effect.suspend(() => {
          const n = ++sends
          most = Math.max(most, held.concurrency.inFlight("api"))
          const slow = Effect.delay(Effect.succeed(n), n === 1 ? "10 seconds" : "1 seconds")
          return Effect.onInterrupt(slow, () => Effect.sync(() => void interrupted++))
        })
        const exit = yield* inVirtualTime(held.apply({ ...call, recorder })(send))

        assert.deepStrictEqual(exit, Exit.succeed(2))
        assert.strictEqual(interrupted, 1)
        assert.strictEqual(most, 2)
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
        assert.deepStrictEqual(recorder.attempts.map(({ outcome, waitCause }) => [outcome, waitCause]).sort(), [
          ["interrupted", "none"],
          ["ok", "hedge"]
        ])
      })
    )

    it.effect("does not start where no slot is free, and never passes maxConcurrency", () =>
      Effect.gen(function* () {
        const hedge = { delay: "1 seconds", burst: 100, maxExtra: 1 } as const
        const held = yield* Policy.open(Policy.make({ hedge, maxConcurrency: 3 }))
        let sends = 0
        let most = 0
        const send = Effect.suspend(() => {
          sends++
          most = Math.max(most, held.concurrency.inFlight("api"))
          return Effect.sleep("5 seconds")
        })
        yield* inVirtualTime(
          Effect.forEach(Array.from({ length: 9 }), () => held.apply(call)(send), { concurrency: "unbounded" })
        )

        assert.strictEqual(sends, 9)
        assert.strictEqual(most, 3)
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
      })
    )
  })

  describe("the cost budget", () => {
    const estimate = () => ({ inputTokens: 10, maxTokens: 90 })

    it.effect("refuses what may cost more than is left, before it is sent, and gives the slot back", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ costBudget: { limit: 250 } }))
        let sends = 0
        const send = Effect.sync(() => void sends++)
        const ask = held.apply({ ...call, estimate, usage: () => ({ inputTokens: 10, outputTokens: 90 }) })(send)
        yield* ask
        yield* ask
        const refused = errorOf(yield* Effect.exit(ask))

        assert.instanceOf(refused, PolicyError.BudgetExceeded)
        assert.strictEqual(sends, 2)
        assert.strictEqual(held.costBudget?.spent, 200)
        assert.strictEqual(held.costBudget?.reserved, 0)
        assert.strictEqual(held.concurrency.inFlight("api"), 0)
      })
    )

    it.effect("counts what failed, aborted and hedged sends used, each by what is known of it", () =>
      Effect.gen(function* () {
        const budget = yield* CostBudget.make({ limit: 10_000, name: "run" })
        const held = yield* Policy.open(Policy.make({ retry: { retries: 0 } }))
        const spend = (send: Effect.Effect<unknown, Failure>) =>
          Effect.exit(CostBudget.within(budget)(held.apply({ ...call, estimate })(send)))

        yield* spend(Effect.fail(new Failure({ phase: "notSent" })))
        yield* spend(Effect.fail(new Failure({ phase: "rejected" })))
        assert.strictEqual(budget.spent, 0)
        yield* spend(Effect.fail(new Failure({ usage: { inputTokens: 10, outputTokens: 5 } })))
        assert.strictEqual(budget.spent, 15)
        // Nobody knows what these used: the careful answer is all of it.
        yield* spend(Effect.fail(new Failure()))
        assert.strictEqual(budget.spent, 115)
        const aborted = yield* Effect.forkChild(spend(Effect.never), { startImmediately: true })
        assert.strictEqual(budget.reserved, 100)
        yield* Fiber.interrupt(aborted)
        assert.strictEqual(budget.spent, 215)
        assert.strictEqual(budget.reserved, 0)
      })
    )

    it.effect("has nothing to do with a call that names no estimate", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ costBudget: { limit: 1 } }))
        yield* held.apply(call)(Effect.void)

        assert.strictEqual(held.costBudget?.spent, 0)
      })
    )

    it.effect("refuses at once, not in the queue, and keeps no money for what waits", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ maxConcurrency: 1, costBudget: { limit: 150 } }))
        const ask = held.apply({ ...call, estimate, usage: () => ({ inputTokens: 10, outputTokens: 0 }) })
        const first = yield* Effect.forkChild(ask(Effect.sleep("1 second")), { startImmediately: true })
        assert.instanceOf(errorOf(yield* Effect.exit(ask(Effect.void))), PolicyError.BudgetExceeded)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(first)
        yield* ask(Effect.void)

        assert.strictEqual(held.costBudget?.spent, 20)
      })
    )

    it.effect("is shared by the policies that are given the same one", () =>
      Effect.gen(function* () {
        const costBudget = yield* CostBudget.make({ limit: 1000 })
        const usage = () => ({ inputTokens: 10, outputTokens: 10 })
        for (const key of ["a", "b"]) {
          const held = yield* Policy.open(Policy.make({ costBudget }))
          yield* held.apply({ ...call, key, estimate, usage })(Effect.void)
        }

        assert.strictEqual(costBudget.spent, 40)
      })
    )

    it.effect("counts each send of a call that is retried", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ retry: quick, costBudget: { limit: 250 } }))
        const exit = yield* inVirtualTime(held.apply({ ...call, estimate })(Effect.fail(new Failure())), "1 millis")

        assert.instanceOf(errorOf(exit), PolicyError.BudgetExceeded)
        assert.strictEqual(held.costBudget?.spent, 200)
      })
    )
  })

  it.effect("does not sleep a wait that the server asked for where a fallback would serve the call", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      const recorder = new Attempt.Recorder()
      const busy = Effect.fail(new Failure({ isThrottle: true, phase: "rejected", retryAfter: Duration.seconds(30) }))
      const primary: Effect.Effect<string, Failure | PolicyError.PolicyError> = held.apply({ ...call, recorder })(busy)
      const second: typeof primary = Effect.succeed("served")
      const fallback = yield* Fallback.make({
        alternatives: [
          { name: "primary", value: primary },
          { name: "second", value: second }
        ]
      })

      assert.strictEqual(yield* fallback.use(({ value }) => value), "served")
      assert.strictEqual(recorder.stop, "fallback")
      assert.strictEqual(recorder.attempts.length, 1)
    })
  )

  it.effect("gives slots by priority to those who wait", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
      const order: Array<string> = []
      const ask = (name: string, priority: "high" | "low") =>
        Effect.forkChild(
          Effect.provideService(
            held.apply(call)(
              Effect.delay(
                Effect.sync(() => order.push(name)),
                "1 seconds"
              )
            ),
            Policy.Override,
            { priority }
          ),
          { startImmediately: true }
        )
      const fibers = [yield* ask("first", "low"), yield* ask("low", "low"), yield* ask("high", "high")]
      yield* inVirtualTime(Effect.forEach(fibers, Fiber.join))

      assert.deepStrictEqual(order, ["first", "high", "low"])
    })
  )

  it.effect("lets a release pass: draining, without a slot, without room in the window, past an open circuit", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(
        Policy.make({
          maxConcurrency: 1,
          circuit: { failures: 1 },
          rateLimit: { requestsPerMinute: 1 },
          retry: { retries: 0 }
        })
      )
      yield* Effect.exit(held.apply(call)(Effect.fail(new Failure())))
      yield* held.drain(0)
      let kills = 0
      const kill = held.apply(call)(Effect.sync(() => void kills++))

      assert.instanceOf(errorOf(yield* Effect.exit(kill)), PolicyError.Draining)
      yield* Release.run(kill)
      assert.strictEqual(kills, 1)
    })
  )

  it.effect("says of a call that was cut off in the middle of a send that it may have been done", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
      const fork = Effect.forkChild(Effect.exit(held.apply(call)(Effect.never)), { startImmediately: true })
      const [sent, queued] = [yield* fork, yield* fork]
      yield* held.drain(0)
      const phases = [yield* Fiber.join(sent), yield* Fiber.join(queued)].map((exit) => errorOf(exit)?.phase)

      assert.deepStrictEqual(phases, ["maybeSent", "notSent"])
    })
  )

  it("merges retry and timeout name by name, where no value changes nothing, and other parts as a whole", () => {
    const base = Policy.make({ maxConcurrency: 7, circuit: {}, retry: { retries: 5 }, timeout: { total: "9 seconds" } })
    const merged = Policy.merge(base, { circuit: undefined, retry: { retries: undefined, factor: 3 }, timeout: {} })

    assert.strictEqual(merged.options.maxConcurrency, 7)
    assert.isUndefined(merged.options.circuit)
    assert.deepStrictEqual([merged.retry.retries, merged.retry.factor], [5, 3])
    assert.strictEqual(merged.timeout.totalMillis, 9000)
  })

  describe("fromConfig", () => {
    const read = (env: Record<string, string>, options?: Policy.Options) =>
      Effect.provide(Policy.fromConfig("APP", options), ConfigProvider.layer(ConfigProvider.fromUnknown(env)))

    it.effect("reads what is set and keeps what the program says of the rest", () =>
      Effect.gen(function* () {
        const policy = yield* read(
          {
            APP_RETRIES: "5",
            APP_TOTAL_TIMEOUT: "20 seconds",
            APP_REQUESTS_PER_MINUTE: "60",
            APP_MAX_CONCURRENCY: "7"
          },
          { retry: { retries: 1, base: "2 seconds" }, timeout: { attempt: "3 seconds" } }
        )

        assert.strictEqual(policy.retry.retries, 5)
        assert.strictEqual(policy.retry.baseMillis, 2000)
        assert.strictEqual(policy.timeout.totalMillis, 20_000)
        assert.strictEqual(policy.timeout.attemptMillis, 3000)
        assert.strictEqual(policy.options.maxConcurrency, 7)
        assert.strictEqual(policy.options.rateLimit?.requestsPerMinute, 60)
        assert.deepStrictEqual((yield* read({})).retry, Policy.defaults.retry)
      })
    )

    it.effect("names what it cannot read", () =>
      Effect.gen(function* () {
        const wrong = [{ APP_RETRIES: "-1" }, { APP_MAX_CONCURRENCY: "0" }, { APP_TOTAL_TIMEOUT: "soon" }]
        for (const env of wrong) {
          const error = yield* Effect.flip(read(env))
          assert.include(error.message, Object.keys(env).join())
        }
      })
    )
  })
})
