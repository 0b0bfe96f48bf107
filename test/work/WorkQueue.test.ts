import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Ref, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { MemoryWorkStore, SqliteWorkStore, WorkQueue, WorkQueueError } from "holdfast/work"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {
  readonly isRetryable = true
  readonly retryAfter = Duration.seconds(30)
}

/** Notes what is done, and when. */
const noting = Effect.gen(function* () {
  const notes = yield* Ref.make<ReadonlyArray<string>>([])
  const note = (text: string) =>
    Effect.flatMap(
      Effect.clockWith((clock) => clock.currentTimeMillis),
      (now) => Ref.update(notes, (all) => [...all, `${text} ${now}`])
    )
  return { note, notes: Ref.get(notes) }
})

describe("WorkQueue", () => {
  it.effect("does a delayed job at its time and not before, whatever its priority", () =>
    Effect.gen(function* () {
      const { note, notes } = yield* noting
      const queue = yield* WorkQueue.make({ work: ({ payload }: WorkQueue.Job<string>) => note(payload) })
      yield* queue.offer("late", { delay: "10 seconds", priority: "high" })
      yield* queue.offer("later", { delay: "1 minute" })
      yield* queue.offer("now")
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(yield* notes, ["now 0"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* notes, ["now 0", "late 10000"])
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(yield* notes, ["now 0", "late 10000", "later 60000"])
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("waits between tries as the policy says, and longer when the error asks for it", () =>
    Effect.gen(function* () {
      const { note, notes } = yield* noting
      const queue = yield* WorkQueue.make({
        retry: { retries: 3, base: "1 second", jitter: "none" },
        work: ({ attempt, payload }: WorkQueue.Job<string>) =>
          Effect.andThen(note(payload), Effect.fail(attempt === 2 ? new Busy() : "it broke"))
      })
      const handle = yield* queue.offer("try")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* Effect.flip(handle.await), "it broke")
      // 1 s, then the 30 s of the error, then 4 s
      assert.deepStrictEqual(yield* notes, ["try 0", "try 1000", "try 31000", "try 35000"])
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("tries again by a Schedule until that ends", () =>
    Effect.gen(function* () {
      const { note, notes } = yield* noting
      const queue = yield* WorkQueue.make({
        retry: { retries: 100, schedule: Schedule.spaced("5 seconds").pipe(Schedule.upTo({ times: 2 })) },
        work: ({ payload }: WorkQueue.Job<string>) => Effect.andThen(note(payload), Effect.fail("no"))
      })
      yield* queue.offer("try")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* notes, ["try 0", "try 5000", "try 10000"])
      assert.strictEqual((yield* queue.size).dead, 1)
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("joins when the last job is done, retried and delayed ones included", () =>
    Effect.gen(function* () {
      const queue = yield* WorkQueue.make({
        workers: 2,
        retry: { base: "1 second", jitter: "none" },
        work: ({ attempt, payload }: WorkQueue.Job<number>) =>
          payload === 1 && attempt === 1 ? Effect.fail("once") : Effect.sleep("1 second")
      })
      yield* queue.join
      yield* Effect.forEach([1, 2, 3], (n) => queue.offer(n))
      yield* queue.offer(4, { delay: "1 minute" })
      const join = yield* Effect.forkChild(queue.join, { startImmediately: true })
      yield* TestClock.adjust("60 seconds")
      assert.isUndefined(join.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.await(join), Exit.void)
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("lets no more jobs run than it has workers, and finishes them when it is stopped", () =>
    Effect.gen(function* () {
      let most = 0
      let now = 0
      const queue = yield* WorkQueue.make({
        workers: 3,
        work: () =>
          Effect.suspend(() => {
            most = Math.max(most, ++now)
            return Effect.ensuring(
              Effect.sleep("1 second"),
              Effect.sync(() => now--)
            )
          })
      })
      yield* Effect.forEach(Array.from({ length: 10 }), (_, n) => queue.offer(n))
      yield* TestClock.adjust("2500 millis")
      const stop = yield* Effect.forkChild(queue.stop({ grace: "1 second" }), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(stop), { finished: 3, interrupted: 0 })
      assert.deepStrictEqual(yield* queue.stop(), { finished: 3, interrupted: 0 })
      assert.strictEqual(most, 3)
      assert.strictEqual((yield* queue.size).ready, 1)
      assert.strictEqual((yield* Effect.flip(queue.join)).code, "Stopped")
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("serves offers that wait in their order", () =>
    Effect.gen(function* () {
      const done: Array<number> = []
      const queue = yield* WorkQueue.make({
        capacity: 1,
        work: ({ payload }: WorkQueue.Job<number>) =>
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => done.push(payload))
          )
      })
      const offers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (n) =>
        Effect.forkChild(queue.offer(n), { startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forEach(offers, Fiber.join)
      assert.deepStrictEqual(done, [1, 2, 3, 4, 5, 6])
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("leaves its jobs in the store when its scope ends, and its handles say so", () =>
    Effect.gen(function* () {
      const handle = yield* Effect.scoped(
        Effect.gen(function* () {
          const started = yield* Deferred.make<void>()
          const queue = yield* WorkQueue.make({
            work: () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)
          })
          const handle = yield* queue.offer("job")
          yield* Deferred.await(started)
          return handle
        })
      )
      const error = yield* Effect.flip(handle.await)
      assert.isTrue(WorkQueueError.WorkQueueError.isInstance(error) && error.code === "Stopped")
      const queue = yield* WorkQueue.make({ workers: 0, work: () => Effect.void })
      assert.deepStrictEqual(yield* queue.size, { ready: 1, delayed: 0, running: 0, dead: 0 })
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )

  it.effect("refuses to open a name of one memory twice at a time", () =>
    Effect.gen(function* () {
      yield* WorkQueue.make({ work: () => Effect.void })
      const error = yield* Effect.flip(WorkQueue.make({ work: () => Effect.void }))
      assert.include(error.message, 'work queue "work": is open already')
    }).pipe(Effect.provide(MemoryWorkStore.layer))
  )
})

describe("WorkQueue in a file", () => {
  const file = SqliteWorkStore.layer({ path: ":memory:", pollInterval: "20 millis" })
  const payload = Schema.Struct({ at: Schema.DateFromString })

  it.live("stores what the schema makes of a payload, and refuses what it cannot", () =>
    Effect.gen(function* () {
      const queue = yield* WorkQueue.make({
        payload,
        work: ({ payload: { at } }) => Effect.succeed(at.getUTCFullYear())
      })
      const handle = yield* queue.offer({ at: new Date("2026-11-30T00:00:00Z") })
      assert.strictEqual(yield* handle.await, 2026)
      const error = yield* Effect.flip(queue.offer({ at: new Date(Number.NaN) }))
      assert.strictEqual(error.code, "InvalidPayload")
      const bare = yield* Effect.flip(WorkQueue.make({ work: () => Effect.void }))
      assert.include(bare.message, "needs `payload`, a schema")
    }).pipe(Effect.provide(file))
  )

  it.live("tells a queue that only offers what another one has made of its jobs", () =>
    Effect.gen(function* () {
      const offers = yield* WorkQueue.make({ payload: Schema.String, workers: 0, work: () => Effect.void })
      const good = yield* offers.offer("good")
      const bad = yield* offers.offer("bad")
      yield* WorkQueue.make({
        payload: Schema.String,
        retry: { retries: 0 },
        work: (job) => (job.payload === "bad" ? Effect.fail(new Error("it is bad")) : Effect.void)
      })
      const errors = yield* Effect.forEach([good, bad], (handle) => Effect.flip(handle.await))
      assert.deepStrictEqual(
        errors.map(({ code }) => code),
        ["ResultElsewhere", "JobDead"]
      )
      assert.include(errors[1]?.message, "it is bad")
    }).pipe(Effect.provide(file))
  )

  it.live("gives up at once what no longer fits the schema", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.flatMap(WorkQueue.make({ payload: Schema.String, workers: 0, work: () => Effect.void }), (queue) =>
          queue.offer("three")
        )
      )
      const queue = yield* WorkQueue.make({ payload: Schema.Int, work: () => Effect.void })
      yield* queue.join
      const [dead] = yield* queue.deadLetters()
      assert.strictEqual(dead?.payload, "three")
      assert.include(dead?.failure, "does not fit the schema")
    }).pipe(Effect.provide(file))
  )

  it.live("says which file cannot be opened", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(SqliteWorkStore.make({ path: "/nowhere/at/all/jobs.db" })))
      assert.strictEqual(error.code, "StoreFailed")
      assert.include(error.message, "cannot open /nowhere/at/all/jobs.db")
    })
  )
})
