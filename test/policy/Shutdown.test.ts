import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Policy, Shutdown } from "holdfast/policy"

/** A process without signals of its own: the test gives them. */
const makeHost = () => {
  const listeners = new Set<(signal: Shutdown.Signal) => void>()
  const host: Shutdown.Host = {
    onSignal: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exit: () => {}
  }
  const send = (signal: Shutdown.Signal) => Effect.sync(() => listeners.forEach((listener) => listener(signal)))
  return { host, send, listeners }
}

const call = { key: "test", safety: "unsafe" } as const

/** Starts a program under a shutdown with a grace of 8 seconds: 6 for work, 2 for finalizers. */
const start = <A, E, R>(program: Effect.Effect<A, E, R>, options: Shutdown.Options = {}) =>
  Effect.gen(function* () {
    const { host, listeners, send } = makeHost()
    const quiet = Effect.provide(Shutdown.stopOnSignal(program, { host, ...options }), Logger.layer([]))
    const fiber = yield* Effect.forkChild(quiet, { startImmediately: true })
    const stopped = Effect.flatMap(Fiber.join(fiber), () => Effect.die("it ended by itself")).pipe(
      Effect.flip,
      Effect.flatMap((error) => (error instanceof Shutdown.Stopped ? Effect.succeed(error) : Effect.die(error)))
    )
    return { fiber, listeners, send, stopped }
  })

