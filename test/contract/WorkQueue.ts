/** What every queue does, wherever its jobs are kept. One suite for every store. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Layer, Schema, type Scope } from "effect"
import { WorkQueue, type WorkQueueError, type WorkStore } from "holdfast/work"

const Payload = Schema.Struct({ n: Schema.Int })
type Payload = typeof Payload.Type

export class Broken extends Schema.TaggedError<Broken>()("Broken", { n: Schema.Int }) {}

class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { n: Schema.Int }) {
  readonly isRetryable = false
}

let names = 0

/** A queue of its own, whose retries do not wait. */
const make = <B, E>(
  work: (job: WorkQueue.Job<Payload>) => Effect.Effect<B, E>,
  options: Partial<WorkQueue.Options<Payload, B, E, never>> = {}
) =>
  WorkQueue.make({
    name: `contract ${process.pid} ${names++}`,
    payload: Payload,
    work,
    retry: { retries: 2, base: 0, jitter: "none" },
    ...options
  })

/** `layer` makes one store for the whole suite. */
export const workQueueContract = (
  name: string,
  layer: Layer.Layer<WorkStore.WorkStore, unknown>,
  skip = false
): void => {
  const test = (title: string, body: () => Effect.Effect<void, unknown, WorkStore.WorkStore | Scope.Scope>): void => {
    it.live.skipIf(skip)(title, () => Effect.scoped(Effect.provide(body(), layer)), 60_000)
  }

  describe(name, () => {
    test("gives each job's result to its handle", () =>
      Effect.gen(function* () {
        const queue = yield* make(({ payload }) => Effect.succeed(payload.n * 2), { workers: 3 })
        const handles = yield* Effect.forEach([1, 2, 3, 4, 5], (n) => queue.offer({ n }))
        const results = yield* Effect.forEach(handles, (handle) => handle.await)
        assert.deepStrictEqual(results, [2, 4, 6, 8, 10])
        yield* queue.join
        assert.deepStrictEqual(yield* queue.size, { ready: 0, delayed: 0, running: 0, dead: 0 })
      }))

    test("does the urgent ones first and equal ones in their order", () =>
      Effect.gen(function* () {
        const done: Array<number> = []
        const gate = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        const queue = yield* make(({ payload: { n } }) =>
          n === 0
            ? Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(gate))
            : Effect.sync(() => done.push(n))
        )
        yield* queue.offer({ n: 0 })
        yield* Deferred.await(started)
        for (const [n, priority] of [
          [5, "low"],
          [3, "normal"],
          [1, "high"],
          [6, "low"],
          [4, "normal"],
          [2, "high"]
        ] as const)
          yield* queue.offer({ n }, { priority })
        yield* Deferred.succeed(gate, undefined)
        yield* queue.join
        assert.deepStrictEqual(done, [1, 2, 3, 4, 5, 6])
      }))

    test("tries again what fails and counts the tries", () =>
      Effect.gen(function* () {
        const queue = yield* make(({ attempt, payload }) =>
          attempt < 3 ? Effect.fail(new Broken(payload)) : Effect.succeed(attempt)
        )
        const handle = yield* queue.offer({ n: 1 })
        assert.strictEqual(yield* handle.await, 3)
      }))

    test("keeps what is given up, to be read, offered again and discarded", () =>
      Effect.gen(function* () {
        let isBroken = true
        const queue = yield* make(({ payload }) =>
          isBroken ? Effect.fail(new Broken(payload)) : Effect.succeed("done")
        )
        const first = yield* queue.offer({ n: 1 }, { id: "a", priority: "high" })
        const second = yield* queue.offer({ n: 2 }, { id: "b" })
        const errors = yield* Effect.forEach([first, second], (handle) => Effect.flip(handle.await))
        assert.deepStrictEqual(errors, [new Broken({ n: 1 }), new Broken({ n: 2 })])
        yield* queue.join
        const dead = yield* queue.deadLetters()
        assert.deepStrictEqual(
          dead.map(({ attempts, id, payload, priority }) => [id, payload, priority, attempts]).toSorted(),
          [
            ["a", { n: 1 }, "high", 3],
            ["b", { n: 2 }, "normal", 3]
          ]
        )
        assert.include(dead[0]?.failure, "Broken")
        isBroken = false
        const again = yield* queue.reoffer("a")
        assert.strictEqual(yield* again === undefined ? Effect.succeed("gone") : again.await, "done")
        assert.strictEqual(yield* queue.reoffer("a"), undefined)
        assert.isTrue(yield* queue.discard("b"))
        assert.isFalse(yield* queue.discard("b"))
        assert.strictEqual((yield* queue.size).dead, 0)
      }))

    test("gives up at once what says that it is not worth another try", () =>
      Effect.gen(function* () {
        let tries = 0
        const queue = yield* make(({ payload }) =>
          Effect.suspend(() => {
            tries++
            return Effect.fail(new Wrong(payload))
          })
        )
        const handle = yield* queue.offer({ n: 7 })
        assert.deepStrictEqual(yield* Effect.flip(handle.await), new Wrong({ n: 7 }))
        assert.strictEqual(tries, 1)
        assert.strictEqual((yield* queue.size).dead, 1)
      }))

    test("does a job once whose id is offered twice", () =>
      Effect.gen(function* () {
        let runs = 0
        const queue = yield* make(() => Effect.sync(() => ++runs).pipe(Effect.delay("20 millis")))
        const handles = yield* Effect.forEach([1, 2, 3], (n) => queue.offer({ n }, { id: "same" }))
        assert.deepStrictEqual(yield* Effect.forEach(handles, (handle) => handle.await), [1, 1, 1])
        yield* queue.join
        assert.strictEqual(runs, 1)
      }))

    test("makes an offer wait for a place, or refuses it", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        const queue = yield* make(() => Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(gate)), {
          capacity: 2
        })
        yield* queue.offer({ n: 0 })
        yield* Deferred.await(started)
        yield* queue.offer({ n: 1 })
        yield* queue.offer({ n: 2 })
        const refused = yield* Effect.flip(queue.offer({ n: 3 }, { whenFull: "refuse" }))
        assert.strictEqual(refused.code, "QueueFull")
        const waits = yield* Effect.forkChild(queue.offer({ n: 3 }), { startImmediately: true })
        yield* Effect.yieldNow
        assert.strictEqual((yield* queue.size).ready, 2)
        yield* Deferred.succeed(gate, undefined)
        const handle = yield* Fiber.join(waits)
        yield* handle.await
        yield* queue.join
      }))

    test("drains on stop, gives back what takes longer, and leaves the rest to the next queue", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const options = { name: `contract ${process.pid} stop ${names++}` }
        const report = yield* Effect.scoped(
          Effect.gen(function* () {
            const queue = yield* make(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never), options)
            yield* queue.offer({ n: 1 })
            const last = yield* queue.offer({ n: 2 })
            yield* Deferred.await(started)
            const report = yield* queue.stop({ grace: "20 millis" })
            const codes = yield* Effect.forEach(
              [Effect.asVoid(last.await), Effect.asVoid(queue.offer({ n: 3 }))],
              Effect.flip
            )
            assert.deepStrictEqual(codes.map(codeOf), ["Stopped", "Stopped"])
            return report
          })
        )
        assert.deepStrictEqual(report, { finished: 0, interrupted: 1 })
        const attempts: Array<readonly [number, number]> = []
        const next = yield* make(
          ({ attempt, payload }) => Effect.sync(() => attempts.push([payload.n, attempt])),
          options
        )
        yield* next.join
        assert.deepStrictEqual(attempts.toSorted(), [
          [1, 1],
          [2, 1]
        ])
      }))

    test("does nothing to a delayed job before its time", () =>
      Effect.gen(function* () {
        const done: Array<number> = []
        const queue = yield* make(({ payload }) => Effect.sync(() => done.push(payload.n)))
        yield* queue.offer({ n: 2 }, { delay: "1 second" })
        yield* queue.offer({ n: 1 })
        assert.strictEqual((yield* queue.size).delayed, 1)
        yield* queue.join
        assert.deepStrictEqual(done, [1, 2])
      }))

    test("takes a job that interrupts itself for one that has failed", () =>
      Effect.gen(function* () {
        const queue = yield* make(() => Effect.interrupt)
        const handle = yield* queue.offer({ n: 1 })
        assert.isTrue(Exit.isFailure(yield* handle.result))
        assert.strictEqual((yield* queue.deadLetters())[0]?.attempts, 3)
      }))
  })
}

const codeOf = (error: WorkQueueError.WorkQueueError): string => error.code
