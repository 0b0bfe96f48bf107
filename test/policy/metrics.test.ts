import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Policy, type Retryable } from "holdfast/policy"

class Busy implements Retryable.Retryable {
  readonly _tag = "Busy"
  readonly isRetryable = true
  readonly phase = "rejected"
  readonly retryAfter = Duration.seconds(3)
}

/** Metrics of its own for each test. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(self, Metric.MetricRegistry, new Map()))

const series = (name: string) =>
  Effect.map(Metric.snapshot, (all) =>
    all
      .filter(({ id }) => id === name)
      .map(({ attributes, state }) => {
        const { unit: _, ...labels } = { ...attributes }
        if ("occurrences" in state || "quantiles" in state) return assert.fail("no such metric is ours")
        return "buckets" in state ? { labels, count: state.count, sum: state.sum } : { labels, ...state }
      })
  )

describe("The metrics of calls", () => {
  it.effect("count attempts by outcome, retries and waits by cause", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { jitter: "none" } }))
      let sends = 0
      const send = Effect.suspend(() => {
        sends += 1
        return Effect.delay(sends === 1 ? Effect.fail(new Busy()) : Effect.succeed("done"), "2 seconds")
      })
      const call = held.apply({ key: "https://me:secret@api.example.com/v1?key=abc", safety: "idempotent" })(send)
      const running = yield* Effect.forkChild(call)
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual(yield* Fiber.join(running), "done")

      const endpoint = "https://api.example.com/v1"
      assert.deepStrictEqual(yield* series("holdfast_attempts_total"), [
        { labels: { endpoint, outcome: "Busy" }, count: 1, incremental: true },
        { labels: { endpoint, outcome: "ok" }, count: 1, incremental: true }
      ])
      assert.deepStrictEqual(yield* series("holdfast_retries_total"), [
        { labels: { endpoint, cause: "retryAfter" }, count: 1, incremental: true }
      ])
      assert.deepStrictEqual(yield* series("holdfast_wait_duration_seconds"), [
        { labels: { endpoint, cause: "retryAfter" }, count: 1, sum: 3 }
      ])
      assert.deepStrictEqual(yield* series("holdfast_attempt_duration_seconds"), [
        { labels: { endpoint }, count: 2, sum: 4 }
      ])
    }).pipe(Effect.scoped, alone)
  )

  it.effect("show who waits for a slot while they wait, and how long they did", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(Policy.open(Policy.make({ maxConcurrency: 1 })), scope)
      const other = yield* Scope.provide(Policy.open(Policy.make()), scope)
      const gate = yield* Deferred.make<void>()
      const call = { key: "db", safety: "idempotent" } as const
      const running = yield* Effect.forEach([held, held, held, other], (one) =>
        Effect.forkChild(one.apply(call)(Deferred.await(gate)), { startImmediately: true })
      )
      const labels = { endpoint: "db" }
      assert.deepStrictEqual(yield* series("holdfast_waiting_calls"), [{ labels, value: 2 }])
      assert.deepStrictEqual(yield* series("holdfast_in_flight_calls"), [{ labels, value: 2 }])

      yield* TestClock.adjust("5 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(running)
      assert.deepStrictEqual(yield* series("holdfast_waiting_calls"), [{ labels, value: 0 }])
      assert.deepStrictEqual(yield* series("holdfast_wait_duration_seconds"), [
        { labels: { ...labels, cause: "queue" }, count: 2, sum: 10 }
      ])

      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* series("holdfast_waiting_calls"), [])
      assert.deepStrictEqual(yield* series("holdfast_in_flight_calls"), [])
    }).pipe(alone)
  )

  it.effect("show the state of a circuit: 0 closed, 2 open, 1 once a trial may pass", () =>
    Effect.gen(function* () {
      const circuit = { failures: 2, openFor: "10 seconds" } as const
      const held = yield* Policy.open(Policy.make({ circuit, retry: { retries: 0 } }))
      const call = held.apply({ key: "db", safety: "idempotent" })
      const state = Effect.map(series("holdfast_circuit_state"), ([first]) => first && "value" in first && first.value)
      yield* call(Effect.void)
      assert.strictEqual(yield* state, 0)
      const down = Effect.fail({ _tag: "Down", isRetryable: true, phase: "maybeSent" })
      yield* Effect.ignore(call(down))
      yield* Effect.ignore(call(down))
      assert.strictEqual(yield* state, 2)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* state, 1)
      yield* call(Effect.void)
      assert.strictEqual(yield* state, 0)
    }).pipe(Effect.scoped, alone)
  )

  it.effect("take the labels that a program gives to all its metrics", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      yield* held.apply({ key: "db", safety: "idempotent" })(Effect.void)
      const [attempts] = yield* series("holdfast_attempts_total")
      assert.deepStrictEqual(attempts?.labels, { endpoint: "db", outcome: "ok", region: "eu" })
    }).pipe(Effect.scoped, Effect.provideService(Metric.CurrentMetricAttributes, { region: "eu" }), alone)
  )

  it.effect("stay few where keys and failures are many", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      const call = (key: string) => held.apply({ key, safety: "unsafe" })
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => ({ _tag: `Failure${n}` })),
        (failure) => Effect.ignore(call("many failures")(Effect.fail(failure)))
      )
      const failures = yield* series("holdfast_attempts_total")
      assert.strictEqual(failures.length, 33)
      assert.deepInclude(failures.at(-1), { labels: { endpoint: "many failures", outcome: "_OTHER" }, count: 68 })

      yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, n) => `host-${n}`),
        (key) => call(key)(Effect.void)
      )
      const endpoints = yield* series("holdfast_attempt_duration_seconds")
      assert.isAtMost(endpoints.length, 257)
      assert.isAbove(Number(endpoints.find(({ labels }) => labels["endpoint"] === "_OTHER")?.count), 700)
      assert.isAtMost((yield* series("holdfast_waiting_calls")).length, 257)
    }).pipe(Effect.scoped, alone)
  )
})
