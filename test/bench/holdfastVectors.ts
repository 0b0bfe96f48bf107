/** Our stores as keepers. */
import { Effect, type Layer, ManagedRuntime } from "effect"
import { VectorStore } from "holdfast/vector"
import type { Keeper } from "./vectors.ts"

export const over = async <E>(layer: Layer.Layer<VectorStore.VectorStore, E>): Promise<Keeper> => {
  const runtime = ManagedRuntime.make(layer)
  const ask = <A, E2>(f: (store: VectorStore.VectorStore["Service"]) => Effect.Effect<A, E2>): Promise<A> =>
    runtime.runPromise(Effect.flatMap(VectorStore.VectorStore, f))
  return {
    upsert: (items) => ask((store) => store.upsertMany(items)),
    search: (vector) => ask((store) => store.search({ vector, limit: 10 })),
    searchTen: (vectors) => ask((store) => store.searchMany(vectors.map((vector) => ({ vector, limit: 10 })))),
    close: () => runtime.dispose()
  }
}
