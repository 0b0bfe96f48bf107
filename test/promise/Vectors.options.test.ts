/** What each method of a vector store takes: headers, a key for the call, a class in the line. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient } from "holdfast/promise"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Qdrant, startQdrant } from "../fixtures/qdrant.ts"

const item = (id: string) => ({ id, vector: [1, 0] })

describe("a call to Qdrant", () => {
  let qdrant: Qdrant
  beforeAll(async () => {
    qdrant = await startQdrant()
  })
  afterEach(() => void qdrant.requests.splice(0))
  afterAll(() => qdrant?.[Symbol.asyncDispose]())

  const told = () =>
    qdrant.requests.map(
      ({ headers, method, path }) =>
        `${method} ${path.replace("/collections/vectors", "")} ${headers["x-call"] ?? "-"} ${headers["idempotency-key"] ?? "-"}`
    )

  const open = (options: { readonly maxConcurrency?: number } = {}) =>
    createClient({
      vectors: {
        provider: "qdrant",
        baseUrl: qdrant.url,
        maxItems: 2,
        concurrency: 1,
        headers: { "x-call": "none", "x-all": "1" }
      },
      retry: { base: 1 },
      ...options
    })

  it("has its headers on all of its requests, and its key on those that change the store", async () => {
    await using client = open()
    const own = (name: string) => ({ headers: { "X-Call": name }, idempotencyKey: `key-${name}` })
    qdrant.failures.push("pass", "pass", "pass", { status: 503 })
    await client.vectors.upsertMany(["a", "b", "c"].map(item), own("many"))
    await client.vectors.upsert(item("d"), own("one"))
    await client.vectors.search({ vector: [1, 0] }, own("search"))
    await client.vectors.searchMany([{ vector: [1, 0] }], own("searchMany"))
    await client.vectors.get(["a"], own("get"))
    await client.vectors.count(undefined, own("count"))
    for await (const _ of client.vectors.stream({}, own("stream")));
    await client.vectors.remove("a", own("remove"))
    await client.vectors.count()
    expect(told()).toEqual([
      // The first call opens the collection for all of them.
      "GET  many -",
      "PUT  many -",
      "GET  many -",
      // Another batch has another key, and the same one has it again.
      "PUT /points many key-many",
      "PUT /points many key-many",
      "PUT /points many key-many-2",
      "PUT /points one key-one",
      "POST /points/query/batch search -",
      "POST /points/query/batch searchMany -",
      "POST /points get -",
      "POST /points/count count -",
      "POST /points/scroll stream -",
      "POST /points/delete remove key-remove",
      "POST /points/count none -"
    ])
    expect(qdrant.requests.every(({ headers }) => headers["x-all"] === "1")).toBe(true)
  })

  it("waits for a slot in the order of its class", async () => {
    await using client = open({ maxConcurrency: 1 })
    await client.vectors.upsert(item("a"))
    qdrant.requests.splice(0)
    const low = client.with({ priority: "low" })
    await Promise.all([
      client.vectors.count(undefined, { headers: { "x-call": "first" } }),
      low.vectors.count(undefined, { headers: { "x-call": "low" } }),
      client.vectors.count(undefined, { headers: { "x-call": "normal" } }),
      low.vectors.count(undefined, { headers: { "x-call": "high" }, priority: "high" })
    ])
    expect(qdrant.requests.map(({ headers }) => headers["x-call"])).toEqual(["first", "high", "normal", "low"])
  })

  it("sends nothing where an option is wrong", async () => {
    await using client = open()
    // @ts-expect-error: a text
    await expect(client.vectors.upsert(item("a"), { idempotencyKey: 1 })).rejects.toThrow(/^idempotencyKey: /)
    // @ts-expect-error: texts
    const stream = client.vectors.stream({}, { headers: { "x-call": 1 } })
    await expect(stream.next()).rejects.toThrow(/^headers: /)
    expect(qdrant.requests).toEqual([])
  })
})

describe("a call to Chroma", () => {
  it("has its headers on all of its requests, and its key on those that change the store", async () => {
    const told: Array<string> = []
    const answers: Readonly<Record<string, unknown>> = {
      collections: { id: "c1", name: "vectors", dimension: 2, configuration_json: { hnsw: { space: "cosine" } } },
      "pre-flight-checks": { max_batch_size: 1 },
      get: { ids: [] },
      count: 0
    }
    const server = createServer(({ headers, method, url = "" }, outgoing) => {
      const verb = url.split("/").at(-1) ?? ""
      told.push(`${method} ${verb} ${headers["x-call"] ?? "-"} ${headers["idempotency-key"] ?? "-"}`)
      outgoing.setHeader("content-type", "application/json").end(JSON.stringify(answers[verb] ?? {}))
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" ? address?.port : undefined
    {
      await using client = createClient({
        vectors: { provider: "chroma", baseUrl: `http://127.0.0.1:${port}`, concurrency: 1 }
      })
      const own = (name: string) => ({ headers: { "x-call": name }, idempotencyKey: `key-${name}` })
      await client.vectors.upsertMany(["a", "b"].map(item), own("many"))
      await client.vectors.remove(["a"], own("remove"))
      await client.vectors.remove({ field: "year", gte: 1 }, own("where"))
      await client.vectors.count(undefined, own("count"))
    }
    server.closeAllConnections()
    await once(server.close(), "close")
    expect(told).toEqual([
      "POST collections many -",
      "GET pre-flight-checks many -",
      "POST get many -",
      "POST upsert many key-many",
      "POST get many -",
      "POST upsert many key-many-2",
      "POST delete remove key-remove",
      "POST delete where key-where",
      "GET count count -"
    ])
  })
})
