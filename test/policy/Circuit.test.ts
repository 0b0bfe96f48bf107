import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Random, Schedule, Stream } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Circuit, PolicyError, type Retryable } from "holdfast/policy"

const broken: Retryable.Retryable = { isRetryable: true, phase: "maybeSent" }

/** A circuit, and how many sends reached what it protects. */
const protectedBy = (options: Circuit.Options = {}) =>
  Effect.gen(function* () {
    const circuit = yield* Circuit.make(options)
    let sends = 0
    const send = <A, E>(result: Effect.Effect<A, E>, key = "k") =>
      Effect.exit(
        circuit.protect(key)(
          Effect.suspend(() => {
            sends++
            return result
          })
        )
      )
    const fail = (error: unknown = broken, key = "k") => send(Effect.fail(error), key)
    return { circuit, send, fail, sends: () => sends }
  })

const isOpen = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some((r) => r._tag === "Fail" && r.error instanceof PolicyError.CircuitOpen)

describe("Circuit", () => {
  it.effect("opens after failures in a row, refuses with the time that is left, and closes by one trial", () =>
    Effect.gen(function* () {
      const { circuit, fail, send, sends } = yield* protectedBy({ failures: 3, openFor: "10 seconds" })
      for (let n = 0; n < 3; n++) yield* fail()
      assert.strictEqual(circuit.openUntilUnsafe("k"), 10_000)
      yield* TestClock.adjust("4 seconds")
      const refused = yield* Effect.flip(circuit.protect("k")(Effect.die("sent")))
      assert.deepStrictEqual(refused, new PolicyError.CircuitOpen({ key: "k", retryAfter: Duration.seconds(6) }))
      assert.strictEqual(sends(), 3)
      assert.deepStrictEqual(yield* send(Effect.succeed(1), "other"), Exit.succeed(1))

      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(yield* send(Effect.succeed(2)), Exit.succeed(2))
      assert.isUndefined(circuit.openUntilUnsafe("k"))
      assert.deepStrictEqual(yield* circuit.state("k"), { _tag: "Closed" })
      assert.strictEqual(sends(), 5)
    })
  )

  it.effect("lets one trial through at a time, and stays open longer when it fails", () =>
    Effect.gen(function* () {
      const { circuit, fail, send, sends } = yield* protectedBy({ failures: 1 })
      yield* fail()
      yield* TestClock.adjust("5 seconds")
      const gate = yield* Deferred.make<void, Retryable.Retryable>()
      const trial = yield* Effect.forkChild(send(Deferred.await(gate)), { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* circuit.state("k"), { _tag: "HalfOpen" })
      const meanwhile = yield* Effect.flip(circuit.protect("k")(Effect.die("sent")))
      assert.deepStrictEqual(meanwhile, new PolicyError.CircuitOpen({ key: "k", retryAfter: undefined }))
      yield* Deferred.fail(gate, broken)
      yield* Fiber.join(trial)
      assert.deepStrictEqual(yield* circuit.state("k"), { _tag: "Open", retryAfter: Duration.seconds(10) })
      assert.strictEqual(sends(), 2)
    })
  )

  it.effect("frees the trial of a caller who leaves", () =>
    Effect.gen(function* () {
      const { fail, send } = yield* protectedBy({ failures: 1 })
      yield* fail()
      yield* TestClock.adjust("5 seconds")
      const trial = yield* Effect.forkChild(send(Effect.never), { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.isTrue(isOpen(yield* send(Effect.void)))
      yield* Fiber.interrupt(trial)
      assert.deepStrictEqual(yield* send(Effect.succeed("back")), Exit.succeed("back"))
    })
  )

  it.effect("counts by what the failure says of itself", () =>
    Effect.gen(function* () {
      const opens = (error: unknown, options: Circuit.Options = {}) =>
        Effect.gen(function* () {
          const { circuit, fail } = yield* protectedBy({ failures: 2, ...options })
          for (let n = 0; n < 4; n++) yield* fail(error)
          return circuit.openUntilUnsafe("k") !== undefined
        })
      const retryAfter = Duration.seconds(1)
      assert.isTrue(yield* opens({ isRetryable: true, phase: "notSent" }))
      assert.isTrue(yield* opens({ isRetryable: true, isThrottle: true, phase: "rejected" }))
      assert.isTrue(yield* opens(new PolicyError.AttemptTimeout({ key: "k", timeoutMillis: 1 })))
      assert.isFalse(yield* opens({ isRetryable: true, isThrottle: true, retryAfter, phase: "rejected" }))
      assert.isFalse(yield* opens({ isRetryable: false, phase: "rejected" }))
      assert.isFalse(yield* opens(new PolicyError.Shed({ key: "k", waiting: 1 })))
      assert.isFalse(yield* opens("of an unknown kind"))
      assert.isTrue(yield* opens("of an unknown kind", { failureIf: (error) => error === "of an unknown kind" }))
      assert.isTrue(yield* opens("of an unknown kind", { classify: () => broken }))
    })
  )

  it.effect("hears neither defects nor interruptions, and ends the row at any answer, a refusal too", () =>
    Effect.gen(function* () {
      const { circuit, fail, send } = yield* protectedBy({ failures: 3 })
      yield* fail()
      yield* fail()
      yield* send(Effect.die("bug"))
      yield* send(Effect.interrupt)
      yield* fail({ isRetryable: false, phase: "rejected" })
      yield* fail()
      yield* fail()
      assert.isUndefined(circuit.openUntilUnsafe("k"))
      yield* send(Effect.succeed(1))
      yield* fail()
      yield* fail()
      assert.isUndefined(circuit.openUntilUnsafe("k"))
      yield* fail()
      assert.isDefined(circuit.openUntilUnsafe("k"))
    })
  )

  it.effect("does not take what was sent before an opening for a trial", () =>
    Effect.gen(function* () {
      const { circuit, fail, send } = yield* protectedBy({ failures: 1, openFor: "10 seconds" })
      const gate = yield* Deferred.make<void, Retryable.Retryable>()
      const early = yield* Effect.forkChild(send(Deferred.await(gate)), { startImmediately: true })
      yield* fail()
      yield* TestClock.adjust("10 seconds")
      yield* Deferred.fail(gate, broken)
      yield* Fiber.join(early)
      assert.strictEqual((yield* circuit.state("k"))._tag, "Open")
      assert.deepStrictEqual(yield* send(Effect.succeed(1)), Exit.succeed(1))
      assert.deepStrictEqual(yield* circuit.state("k"), { _tag: "Closed" })
    })
  )

  it.effect("stays open as long as the server asks, up to maxOpenFor", () =>
    Effect.gen(function* () {
      const { circuit, fail } = yield* protectedBy({ failures: 1, maxOpenFor: "1 minute" })
      yield* fail({ ...broken, retryAfter: Duration.seconds(30) }, "a")
      yield* fail({ ...broken, retryAfter: Duration.days(1) }, "b")
      assert.strictEqual(circuit.openUntilUnsafe("a"), 30_000)
      assert.strictEqual(circuit.openUntilUnsafe("b"), 60_000)
    })
  )

  it.effect("tells its transitions", () =>
    Effect.gen(function* () {
      const { circuit, fail, send } = yield* protectedBy({ failures: 1, openFor: Schedule.spaced("3 seconds") })
      const told = yield* Effect.forkChild(Stream.runCollect(Stream.take(circuit.transitions, 3)))
      yield* TestClock.adjust(0)
      yield* fail()
      yield* TestClock.adjust("3 seconds")
      yield* send(Effect.void)
      assert.deepStrictEqual(
        (yield* Fiber.join(told)).map(({ from, to }) => `${from} > ${to}`),
        ["Closed > Open", "Open > HalfOpen", "HalfOpen > Closed"]
      )
    })
  )

  it.effect("opens by the share of failures", () =>
    Effect.gen(function* () {
      const { circuit, fail, send } = yield* protectedBy({ rate: { threshold: 0.5, size: 10, minimumCalls: 10 } })
      for (let n = 0; n < 4; n++) {
        yield* fail()
        yield* send(Effect.void)
      }
      yield* send(Effect.void)
      assert.isUndefined(circuit.openUntilUnsafe("k"))
      yield* fail()
      assert.isDefined(circuit.openUntilUnsafe("k"))
    })
  )

  it.effect("shares its states with whoever has the same store", () =>
    Effect.gen(function* () {
      const store = yield* CircuitBreaker.CircuitBreakerStore
      const ours = yield* protectedBy({ failures: 2, store })
      const theirs = yield* protectedBy({ failures: 2, store })
      yield* ours.fail()
      yield* theirs.fail()
      assert.isTrue(isOpen(yield* ours.send(Effect.void)))
      assert.isDefined(ours.circuit.openUntilUnsafe("k"))
      assert.strictEqual(ours.sends(), 1)
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
  )

  it.effect("lets sends run while the store hangs, and waits for it once", () =>
    Effect.gen(function* () {
      let asked = 0
      const hang = Effect.suspend(() => {
        asked++
        return Effect.never
      })
      const store = CircuitBreaker.CircuitBreakerStore.of({ admit: () => hang, record: () => hang, state: () => hang })
      const { send } = yield* protectedBy({ store })
      const first = yield* Effect.forkChild(send(Effect.succeed(1)), { startImmediately: true })
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(first), Exit.succeed(1))
      for (let n = 0; n < 9; n++) assert.deepStrictEqual(yield* send(Effect.succeed(n)), Exit.succeed(n))
      assert.strictEqual(asked, 1)
      yield* TestClock.adjust("10 seconds")
      const again = yield* Effect.forkChild(send(Effect.succeed(2)), { startImmediately: true })
      assert.strictEqual(asked, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(again), Exit.succeed(2))
    })
  )

  it.effect("remembers no more than maxKeys keys", () =>
    Effect.gen(function* () {
      const { circuit, fail } = yield* protectedBy({ failures: 1, maxKeys: 2 })
      for (const key of ["a", "b", "c"]) yield* fail(broken, key)
      assert.isUndefined(circuit.openUntilUnsafe("a"))
      // A forgotten key that is open lets a send through, and is known again by its failure.
      yield* fail(broken, "a")
      assert.isDefined(circuit.openUntilUnsafe("a"))
    })
  )

  describe("beside Effect's breaker, for random calls", () => {
    const seeds = Array.from({ length: 40 }, (_, seed) => seed)

    it.effect.each(seeds)("admits the same ones (seed %i)", (seed) =>
      Effect.gen(function* () {
        const failures = yield* Random.nextIntBetween(1, 4)
        const openFor = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 4 }))
        const { circuit, send } = yield* protectedBy({ failures, openFor })
        const breaker = yield* CircuitBreaker.make({
          tripPolicy: CircuitBreaker.consecutive(failures),
          openDuration: openFor
        })
        const story: Array<readonly [string, string]> = []
        for (let n = 0; n < 150; n++) {
          const dice = yield* Random.next
          const delay = yield* Random.nextIntBetween(0, 800)
          const result: Effect.Effect<string, Retryable.Retryable> =
            dice < 0.55 ? Effect.fail(broken) : dice < 0.65 ? Effect.interrupt : Effect.succeed("ok")
          yield* TestClock.adjust(delay)
          const ours = yield* send(result)
          const theirs = yield* Effect.exit(result.pipe(breaker.execute({ key: "k" })))
          const isRejected =
            Exit.isFailure(theirs) &&
            theirs.cause.reasons.some((r) => r._tag === "Fail" && r.error instanceof CircuitBreaker.CircuitBreakerError)
          assert.strictEqual(isOpen(ours), isRejected, `call ${n}`)
          story.push([(yield* circuit.state("k"))._tag, (yield* breaker.state("k"))._tag])
        }
        assert.deepStrictEqual(
          story.map(([ours]) => ours),
          story.map(([, theirs]) => theirs)
        )
        assert.isTrue(story.some(([ours]) => ours === "Open"))
      }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()), Random.withSeed(seed))
    )
  })
})
