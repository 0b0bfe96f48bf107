/** Use a queue of jobs from a program of promises: a plain function does the work, and each job is a promise. */
import { Effect, Exit, ManagedRuntime, Scope } from "effect"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm } from "holdfast/testing"
import { MemoryWorkStore, WorkQueue } from "holdfast/work"

// In place of `createClient({ llm })`.
await using client = fromLayer(TestLlm.layer([{ when: "hello", reply: "Hello" }]))

// A queue lives as long as its store and its scope: here as long as the program.
const store = ManagedRuntime.make(MemoryWorkStore.layer)
const scope = Scope.makeUnsafe()
const made = WorkQueue.make({
  workers: 2,
  capacity: 10,
  work: ({ payload }: WorkQueue.Job<string>) =>
    Effect.tryPromise({
      try: (signal) => client.generateText(payload, { signal }),
      // The error as it is: one that says that it is not `isRetryable` ends the job at once.
      catch: (error) => error
    })
})
const queue = await store.runPromise(Scope.provide(made, scope))

const jobs = await Promise.all(["Say hello", "Say nothing"].map((prompt) => Effect.runPromise(queue.offer(prompt))))
const results = await Promise.allSettled(jobs.map((job) => Effect.runPromise(job.await)))
for (const result of results) {
  console.log(result.status === "fulfilled" ? result.value.text : `it failed: ${result.reason.code}`)
}

await Effect.runPromise(queue.stop({ grace: "5 seconds" }))
await Effect.runPromise(Scope.close(scope, Exit.void))
await store.dispose()
// Output:
// Hello
// it failed: InvalidRequest