describe("Shutdown", () => {
  it.effect("leaves a program that ends by itself as it is", () =>
    Effect.gen(function* () {
      const { host, listeners } = makeHost()
      assert.strictEqual(yield* Shutdown.stopOnSignal(Effect.succeed(42), { host }), 42)
      assert.strictEqual(yield* Effect.flip(Shutdown.stopOnSignal(Effect.fail("no"), { host })), "no")
      assert.strictEqual(listeners.size, 0)
    })
  )

  it.effect("interrupts a program that has nothing in flight at once, and waits for its finalizers", () =>
    Effect.gen(function* () {
      let isReleased = false
      const release = Effect.andThen(
        Effect.sleep("1 second"),
        Effect.sync(() => (isReleased = true))
      )
      const { fiber, send, stopped } = yield* start(Effect.ensuring(Effect.never, release))
      yield* send("SIGTERM")
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { exitCode, isClean, message } = yield* stopped
      assert.isTrue(isReleased)
      assert.deepStrictEqual({ exitCode, isClean }, { exitCode: 143, isClean: true })
      assert.strictEqual(message, "stopped by SIGTERM: nothing was under way")
    })
  )

  it.effect("lets the calls of a policy finish, takes no new ones, and reports", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      const results: Array<string> = []
      const ask = (seconds: number) =>
        Effect.as(Effect.sleep(Duration.seconds(seconds)), `${seconds} s`).pipe(
          held.apply(call),
          Effect.matchEffect({
            onFailure: (error) => Effect.sync(() => void results.push(error._tag)),
            // What a program does with an answer is a step that no policy sees.
            onSuccess: (text) =>
              Effect.andThen(
                Effect.sleep("10 millis"),
                Effect.sync(() => void results.push(text))
              )
          })
        )
      const program = Effect.all([ask(3), ask(5), ask(60), Effect.delay(ask(1), "1 second")], {
        concurrency: "unbounded"
      })
      const { send, stopped } = yield* start(program, { drains: [held] })
      yield* send("SIGINT")
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual(results, ["Draining", "3 s", "5 s"])
      yield* TestClock.adjust("100 millis")
      const { exitCode, report } = yield* stopped
      assert.deepStrictEqual(report, { finished: 2, interrupted: 1, units: { finished: 0, interrupted: 0 } })
      assert.strictEqual(exitCode, 130)
    }).pipe(Effect.scoped)
  )

  it.effect("drains what is registered with it, also what comes too late, and forgets what has closed", () =>
    Effect.gen(function* () {
      const drained: Array<string> = []
      const drainable = (name: string): Shutdown.Drainable => ({
        drain: (grace) =>
          Effect.sync(() => {
            drained.push(`${name} ${Duration.toMillis(grace)}`)
            return { finished: 1, interrupted: 0 }
          })
      })
      const program = Effect.gen(function* () {
        yield* Effect.scoped(Shutdown.register(drainable("closed")))
        yield* Shutdown.register(drainable("open"))
        yield* Effect.sleep("100 millis")
        yield* Shutdown.register(drainable("late"))
        yield* Effect.never
      }).pipe(Effect.scoped)
      const { send, stopped } = yield* start(program)
      yield* send("SIGTERM")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* stopped).report?.finished, 1)
      assert.deepStrictEqual(drained, ["open 6000", "late 0"])
    })
  )

  it.effect("drains the policies that the program opens by itself", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const held = yield* Policy.open(Policy.defaults)
        return yield* held.apply(call)(Effect.sleep("2 seconds")).pipe(Effect.andThen(Effect.never))
      })
      const { send, stopped } = yield* start(Effect.scoped(program))
      yield* send("SIGTERM")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* stopped).message, "stopped by SIGTERM: 1 call finished, 0 interrupted")
    })
  )

  it.effect("lets units of work finish with the calls that they have yet to make, and begins no more of them", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      const done: Array<number> = []
      const step = held.apply(call)(Effect.sleep("1 second"))
      const item = (n: number) =>
        Effect.gen(function* () {
          yield* step
          yield* step
          done.push(n)
        })
      const program = Effect.forEach([0, 1, 2, 3, 4, 5], (n) => Shutdown.unit(item(n)), { concurrency: 2 })
      const { send, stopped } = yield* start(program, { drains: [held] })
      yield* TestClock.adjust("2500 millis")
      assert.deepStrictEqual(done, [0, 1])
      yield* send("SIGTERM")
      yield* TestClock.adjust("4 seconds")
      const { message, report } = yield* stopped
      assert.deepStrictEqual(done, [0, 1, 2, 3])
      assert.deepStrictEqual(report?.units, { finished: 2, interrupted: 0 })
      assert.include(message, "2 units finished")
    }).pipe(Effect.scoped)
  )

  it.effect("counts a unit within a unit as a part of it, and lets it begin", () =>
    Effect.gen(function* () {
      const part = Shutdown.unit(Effect.sleep("1 second"))
      const whole = Shutdown.unit(Effect.andThen(part, part))
      const { send, stopped } = yield* start(Effect.andThen(whole, Effect.never))
      yield* send("SIGTERM")
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual((yield* stopped).report?.units, { finished: 1, interrupted: 0 })
    })
  )

  it.effect("interrupts units that do not finish within their part of the grace", () =>
    Effect.gen(function* () {
      let isInterrupted = false
      const unit = Shutdown.unit(
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            isInterrupted = true
          })
        )
      )
      const { send, stopped } = yield* start(unit)
      yield* send("SIGTERM")
      yield* TestClock.adjust("5999 millis")
      assert.isFalse(isInterrupted)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual((yield* stopped).report?.units, { finished: 0, interrupted: 1 })
      assert.isTrue(isInterrupted)
    })
  )

  it.effect("ends with the grace when a finalizer or a drain hangs", () =>
    Effect.gen(function* () {
      const stuck = Effect.never.pipe(Effect.ensuring(Effect.never))
      const hangs: Shutdown.Drainable = { drain: () => Effect.never }
      for (const { program, drains } of [
        { program: stuck, drains: [] },
        { program: Effect.never, drains: [hangs] }
      ]) {
        const { fiber, send, stopped } = yield* start(program, { drains })
        yield* send("SIGTERM")
        yield* TestClock.adjust("7999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.isFalse((yield* stopped).isClean)
      }
    })
  )

  it.effect("ends at once at a second signal, and takes the same key press for the first", () =>
    Effect.gen(function* () {
      const { fiber, send, stopped } = yield* start(Effect.ensuring(Effect.never, Effect.never))
      yield* send("SIGINT")
      yield* TestClock.adjust("199 millis")
      yield* send("SIGINT")
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* send("SIGTERM")
      const { exitCode, isClean, message } = yield* stopped
      assert.deepStrictEqual({ exitCode, isClean }, { exitCode: 130, isClean: false })
      assert.strictEqual(message, "stopped by SIGINT, at once by a second signal")
    })
  )

  it.effect("tells the program that it is stopping", () =>
    Effect.gen(function* () {
      const seen: Array<boolean> = []
      const look = Effect.map(Shutdown.isStopping, (isStopping) => void seen.push(isStopping))
      const { send, stopped } = yield* start(Effect.ensuring(Effect.andThen(look, Effect.never), look))
      yield* send("SIGTERM")
      yield* stopped
      yield* look
      assert.deepStrictEqual(seen, [false, true, false])
    })
  )

  it.effect("interrupts its program when it is interrupted itself, and listens no longer", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const program = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      const { fiber, listeners } = yield* start(program)
      assert.strictEqual(listeners.size, 1)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(interrupted)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.strictEqual(listeners.size, 0)
    })
  )
})
