/** Let producers wait while consumers are behind: a bounded queue between them, and the end when all is done. */
import { Deferred, Effect, Fiber, Schedule } from "effect"
import { MemoryWorkStore, WorkQueue } from "holdfast/work"

const program = Effect.gen(function* () {
  const go = yield* Deferred.make<void>()
  const done: Array<string> = []
  // Three consumers, and two places before them. The consumers are slow until they are told to go.
  const queue = yield* WorkQueue.make({
    workers: 3,
    capacity: 2,
    work: ({ payload }: WorkQueue.Job<string>) =>
      Effect.andThen(
        Deferred.await(go),
        Effect.sync(() => done.push(payload))
      )
  })

  let offered = 0
  const producer = (name: string) =>
    Effect.forEach([1, 2, 3, 4, 5, 6], (n) =>
      Effect.tap(queue.offer(`${name} ${n}`), () => Effect.sync(() => offered++))
    )
  const producers = yield* Effect.forkChild(Effect.all([producer("red"), producer("blue")], { concurrency: 2 }))

  const isFull = ({ ready, running }: { ready: number; running: number }) => ready === 2 && running === 3
  console.log(yield* Effect.repeat(queue.size, { until: isFull, schedule: Schedule.spaced("1 millis") }))
  console.log(`${offered} of 12 are offered, the producers wait`)

  // Who would rather not wait is told that it is full.
  const refused = yield* Effect.flip(queue.offer("green", { whenFull: "refuse" }))
  console.log(refused.message)

  yield* Deferred.succeed(go, undefined)
  yield* Fiber.join(producers)
  yield* queue.join
  const of = (name: string) => done.filter((job) => job.startsWith(name)).length
  console.log(`done: ${of("red")} of red, ${of("blue")} of blue`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(MemoryWorkStore.layer)))
// Output:
// { ready: 2, delayed: 0, running: 3, dead: 0 }
// 5 of 12 are offered, the producers wait
// work queue "work": 2 jobs wait, which is the queue's capacity; offer later, or with `whenFull: "wait"`
// done: 6 of red, 6 of blue
