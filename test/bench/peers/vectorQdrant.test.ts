/** Qdrant's official client over our fake of its server, and beside QdrantVectorStore. */
import { QdrantClient } from "@qdrant/js-client-rest"
import { Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { QdrantVectorStore, VectorStore } from "holdfast/vector"
import { afterAll, describe, expect, it } from "vitest"
import { startQdrant } from "../../fixtures/qdrant.ts"

const apiKey = "secret-key"
const qdrant = await startQdrant({ apiKey })
afterAll(() => qdrant[Symbol.asyncDispose]())

const client = new QdrantClient({ url: qdrant.url, apiKey, checkCompatibility: true })
const statusOf = (error: unknown): unknown => (error instanceof Error && "status" in error ? error.status : error)

const run = <A, E>(effect: Effect.Effect<A, E, VectorStore.VectorStore>, options: QdrantVectorStore.Options) => {
  const layer = QdrantVectorStore.layer({ baseUrl: qdrant.url, apiKey: Redacted.make(apiKey), ...options })
  return Effect.runPromise(Effect.provide(effect, Layer.provide(layer, UndiciHttpClient.layer())))
}

describe("the fake Qdrant", () => {
  it("is accepted by the official client", async () => {
    await client.createCollection("theirs", { vectors: { size: 2, distance: "Cosine" } })
    expect((await client.collectionExists("theirs")).exists).toBe(true)
    expect((await client.getCollection("theirs")).config.params.vectors).toEqual({ size: 2, distance: "Cosine" })
    const upserted = await client.upsert("theirs", {
      wait: true,
      points: [
        { id: 1, vector: [0, 2], payload: { city: "Berlin", size: 3.5 } },
        { id: "00000000-0000-4000-8000-000000000002", vector: [1, 0], payload: { city: "London", size: 8 } }
      ]
    })
    expect(upserted.status).toBe("completed")
    const filter = {
      must: [{ key: "city", match: { any: ["Berlin", "Paris"] } }],
      must_not: [{ key: "size", range: { gt: 5 } }]
    }
    const { points } = await client.query("theirs", {
      query: [0, 1],
      filter,
      limit: 3,
      with_payload: true,
      with_vector: true
    })
    expect(points).toEqual([{ id: 1, version: 0, score: 1, payload: { city: "Berlin", size: 3.5 }, vector: [0, 1] }])
    const [batch] = await client.queryBatch("theirs", { searches: [{ query: [1, 0], limit: 1 }] })
    expect(batch?.points).toEqual([{ id: "00000000-0000-4000-8000-000000000002", version: 0, score: 1 }])
    expect(await client.count("theirs", { exact: true })).toEqual({ count: 2 })
    expect(await client.retrieve("theirs", { ids: [1], with_payload: false })).toEqual([{ id: 1 }])
    const { next_page_offset: next, points: page } = await client.scroll("theirs", { limit: 1 })
    expect([page.length, next]).toEqual([1, 1])
    await client.createPayloadIndex("theirs", { field_name: "city", field_schema: "keyword", wait: true })
    await client.delete("theirs", { points: [1], wait: true })
    expect(await client.count("theirs", { filter: { must: [{ key: "city", match: { value: "Berlin" } }] } })).toEqual({
      count: 0
    })
  })

  it("refuses what the real one refuses", async () => {
    await client.createCollection("strict", { vectors: { size: 2, distance: "Dot" } })
    const upsert = (id: string | number, vector: Array<number>) =>
      client.upsert("strict", { wait: true, points: [{ id, vector }] }).then(() => "accepted", statusOf)
    expect(await upsert("no uuid", [1, 0])).toBe(400)
    expect(await upsert(1, [1, 0, 0])).toBe(400)
    expect(
      await client.createCollection("strict", { vectors: { size: 2, distance: "Dot" } }).then(() => "made", statusOf)
    ).toBe(409)
    expect(await client.count("nobody").then(() => "counted", statusOf)).toBe(404)
    const locked = new QdrantClient({ url: qdrant.url, apiKey: "wrong", checkCompatibility: false })
    expect(await locked.count("strict").then(() => "counted", statusOf)).toBe(401)
  })

  it("shows what was not waited for a while later, as the real one does", async () => {
    await client.createCollection("late", { vectors: { size: 1, distance: "Dot" } })
    const { status } = await client.upsert("late", { wait: false, points: [{ id: 1, vector: [1] }] })
    expect([status, await client.count("late")]).toEqual(["acknowledged", { count: 0 }])
    expect(await client.count("late")).toEqual({ count: 1 })
  })
})

describe("QdrantVectorStore beside the official client", () => {
  it("finds points of its own and those of others", async () => {
    const id = "00000000-0000-4000-8000-00000000000a"
    await run(VectorStore.upsert({ id: "ours", vector: [3, 4], text: "a text", metadata: { n: 1 } }), {
      collection: "both"
    })
    await client.upsert("both", {
      wait: true,
      points: [{ id, vector: [4, 3], payload: { text: "theirs", metadata: { n: 2 } } }]
    })
    const { points } = await client.query("both", { query: [3, 4], limit: 1, with_payload: true })
    expect(points[0]?.payload).toEqual({ id: "ours", text: "a text", metadata: { n: 1 } })
    // A UUID of version 5 by SHA-1, the same in every process.
    expect(points[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const found = await run(VectorStore.search({ vector: [4, 3], limit: 1, filter: { field: "n", gt: 1 } }), {
      collection: "both"
    })
    expect(found).toMatchObject([{ id, text: "theirs", metadata: { n: 2 } }])
  })
})
