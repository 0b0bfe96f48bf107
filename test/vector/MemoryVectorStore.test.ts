import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryVectorStore, VectorStore } from "holdfast/vector"
import { vectorContract } from "../contract/VectorStore.ts"

vectorContract("MemoryVectorStore", MemoryVectorStore.layer, { collections: false })

it.effect("keeps what it was given, whatever becomes of it", () =>
  Effect.gen(function* () {
    const vector = Float32Array.of(1, 0)
    const metadata: Record<string, string> = { key: "value" }
    yield* VectorStore.upsert({ id: "a", vector, metadata })
    vector[0] = 7
    metadata["key"] = "other"
    const [match] = yield* VectorStore.search({ vector: [1, 0], withVectors: true })
    assert.deepStrictEqual([match?.vector, match?.metadata], [[1, 0], { key: "value" }])
  }).pipe(Effect.provide(MemoryVectorStore.layer()))
)
