/** Start a search in the background, do something else, and wait for what it found when you need it. */
import { Effect, Fiber } from "effect"
import { MemoryVectorStore, VectorStore } from "holdfast/vector"

const program = Effect.gen(function* () {
  const store = yield* VectorStore.VectorStore
  yield* store.upsertMany([
    { id: "paris", vector: [1, 0] },
    { id: "tokyo", vector: [0, 1] }
  ])

  const search = store.search({ vector: [0.9, 0.1], limit: 1 }).pipe(
    Effect.delay("20 millis"),
    Effect.tap(() => Effect.sync(() => console.log("the search is done")))
  )
  // It is interrupted when the scope ends, should nobody wait for it.
  const fiber = yield* Effect.forkScoped(search)
  console.log("something else is done")

  const [nearest] = yield* Fiber.join(fiber)
  console.log(`found: ${nearest?.id}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(MemoryVectorStore.layer())))
// Output:
// something else is done
// the search is done
// found: paris
