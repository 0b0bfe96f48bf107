/** Store vectors and search them: insert one, insert many, search, search many, and stream what is found. */
import { Effect, Stream } from "effect"
import { MemoryVectorStore, VectorStore } from "holdfast/vector"

const program = Effect.gen(function* () {
  const vectors = yield* VectorStore.VectorStore

  yield* vectors.upsert({ id: "north", vector: [0, 1], text: "to the north" })
  yield* vectors.upsertMany([
    { id: "east", vector: [1, 0], metadata: { year: 2026 } },
    { id: "north-east", vector: [1, 1], metadata: { year: 2020 } }
  ])
  console.log(yield* vectors.count(), "vectors")

  const [nearest] = yield* vectors.search({ vector: [0.1, 1], limit: 1 })
  console.log(nearest?.id, nearest?.score.toFixed(3), nearest?.text)

  const [recent] = yield* vectors.search({ vector: [0.1, 1], limit: 1, filter: { field: "year", gt: 2021 } })
  console.log("after 2021:", recent?.id)

  // Many queries in one request, where the store has one for them.
  const found = yield* vectors.searchMany([
    { vector: [1, 0.1], limit: 1 },
    { vector: [1, 0.9], limit: 1 }
  ])
  console.log(found.map(([match]) => match?.id))

  yield* vectors
    .stream({ vector: [1, 0], limit: 2 })
    .pipe(Stream.runForEach(({ id, score }) => Effect.sync(() => console.log(id, score.toFixed(2)))))

  yield* vectors.remove({ field: "year", lt: 2021 })
  console.log(yield* vectors.count(), "are left")
})

// In production a file, or a server: SqliteVectorStore.layer({ path: "vectors.db" }), ChromaVectorStore.layer() at
// localhost:8000, QdrantVectorStore.layer(), PostgresVectorStore.layer().
await Effect.runPromise(program.pipe(Effect.provide(MemoryVectorStore.layer())))
// Output:
// 3 vectors
// north 0.995 to the north
// after 2021: east
// [ 'east', 'north-east' ]
// east 1.00
// north-east 0.71
// 2 are left
