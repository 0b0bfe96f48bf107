/** Give jobs to a few workers, hear of each when it is done, and stop: what runs ends, and nothing new is taken. */
import { Deferred, Effect, Exit } from "effect"
import { Llm } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"
import { MemoryWorkStore, WorkQueue } from "holdfast/work"

const program = Effect.gen(function* () {
  const hasBegun = yield* Deferred.make<void>()
  const queue = yield* WorkQueue.make({
    workers: 3,
    // As many may wait. Then `offer` waits too, so that who makes jobs is no faster than who does them.
    capacity: 20,
    retry: { retries: 0 },
    work: ({ payload }: WorkQueue.Job<string>) =>
      Effect.gen(function* () {
        if (payload === "Sum it up") yield* Deferred.succeed(hasBegun, undefined)
        return (yield* Llm.generateText(payload)).text
      })
  })

  // The handle of a job is the event of its completion: for `await` it fails as the job does, for `result` never.
  const handles = yield* Effect.forEach(["Say hello", "Say nothing", "Say goodbye"], (prompt) => queue.offer(prompt))
  for (const { result } of handles) {
    const exit = yield* result
    console.log(Exit.isSuccess(exit) ? exit.value : "it failed")
  }

  const last = yield* queue.offer("Sum it up")
  yield* Deferred.await(hasBegun)
  const { interrupted } = yield* queue.stop({ grace: "1 minute" })
  console.log(yield* last.await, `(${interrupted} interrupted)`)
  console.log((yield* Effect.flip(queue.offer("One more"))).reason._tag)
})

// In place of a model: its summary takes a while.
const model = TestLlm.layer([
  { when: "Say hello", reply: "Hello" },
  { when: "Say goodbye", reply: "Goodbye" },
  { when: "Sum it up", reply: Effect.as(Effect.sleep("50 millis"), "Greetings were exchanged") }
])
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide([MemoryWorkStore.layer, model])))
// Output:
// Hello
// it failed
// Goodbye
// Greetings were exchanged (0 interrupted)
// Stopped
