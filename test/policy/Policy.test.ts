import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Random, Ref, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, Deadline, Policy, PolicyError, type Retry, type Retryable } from "holdfast/policy"

class Failure implements Retryable.Retryable {
  readonly _tag = "Failure"
  readonly isRetryable: boolean
  readonly phase: Retryable.Phase
  readonly retryAfter: Duration.Duration | undefined
  readonly isThrottle: boolean
  constructor(options: Partial<Retryable.Retryable> = {}) {
    this.isRetryable = options.isRetryable ?? true
    this.phase = options.phase ?? "rejected"
    this.retryAfter = options.retryAfter
    this.isThrottle = options.isThrottle ?? false
  }
}

/** Waits an hour before a retry. */
const patient = {
  retry: { base: "1 hour", maxDelay: "1 hour", jitter: "none" },
  timeout: { total: "1 day" }
} as const

const call = { key: "test", safety: "idempotent" } as const

/** Runs an effect to its end while virtual time jumps from timer to timer. */
const inVirtualTime = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    return yield* Fiber.await(fiber)
  })

describe("Policy", () => {
  describe("for random schedules of failures", () => {
    const seeds = Array.from({ length: 60 }, (_, seed) => seed)

    it.effect.each(seeds)("keeps its promises (seed %i)", (seed) =>
      Effect.gen(function* () {
        const recorder = new Attempt.Recorder()
        const retries = yield* Random.nextIntBetween(0, 5)
        const total = yield* Random.nextIntBetween(200, 20_000)
        const jitter = (["full", "equal", "none"] as const)[yield* Random.nextIntBetween(0, 2)] ?? "full"
        const options = { retries, base: 200, factor: 2, maxDelay: 3_000, jitter }
        const held = yield* Policy.open(
          Policy.make({ retry: options, timeout: { total, attempt: 2_000 }, maxConcurrency: 1 })
        )
        const began = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        let requests = 0
        const send = Effect.gen(function* () {
          requests++
          yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(0, 3_000)))
          const dice = yield* Random.next
          if (dice < 0.2) return "ok"
          const isThrottle = dice < 0.4
          const retryAfter = dice < 0.5 ? Duration.millis(yield* Random.nextIntBetween(0, 5_000)) : undefined
          return yield* Effect.fail(new Failure({ isRetryable: dice < 0.95, isThrottle, retryAfter }))
        })
        const exit = yield* inVirtualTime(held.apply({ ...call, recorder })(send))
        const elapsed = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - began

        assert.isAtMost(requests, 1 + retries)
        assert.strictEqual(recorder.attempts.length, requests)
        // Virtual time moves in steps of 100 ms.
        assert.isAtMost(elapsed, total + 100)
        assert.strictEqual(held.concurrency.inFlight("test"), 0)
        assert.strictEqual(held.concurrency.waiting("test"), 0)
        for (const [n, attempt] of recorder.attempts.entries()) {
          assert.isAtMost(attempt.startMillis - began, total)
          if (n === 0) assert.strictEqual(attempt.waitMillis, 0)
          const full = Math.min(3_000, 200 * 2 ** (n - 1))
          if (attempt.waitCause !== "backoff") continue
          assert.isAtMost(attempt.waitMillis, full)
          assert.isAtLeast(attempt.waitMillis, jitter === "none" ? full : jitter === "equal" ? full / 2 : 0)
        }
        if (Exit.isSuccess(exit)) assert.strictEqual(recorder.attempts.at(-1)?.outcome, "ok")
        else assert.isDefined(recorder.stop ?? recorder.attempts.at(-1)?.outcome)
      }).pipe(Effect.scoped, Random.withSeed(seed))
    )
  })

  it.effect("sends once when the send succeeds, and tells the story", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      const recorder = new Attempt.Recorder()
      assert.strictEqual(yield* held.apply({ ...call, recorder })(Effect.succeed(42)), 42)
      assert.deepStrictEqual(
        recorder.attempts.map(({ endpoint, outcome, waitCause }) => ({ endpoint, outcome, waitCause })),
        [{ endpoint: "test", outcome: "ok", waitCause: "none" }]
      )
      assert.isUndefined(recorder.stop)
    })
  )

  it.effect("waits at least as long as the server asked", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { base: 10, jitter: "none" } }))
      let requests = 0
      const send = Effect.suspend(() =>
        ++requests === 1 ? Effect.fail(new Failure({ retryAfter: Duration.seconds(30) })) : Effect.succeed("ok")
      )
      const fiber = yield* Effect.forkChild(held.apply(call)(send), { startImmediately: true })
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(requests, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      assert.strictEqual(requests, 2)
    })
  )

  it.effect("holds no slot while it waits to retry", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1, retry: { base: "10 seconds", jitter: "none" } }))
      let requests = 0
      const failing = Effect.suspend(() => (++requests === 1 ? Effect.fail(new Failure()) : Effect.succeed("late")))
      const fiber = yield* Effect.forkChild(held.apply(call)(failing), { startImmediately: true })
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
      assert.strictEqual(yield* held.apply(call)(Effect.succeed("meanwhile")), "meanwhile")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "late")
    })
  )

  it.effect("ends an attempt by its timeout, and a call by its total", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(
        Policy.make({ retry: { retries: 9, base: 0 }, timeout: { attempt: "4 seconds", total: "10 seconds" } })
      )
      const recorder = new Attempt.Recorder()
      let interrupted = 0
      const send = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const exit = yield* inVirtualTime(Effect.flip(held.apply({ ...call, recorder })(send)))
      assert.isTrue(Exit.isSuccess(exit) && exit.value instanceof PolicyError.DeadlineExceeded)
      assert.deepStrictEqual(
        recorder.attempts.map(({ outcome }) => outcome),
        ["AttemptTimeout", "AttemptTimeout", "DeadlineExceeded"]
      )
      assert.strictEqual(interrupted, 3)
    })
  )

  it.effect("gives calls inside a call what is left of its time", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ timeout: { total: "10 seconds" } }))
      const inner = held.apply({ ...call, key: "inner" })(Effect.sleep("1 hour"))
      const outer = held.apply({ ...call, key: "outer" })(
        Effect.andThen(Effect.sleep("4 seconds"), Effect.zip(Deadline.remaining, Effect.flip(inner)))
      )
      const exit = yield* inVirtualTime(Effect.flip(outer))
      assert.isTrue(Exit.isSuccess(exit) && exit.value instanceof PolicyError.DeadlineExceeded)
      const remaining = yield* Deadline.remaining.pipe(Effect.provideService(Deadline.Current, Infinity))
      assert.strictEqual(remaining, Duration.infinity)
    })
  )

  it.effect("re-sends what is unsafe only when nothing can have happened", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { base: 0 } }))
      const requestsWith = (safety: Retry.Safety, phase: Retryable.Phase) =>
        Effect.gen(function* () {
          const requests = yield* Ref.make(0)
          const send = Effect.andThen(
            Ref.update(requests, (n) => n + 1),
            Effect.fail(new Failure({ phase }))
          )
          yield* inVirtualTime(Effect.flip(held.apply({ key: "test", safety })(send)))
          return yield* Ref.get(requests)
        })
      assert.strictEqual(yield* requestsWith("unsafe", "maybeSent"), 1)
      assert.strictEqual(yield* requestsWith("unsafe", "notSent"), 3)
      assert.strictEqual(yield* requestsWith("unsafe", "rejected"), 3)
      assert.strictEqual(yield* requestsWith("costly", "maybeSent"), 3)
      assert.strictEqual(yield* requestsWith("idempotent", "maybeSent"), 3)
    })
  )

  it.effect("re-sends a costly call once at most after a timeout", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { retries: 5, base: 0 }, timeout: { attempt: "1 second" } }))
      const attempts = (safety: Retry.Safety) =>
        Effect.gen(function* () {
          const recorder = new Attempt.Recorder()
          yield* inVirtualTime(Effect.flip(held.apply({ key: "test", safety, recorder })(Effect.never)))
          return recorder
        })
      const costly = yield* attempts("costly")
      assert.strictEqual(costly.attempts.length, 2)
      assert.strictEqual(costly.stop, "unsafe")
      const idempotent = yield* attempts("idempotent")
      assert.strictEqual(idempotent.attempts.length, 6)
      assert.strictEqual(idempotent.stop, "exhausted")
    })
  )

  it.effect("gives the slot back when a call is interrupted, wherever it is", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1, ...patient }))
      const sending = yield* Effect.forkChild(held.apply(call)(Effect.never), { startImmediately: true })
      const queued = yield* Effect.forkChild(held.apply(call)(Effect.never), { startImmediately: true })
      assert.strictEqual(held.concurrency.waiting("test"), 1)
      yield* Fiber.interrupt(queued)
      assert.strictEqual(held.concurrency.waiting("test"), 0)
      yield* Fiber.interrupt(sending)
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
      const sleeping = yield* Effect.forkChild(held.apply(call)(Effect.fail(new Failure())), { startImmediately: true })
      yield* Fiber.interrupt(sleeping)
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
      assert.deepStrictEqual(yield* held.drain(0), { finished: 0, interrupted: 0 })
    })
  )

  it.effect("changes settings for the calls inside an Override, and shares the state", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { retries: 5, base: 0 } }))
      let requests = 0
      const send = Effect.suspend(() => {
        requests++
        return Effect.fail(new Failure())
      })
      const once = Effect.provideService(held.apply(call)(send), Policy.Override, { retry: { retries: 0 } })
      yield* Effect.flip(once)
      assert.strictEqual(requests, 1)
    })
  )

  it.effect("marks its sends, and only them", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { retries: 1, base: 0 } }))
      const marks: Array<boolean> = []
      const mark = Effect.map(Policy.Sending, (isSending) => {
        marks.push(isSending)
      })
      const hooked = Policy.merge(held.policy, { retry: { onRetry: () => mark } })
      const other = yield* Policy.open(hooked)
      let requests = 0
      const send = Effect.andThen(
        mark,
        Effect.suspend(() => (++requests === 1 ? Effect.fail(new Failure()) : Effect.void))
      )
      yield* inVirtualTime(other.apply(call)(send))
      yield* mark
      assert.deepStrictEqual(marks, [true, false, true, false])
    })
  )

  it.effect("sends nothing when the deadline around has passed already", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      let requests = 0
      const sent = held.apply(call)(Effect.sync(() => requests++))
      const error = yield* Effect.flip(Effect.provideService(sent, Deadline.Current, -1))
      assert.deepInclude(error, { _tag: "DeadlineExceeded", phase: "notSent", totalMillis: 0 })
      assert.strictEqual(requests, 0)
    })
  )

  it.effect("serves thousands who wait for calls that end at once", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
      const first = yield* Effect.forkChild(held.apply(call)(Effect.sleep("1 second")), { startImmediately: true })
      const rest = yield* Effect.forEach(Array.from({ length: 5_000 }), () =>
        Effect.forkChild(held.apply(call)(Effect.sync(() => 1)), { startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      assert.strictEqual((yield* Fiber.joinAll(rest)).length, 5_000)
      assert.strictEqual(held.concurrency.inFlight("test"), 0)
    })
  )

  it.effect("leaves defects and interruptions of the send alone", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      let requests = 0
      const die = Effect.suspend(() => {
        requests++
        return Effect.die("defect")
      })
      const exit = yield* Effect.exit(held.apply(call)(die))
      assert.isTrue(Exit.hasDies(exit))
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(held.apply(call)(Effect.interrupt))))
      assert.strictEqual(requests, 1)
    })
  )

  describe("lease", () => {
    it.effect("never holds more than one slot, whatever results are unwanted", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ retry: { base: 0, retryWhen: () => true } }))
        yield* Effect.scoped(held.lease(call, () => Effect.succeed("open")))
        assert.strictEqual(held.concurrency.inFlight("test"), 0)
      })
    )

    it.effect("keeps the slot until the end is told", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
        const recorder = new Attempt.Recorder()
        const lease = yield* held.lease({ ...call, recorder }, () => Effect.succeed("open"))
        assert.strictEqual(lease.value, "open")
        assert.strictEqual(held.concurrency.inFlight("test"), 1)
        assert.strictEqual(recorder.attempts.length, 0)
        lease.end("ok")
        lease.end("again")
        assert.strictEqual(held.concurrency.inFlight("test"), 0)
        assert.deepStrictEqual(
          recorder.attempts.map(({ outcome }) => outcome),
          ["ok"]
        )
      })
    )

    it.effect("gives the slot back when its scope closes", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ maxConcurrency: 1 }))
        const scope = yield* Scope.make()
        yield* Scope.provide(
          held.lease(call, () => Effect.succeed("open")),
          scope
        )
        assert.strictEqual(held.concurrency.inFlight("test"), 1)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(held.concurrency.inFlight("test"), 0)
      })
    )
  })

  describe("drain", () => {
    it.effect("takes no new calls, lets the rest finish, interrupts what does not", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.make({ maxConcurrency: 2, ...patient }))
        const gate = yield* Deferred.make<string>()
        const finishing = yield* Effect.forkChild(held.apply(call)(Deferred.await(gate)), { startImmediately: true })
        const hanging = yield* Effect.forkChild(Effect.flip(held.apply(call)(Effect.never)), { startImmediately: true })
        const queued = yield* Effect.forkChild(Effect.flip(held.apply(call)(Effect.never)), { startImmediately: true })
        const sleeping = yield* Effect.forkChild(
          Effect.flip(held.apply({ ...call, key: "other" })(Effect.fail(new Failure()))),
          { startImmediately: true }
        )
        const draining = yield* Effect.forkChild(held.drain("10 seconds"), { startImmediately: true })
        const refused = yield* Effect.flip(held.apply(call)(Effect.void))
        assert.instanceOf(refused, PolicyError.Draining)
        yield* Deferred.succeed(gate, "finished")
        assert.strictEqual(yield* Fiber.join(finishing), "finished")
        yield* TestClock.adjust("10 seconds")
        assert.instanceOf(yield* Fiber.join(hanging), PolicyError.Draining)
        assert.instanceOf(yield* Fiber.join(queued), PolicyError.Draining)
        assert.instanceOf(yield* Fiber.join(sleeping), PolicyError.Draining)
        assert.deepStrictEqual(yield* Fiber.join(draining), { finished: 1, interrupted: 3 })
      })
    )

    it.effect("begins nothing any more, neither a queued call nor a queued retry nor one that a hook holds up", () =>
      Effect.gen(function* () {
        const sent: Array<string> = []
        const send = (name: string, self: Effect.Effect<string, Failure>) =>
          Effect.suspend(() => {
            sent.push(name)
            return self
          })
        const onRetry = (event: Retry.RetryEvent) => (event.key === "hooked" ? Effect.sleep("1 minute") : Effect.void)
        const options = { base: 0, retryIf: () => true, onRetry }
        const held = yield* Policy.open(Policy.make({ maxConcurrency: 1, retry: options }))
        const fork = (name: string, self: Effect.Effect<string, Failure>, key = "test") =>
          Effect.forkChild(Effect.exit(held.apply({ key, safety: "idempotent" })(send(name, self))), {
            startImmediately: true
          })
        const gate = yield* Deferred.make<string, Failure>()
        const fibers = [
          yield* fork("retried", Deferred.await(gate)),
          yield* fork("running", Effect.never),
          yield* fork("queued", Effect.succeed("queued")),
          yield* fork("hooked", Effect.fail(new Failure()), "hooked")
        ]
        yield* Deferred.fail(gate, new Failure())
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(sent, ["retried", "hooked", "running"])
        const draining = yield* Effect.forkChild(held.drain(0), { startImmediately: true })
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual((yield* Fiber.join(draining)).interrupted, 4)
        for (const exit of yield* Fiber.joinAll(fibers)) assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(sent, ["retried", "hooked", "running"])
      })
    )

    it.effect("may be asked for twice at once", () =>
      Effect.gen(function* () {
        const held = yield* Policy.open(Policy.defaults)
        const fiber = yield* Effect.forkChild(held.apply(call)(Effect.sleep("1 second")), { startImmediately: true })
        const both = yield* Effect.forkChild(
          Effect.all([held.drain("Infinity"), held.drain("Infinity")], { concurrency: 2 })
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* Fiber.join(both)).length, 2)
      })
    )
  })
})
