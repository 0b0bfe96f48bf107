/** ChromaVectorStore over Chroma's own server, beside its official client. */
import { ChromaClient } from "chromadb"
import { Effect, Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { ChromaVectorStore, VectorStore } from "holdfast/vector"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { vectorContract } from "../../contract/VectorStore.ts"
import { clustered, recallOf } from "../../fixtures/vectors.ts"
import { atScale } from "../../soak/scale.ts"

const folder = mkdtempSync(join(tmpdir(), "holdfast-chroma-"))
const bin = join(import.meta.dirname, "../node_modules/.bin/chroma")

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const port = await freePort()
const baseUrl = `http://127.0.0.1:${port}`
let server: ChildProcess | undefined

const isUp = async (): Promise<boolean> =>
  fetch(`${baseUrl}/api/v2/heartbeat`).then(
    ({ ok }) => ok,
    () => false
  )

beforeAll(async () => {
  const path = [join(import.meta.dirname, "../../../node_modules/.bin"), process.env["PATH"]].join(":")
  const args = ["run", "--path", folder, "--port", String(port), "--host", "127.0.0.1"]
  server = spawn(bin, args, { stdio: "ignore", env: { PATH: path } })
  for (let tries = 0; tries < 600 && !(await isUp()); tries++) await setTimeout(100)
})
afterAll(() => {
  server?.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

let collections = 0

const over = (options: ChromaVectorStore.Options) =>
  Layer.provide(
    ChromaVectorStore.layer({ baseUrl, collection: `collection-${collections++}`, ...options }),
    UndiciHttpClient.layer()
  )

vectorContract("ChromaVectorStore", over)

const run = <A, E>(effect: Effect.Effect<A, E, VectorStore.VectorStore>, options: ChromaVectorStore.Options) =>
  Effect.runPromise(Effect.provide(effect, over(options)))

describe("ChromaVectorStore", () => {
  it("finds nearly all that a search of each vector finds", async () => {
    const { items, queries } = clustered({ count: atScale(10_000), dimensions: 128, queries: 50 })
    const found = await run(
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(items)
        return yield* store.searchMany(queries.map((vector) => ({ vector, limit: 10 })))
      }),
      { collection: "recall", metric: "euclidean" }
    )
    expect(recallOf(found, items, queries, { metric: "euclidean", limit: 10 })).toBeGreaterThan(0.95)
  })

  it("reads what the official client has written, and the other way round", async () => {
    const client = new ChromaClient({ host: "127.0.0.1", port, ssl: false })
    const configuration = { hnsw: { space: "cosine" as const } }
    const theirs = await client.createCollection({ name: "both", configuration, embeddingFunction: null })
    await theirs.add({ ids: ["theirs"], embeddings: [[1, 2]], documents: ["a text"], metadatas: [{ n: 1.5, b: true }] })
    const found = await run(
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert({ id: "ours", vector: [2, 1], text: "another", metadata: { n: 2 } })
        return yield* store.get(["theirs"], { withVectors: true })
      }),
      { collection: "both" }
    )
    expect(found).toEqual([{ id: "theirs", text: "a text", metadata: { n: 1.5, b: true }, vector: [1, 2] }])
    const { distances, ids } = await theirs.query({
      queryEmbeddings: [[2, 1]],
      nResults: 1,
      where: { n: { $gt: 1.7 } }
    })
    expect([ids, distances?.[0]?.[0]]).toEqual([[["ours"]], expect.closeTo(0)])
  })

  it("says that a collection has another metric", async () => {
    await run(VectorStore.upsert({ id: "a", vector: [1, 0] }), { collection: "metric" })
    const error = await run(Effect.flip(VectorStore.search({ vector: [1, 0] })), {
      collection: "metric",
      metric: "dot"
    })
    expect(error.message).toContain("was made with the space cosine, and the metric dot is ip")
  })

  it("says that a collection went away, and makes it anew with the next item", async () => {
    const client = new ChromaClient({ host: "127.0.0.1", port, ssl: false })
    const codes = await run(
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsert({ id: "a", vector: [1, 0] })
        yield* Effect.promise(() => client.deleteCollection({ name: "dropped" }))
        const error = yield* Effect.flip(store.search({ vector: [1, 0] }))
        yield* store.upsert({ id: "b", vector: [1, 0] })
        return [error.code, yield* store.count()]
      }),
      { collection: "dropped" }
    )
    expect(codes).toEqual(["CollectionNotFound", 1])
  })
})
