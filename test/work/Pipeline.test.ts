import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline } from "holdfast/work"

/** Counts how many are inside at most. */
const gauge = () => {
  const state = { now: 0, most: 0 }
  const inside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      state.most = Math.max(state.most, ++state.now)
      return Effect.ensuring(
        effect,
        Effect.sync(() => state.now--)
      )
    })
  return { state, inside }
}

describe("Pipeline", () => {
  it.effect("sends a request through its stages and gives its response", () =>
    Effect.gen(function* () {
      const pipeline = yield* Pipeline.stage({ run: (text: string) => Effect.succeed(text.length) }).pipe(
        Pipeline.to({ run: (n) => (n > 3 ? Effect.fail("too long" as const) : Effect.succeed(n * 2)) }),
        Pipeline.open
      )
      assert.strictEqual(yield* pipeline.request("abc"), 6)
      assert.strictEqual(yield* Effect.flip(pipeline.request("abcd")), "too long")
    })
  )

  it.effect("keeps each stage to its concurrency", () =>
    Effect.gen(function* () {
      const [first, second] = [gauge(), gauge()]
      const pipeline = yield* Pipeline.stage({
        concurrency: 4,
        run: (n: number) => first.inside(Effect.as(Effect.sleep("1 second"), n))
      }).pipe(
        Pipeline.to({ concurrency: 2, run: (n) => second.inside(Effect.as(Effect.sleep("1 second"), n)) }),
        Pipeline.open
      )
      const all = yield* Effect.forkChild(Stream.runCollect(pipeline.run(Array.from({ length: 12 }, (_, n) => n))))
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual((yield* Fiber.join(all)).length, 12)
      assert.deepStrictEqual([first.state.most, second.state.most], [4, 2])
    })
  )

  it.effect("reads no more requests than it has places when a stage is slow", () =>
    Effect.gen(function* () {
      let read = 0
      const requests = Stream.range(1, 1000).pipe(
        Stream.tap(() => Effect.sync(() => read++)),
        Stream.rechunk(1)
      )
      const pipeline = yield* Pipeline.stage({ concurrency: 2, buffer: 1, run: (n: number) => Effect.succeed(n) }).pipe(
        Pipeline.to({ concurrency: 1, buffer: 1, run: () => Effect.never }),
        Pipeline.open
      )
      const fiber = yield* Effect.forkChild(Stream.runDrain(pipeline.run(requests)))
      yield* TestClock.adjust("1 minute")
      // 3 places in the first stage and 2 in the second, and those that the stream has in its hands.
      assert.isAtLeast(read, 5)
      assert.isAtMost(read, 8)
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("tells results as they come, or in the order of the requests", () =>
    Effect.gen(function* () {
      const pipeline = yield* Pipeline.stage({
        concurrency: 3,
        run: (seconds: number) =>
          seconds === 2 ? Effect.fail("broken") : Effect.as(Effect.sleep(`${seconds} seconds`), seconds)
      }).pipe(Pipeline.open)
      const values = (ordered: boolean) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Stream.runCollect(pipeline.run([3, 2, 1], { ordered })))
          yield* TestClock.adjust("3 seconds")
          return (yield* Fiber.join(fiber)).map(({ exit, index }) => [
            index,
            Exit.isSuccess(exit) ? exit.value : "failed"
          ])
        })
      assert.deepStrictEqual(yield* values(false), [
        [1, "failed"],
        [2, 1],
        [0, 3]
      ])
      assert.deepStrictEqual(yield* values(true), [
        [0, 3],
        [1, "failed"],
        [2, 1]
      ])
    })
  )

  it.effect("frees the places of requests that are interrupted", () =>
    Effect.gen(function* () {
      const pipeline = yield* Pipeline.stage({ buffer: 0, run: (n: number) => Effect.succeed(n) }).pipe(
        Pipeline.to({ buffer: 0, run: (n) => (n === 0 ? Effect.never : Effect.succeed(n)) }),
        Pipeline.open
      )
      const stuck = yield* Effect.forEach([0, 0, 0], () => Effect.forkChild(pipeline.request(0)))
      yield* TestClock.adjust(1)
      const waits = yield* Effect.forkChild(pipeline.request(7))
      yield* TestClock.adjust(1)
      assert.isUndefined(waits.pollUnsafe())
      yield* Fiber.interruptAll(stuck)
      assert.strictEqual(yield* Fiber.join(waits), 7)
    })
  )

  it("refuses a concurrency of nothing", () => {
    assert.throws(() => Pipeline.stage({ concurrency: 0, run: () => Effect.void }), /at least 1, not 0/)
  })
})
