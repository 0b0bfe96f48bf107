/** Give jobs to workers: urgent ones first, failed ones again, results awaited, and what cannot be done set aside. */
import { Deferred, Effect } from "effect"
import { MemoryWorkStore, WorkQueue } from "holdfast/work"

const program = Effect.gen(function* () {
  const isOffered = yield* Deferred.make<void>()
  const queue = yield* WorkQueue.make({
    workers: 1,
    capacity: 100,
    retry: { retries: 2, base: "10 millis" },
    work: ({ attempt, payload }: WorkQueue.Job<string>) =>
      Effect.gen(function* () {
        console.log(`${payload}, try ${attempt}`)
        if (payload === "first") yield* Deferred.await(isOffered)
        // Stands for a call of a model or a sandbox that fails now and then.
        if (payload === "impossible" || (payload === "report" && attempt === 1)) return yield* Effect.fail("no answer")
        return payload.length
      })
  })

  // It keeps the one worker busy until the others wait.
  yield* queue.offer("first", { priority: "high" })
  const report = yield* queue.offer("report", { priority: "low" })
  const chat = yield* queue.offer("chat", { priority: "high" })
  yield* Deferred.succeed(isOffered, undefined)
  console.log(`chat has ${yield* chat.await} letters, report has ${yield* report.await}`)

  yield* queue.offer("impossible", { id: "job 3", delay: "50 millis" })
  yield* queue.join
  for (const { attempts, id } of yield* queue.deadLetters()) console.log(`${id} was given up after ${attempts} tries`)
  console.log(yield* queue.size)
  console.log(yield* queue.stop({ grace: "1 second" }))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(MemoryWorkStore.layer)))
// Output:
// first, try 1
// chat, try 1
// report, try 1
// report, try 2
// chat has 4 letters, report has 6
// impossible, try 1
// impossible, try 2
// impossible, try 3
// job 3 was given up after 3 tries
// { ready: 0, delayed: 0, running: 0, dead: 1 }
// { finished: 0, interrupted: 0 }
