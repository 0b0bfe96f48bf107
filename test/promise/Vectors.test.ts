import { Effect, Layer, Stream } from "effect"
import { createClient, VectorError, type Vectors } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { MemoryVectorStore, VectorStore } from "holdfast/vector"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { vectorContract } from "../contract/VectorStore.ts"
import { type Qdrant, startQdrant } from "../fixtures/qdrant.ts"

const failed = (error: unknown): VectorError => {
  if (VectorError.isInstance(error)) return error
  throw error
}

const asked = <A>(call: () => Promise<A>): Effect.Effect<A, VectorError> =>
  Effect.tryPromise({ try: call, catch: failed })

/** The promises of a client as the service that they come from. */
const asStore = (vectors: Vectors): VectorStore.VectorStore["Service"] => {
  function stream(query: VectorStore.Query): Stream.Stream<VectorStore.Match, VectorError>
  function stream(scan?: VectorStore.Scan): Stream.Stream<VectorStore.Stored, VectorError>
  function stream(given: VectorStore.Query | VectorStore.Scan = {}) {
    return Stream.suspend(() => Stream.fromAsyncIterable(vectors.stream(given), failed))
  }
  return {
    upsert: (item) => asked(() => vectors.upsert(item)),
    upsertMany: (items) => asked(() => vectors.upsertMany(items)),
    search: (query) => asked(() => vectors.search(query)),
    searchMany: (queries) => asked(() => vectors.searchMany(queries)),
    remove: (which) => asked(() => vectors.remove(which)),
    get: (ids, options) => asked(() => vectors.get(ids, options)),
    count: (filter) => asked(() => vectors.count(filter)),
    stream
  }
}

vectorContract("the promise client, over SQLite,", (options) =>
  Layer.effect(
    VectorStore.VectorStore,
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => createClient({ vectors: { provider: "sqlite", path: ":memory:", ...options } })),
        (client) => Effect.promise(() => client.close())
      ),
      ({ vectors }) => asStore(vectors)
    )
  )
)

const item = { id: "a", vector: [1, 0] }

describe("client.vectors", () => {
  let qdrant: Qdrant
  beforeAll(async () => {
    qdrant = await startQdrant({ apiKey: "secret-key" })
  })
  afterAll(() => qdrant[Symbol.asyncDispose]())

  const overQdrant = (apiKey = "secret-key") =>
    createClient({ vectors: { provider: "qdrant", baseUrl: qdrant.url, apiKey }, retry: { base: 1 } })

  it("stores, searches and streams", async () => {
    await using client = createClient({ vectors: { provider: "memory" } })
    await client.vectors.upsertMany([item, { id: "b", vector: [0, 1], text: "up", metadata: { n: 1 } }])
    const [nearest] = await client.vectors.search({ vector: [0, 2], limit: 1, filter: { field: "n", gte: 1 } })
    expect(nearest).toEqual({ id: "b", text: "up", metadata: { n: 1 }, vector: undefined, score: 1, distance: 0 })
    const ids: Array<string> = []
    for await (const match of client.vectors.stream({ vector: [1, 0] })) ids.push(match.id)
    expect(ids).toEqual(["a", "b"])
    for await (const stored of client.vectors.stream()) {
      expect(stored.id).toBe("a")
      break
    }
  })

  it("asks a server under the client's policy, and tells what failed", async () => {
    await using client = overQdrant()
    qdrant.failures.push({ status: 503 })
    await client.vectors.upsert(item)
    expect(await client.vectors.count()).toBe(1)
    await using locked = overQdrant("wrong-key")
    const error = await locked.vectors.count().catch((error: unknown) => error)
    expect(error).toMatchObject({ name: "VectorError", code: "Unauthorized", status: 401, provider: "qdrant" })
    expect(String(error)).not.toContain("wrong-key")
    expect(failed(error).attempts).toHaveLength(1)
  })

  it("rejects at once with the reason of an abort, and with a deadline's end", async () => {
    await using client = overQdrant()
    const stop = new AbortController()
    qdrant.latencyMillis = 1_000_000
    const waiting = client.vectors.search({ vector: [1, 0] }, { signal: stop.signal })
    const late = client.vectors.search({ vector: [1, 0] }, { timeout: 20 }).catch((error: unknown) => error)
    const derived = client
      .with({ deadline: "20 millis" })
      .vectors.stream()
      .next()
      .catch((error: unknown) => error)
    expect(await late).toMatchObject({ code: "DeadlineExceeded" })
    expect(await derived).toMatchObject({ code: "DeadlineExceeded" })
    stop.abort(new Error("no more"))
    await expect(waiting).rejects.toThrow("no more")
    qdrant.latencyMillis = 0
  })

  it("is that of a layer, too", async () => {
    await using client = fromLayer(MemoryVectorStore.layer())
    await client.vectors.upsert(item)
    expect(await client.vectors.count()).toBe(1)
    await using bare = createClient({})
    await expect(bare.vectors.count()).rejects.toThrow("this client has no vector store")
  })

  it("says which option is wrong", () => {
    const wrong = (vectors: unknown): string => {
      try {
        createClient({ vectors: JSON.parse(JSON.stringify(vectors)) })
      } catch (error) {
        return error instanceof TypeError ? error.message : String(error)
      }
      return "accepted"
    }
    expect(wrong("memory")).toContain("vectors: give the options")
    expect(wrong({})).toContain("vectors.provider")
    expect(wrong({ provider: "pinecone" })).toContain('"pinecone" is not one of "memory"')
    expect(wrong({ provider: "memory", path: "x" })).toContain("vectors.path: there is no such option")
    expect(wrong({ provider: "sqlite" })).toContain("vectors.path: give the path")
    expect(wrong({ provider: "memory", metric: "manhattan" })).toContain("vectors.metric")
    expect(wrong({ provider: "chroma", baseUrl: "localhost:8000" })).toContain("vectors.baseUrl")
    expect(wrong({ provider: "qdrant", apiKey: 7 })).toContain("vectors.apiKey: this is a number")
    expect(wrong({ provider: "qdrant", index: { ef: 1 } })).toContain("vectors.index.ef: there is no such option")
    expect(wrong({ provider: "memory", fields: { year: "date" } })).toContain("vectors.fields.year")
    expect(wrong({ provider: "postgres", maxConnections: 0 })).toContain("vectors.maxConnections")
  })
})
