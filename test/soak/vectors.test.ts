/** The nearest of 10 000 vectors of 128 numbers, against a sort of all of them. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryVectorStore, SqliteVectorStore, VectorStore } from "holdfast/vector"
import { clustered, recallOf } from "../fixtures/vectors.ts"
import { atScale } from "./scale.ts"

for (const metric of ["cosine", "dot", "euclidean"] as const)
  it.live(`finds all that are nearest by ${metric}`, () =>
    Effect.gen(function* () {
      const { items, queries } = clustered({ count: atScale(10_000), dimensions: 128, queries: 10 })
      const asked = queries.map((vector) => ({ vector, limit: 25 }))
      for (const layer of [
        MemoryVectorStore.layer({ metric }),
        SqliteVectorStore.layer({ path: ":memory:", metric })
      ]) {
        const found = yield* Effect.provide(
          Effect.gen(function* () {
            const store = yield* VectorStore.VectorStore
            yield* store.upsertMany(items)
            // Slots that are given back and taken again.
            yield* store.remove(items.slice(0, 777).map(({ id }) => id))
            yield* store.upsertMany(items.slice(0, 777).toReversed())
            return yield* store.searchMany(asked)
          }),
          layer
        )
        assert.strictEqual(recallOf(found, items, queries, { metric, limit: 25 }), 1)
      }
    })
  )
