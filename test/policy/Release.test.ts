import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, Policy, PolicyError, Release } from "holdfast/policy"

const call = { key: "test", safety: "idempotent" } as const

describe("Release", () => {
  it.effect("gives a finalizer five fresh seconds after the deadline around has passed", () =>
    Effect.gen(function* () {
      let left = 0
      const kill = Effect.map(Deadline.remaining, (remaining) => {
        left = Duration.toMillis(remaining)
      })
      const program = Effect.never.pipe(
        Effect.ensuring(Effect.orDie(Release.run(kill))),
        Deadline.within("1 second", "program")
      )
      const fiber = yield* Effect.forkChild(program, { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.strictEqual(left, 5000)
    })
  )

  it.effect("sends the kill request of a call whose deadline has passed", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.defaults)
      const kills: Array<string> = []
      const kill = held.apply(call)(Effect.sync(() => void kills.push("killed")))
      const late = Effect.never.pipe(Effect.ensuring(Effect.ignore(kill)), Deadline.within("1 second"))
      const kept = Effect.never.pipe(Effect.ensuring(Effect.ignore(Release.run(kill))), Deadline.within("1 second"))
      const fiber = yield* Effect.forkChild(Effect.exit(late), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(kills, [])
      const second = yield* Effect.forkChild(Effect.exit(kept), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.await(second)
      assert.deepStrictEqual(kills, ["killed"])
    }).pipe(Effect.scoped)
  )

  it.effect("ends a release that hangs, in an uninterruptible region too", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(Effect.flip(Release.run(Effect.never))), {
        startImmediately: true
      })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.instanceOf(yield* Fiber.join(fiber), PolicyError.DeadlineExceeded)
    })
  )

  it.effect("passes a policy that drains, and its slots, and nothing else does", () =>
    Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ maxConcurrency: 1, maxQueue: 0 }))
      const kills: Array<string> = []
      const kill = (name: string) => held.apply(call)(Effect.sync(() => void kills.push(name)))
      const busy = yield* Effect.forkChild(
        held
          .apply(call)(Effect.never)
          .pipe(Effect.ensuring(Effect.ignore(Release.run(kill("finalizer"))))),
        { startImmediately: true }
      )
      yield* Release.run(kill("past the slots"))
      assert.strictEqual((yield* Effect.flip(kill("refused")))._tag, "Shed")
      const report = yield* held.drain(0)
      assert.deepStrictEqual(report, { finished: 0, interrupted: 1 })
      yield* Fiber.await(busy)
      yield* Release.run(kill("past the drain"))
      assert.strictEqual((yield* Effect.flip(kill("refused")))._tag, "Draining")
      assert.deepStrictEqual(kills, ["past the slots", "finalizer", "past the drain"])
    }).pipe(Effect.scoped)
  )

  it.effect("marks the effect as a release, and nothing around it", () =>
    Effect.gen(function* () {
      const isRelease = Effect.withFiber((fiber) => Effect.succeed(fiber.getRef(Release.Current)))
      assert.isTrue(yield* Release.run(isRelease, "1 minute"))
      assert.isFalse(yield* isRelease)
    })
  )
})
