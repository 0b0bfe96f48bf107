import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Result, Stream } from "effect"
import { Policy } from "holdfast/policy"
import { Batch } from "holdfast/work"

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

describe("Batch.run", () => {
  it.effect("gives results in the order of the items, failures as values", () =>
    Effect.gen(function* () {
      const gates = yield* Effect.forEach(numbers(3), () => Deferred.make<void>())
      const ended: Array<number> = []
      const work = (n: number) =>
        Effect.gen(function* () {
          const gate = gates[n]
          if (gate !== undefined) yield* Deferred.await(gate)
          ended.push(n)
          return n === 1 ? yield* Effect.fail({ code: "Odd", isRetryable: false }) : n * 10
        })
      const fiber = yield* Effect.forkChild(
        Stream.runCollect(Batch.run(numbers(3), work, { concurrency: 3, id: (n) => `n${n}` })),
        { startImmediately: true }
      )
      for (const gate of gates.toReversed()) {
        yield* Deferred.succeed(gate, undefined)
        while (!ended.includes(gates.indexOf(gate))) yield* Effect.yieldNow
      }
      const outcomes = yield* Fiber.join(fiber)
      assert.deepStrictEqual(ended, [2, 1, 0])
      assert.deepStrictEqual(
        outcomes.map(({ index, item, result }) => [index, item, Result.isSuccess(result) ? result.success : "failed"]),
        [
          [0, 0, 0],
          [1, 1, "failed"],
          [2, 2, 20]
        ]
      )
      const records = outcomes.map(({ record }) => record)
      assert.deepStrictEqual(
        records.map(({ id, outcome }) => [id, outcome]),
        [
          ["n0", "done"],
          ["n1", "failed"],
          ["n2", "done"]
        ]
      )
      const [, failed] = records
      assert.deepInclude(failed?.outcome === "failed" ? failed.error : {}, { code: "Odd", isRetryable: false })
    })
  )

  it.effect("works on no more than its concurrency, and reads no more than its window ahead of the oldest", () =>
    Effect.gen(function* () {
      const first = yield* Deferred.make<void>()
      let read = 0
      let running = 0
      let most = 0
      const items = Stream.tap(Stream.fromIterable(numbers(1000)).pipe(Stream.rechunk(1)), () =>
        Effect.sync(() => (read += 1))
      )
      const work = (n: number) =>
        Effect.gen(function* () {
          most = Math.max(most, ++running)
          yield* n === 0 ? Deferred.await(first) : Effect.yieldNow
          running -= 1
          return n
        })
      const fiber = yield* Effect.forkChild(Stream.runCollect(Batch.run(items, work, { concurrency: 4, window: 20 })), {
        startImmediately: true
      })
      for (let turn = 0; turn < 2000; turn++) yield* Effect.yieldNow
      assert.isAtLeast(read, 20)
      // One is read, and waits for its place.
      assert.isAtMost(read, 20 + 2)
      yield* Deferred.succeed(first, undefined)
      const outcomes = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        outcomes.map(({ item }) => item),
        numbers(1000)
      )
      assert.strictEqual(most, 4)
    })
  )

  it.effect("works once on equal items, while they are under way and afterwards", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const outcomes = yield* Stream.runCollect(
        Batch.run(
          [1, 2, 1, 3, 2, 1],
          (n) =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => (asked.push(n), n * 10))
            ),
          { equalBy: String, concurrency: 2 }
        )
      )
      assert.deepStrictEqual(asked, [1, 2, 3])
      assert.deepStrictEqual(
        outcomes.map(({ record, result }) => [record.duplicateOf, Result.getOrThrow(result)]),
        [
          [undefined, 10],
          [undefined, 20],
          [0, 10],
          [undefined, 30],
          [1, 20],
          [0, 10]
        ]
      )
    })
  )

  it.effect("forgets equal items that are too many", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const work = (n: number) => Effect.sync(() => asked.push(n))
      const options = { equalBy: String, concurrency: 1, remember: 2 }
      yield* Stream.runDrain(Batch.run([1, 2, 3, 3, 1], work, options))
      assert.deepStrictEqual(asked, [1, 2, 3, 1])
    })
  )

  it.effect("ends with a failure that stands for all, once what is under way has finished", () =>
    Effect.gen(function* () {
      const finished: Array<number> = []
      const begun: Array<number> = []
      const work = (n: number) =>
        Effect.gen(function* () {
          begun.push(n)
          if (n === 1) return yield* Effect.fail("no key")
          for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
          finished.push(n)
          return n
        })
      const error = yield* Effect.flip(
        Stream.runDrain(Batch.run(numbers(100), work, { concurrency: 3, isFatal: (error) => error === "no key" }))
      )
      assert.strictEqual(error, "no key")
      assert.sameMembers(
        finished,
        begun.filter((n) => n !== 1)
      )
      assert.isAtMost(begun.length, 4)
    })
  )

  it.effect("gives each item an idempotency key of its own, the same for the same run", () =>
    Effect.gen(function* () {
      const keys = (runId?: string) =>
        Effect.map(
          Stream.runCollect(
            Batch.run(numbers(3), (_, { idempotencyKey }) => Effect.succeed(idempotencyKey), { runId })
          ),
          (outcomes) => outcomes.map(({ result }) => Result.getOrThrow(result))
        )
      assert.deepStrictEqual(yield* keys("r"), ["r-0", "r-1", "r-2"])
      const random = yield* keys()
      assert.strictEqual(new Set([...random, ...(yield* keys())]).size, 6)
    })
  )

  it.live("tells of the attempts of a policy inside", () =>
    Effect.gen(function* () {
      let left = 2
      const flaky = Effect.suspend(() =>
        left-- > 0 ? Effect.fail({ _tag: "Busy", isRetryable: true, phase: "rejected" }) : Effect.succeed("fine")
      )
      const policy = yield* Policy.open(Policy.make({ retry: { retries: 3, base: 0 } }))
      const [outcome] = yield* Stream.runCollect(
        Batch.run([1], () => policy.apply({ key: "svc", safety: "idempotent" })(flaky))
      )
      assert.deepStrictEqual(
        outcome?.record.attempts.map((attempt) => [attempt.endpoint, attempt.outcome]),
        [
          ["svc", "Busy"],
          ["svc", "Busy"],
          ["svc", "ok"]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("tells of a failure that is no JSON", () =>
    Effect.gen(function* () {
      const circle: { self?: unknown } = {}
      circle.self = circle
      const [outcome] = yield* Stream.runCollect(Batch.run([1], () => Effect.fail(circle)))
      assert.deepInclude(outcome?.record, { outcome: "failed" })
    })
  )

  it("refuses bounds that are none", () => {
    const work = () => Effect.void
    assert.throws(() => Batch.run([1], work, { concurrency: 0 }), /concurrency must be at least 1, not 0/)
    assert.throws(() => Batch.run([1], work, { concurrency: 9, window: 8 }), /window must be at least the concurrency/)
  })
})
