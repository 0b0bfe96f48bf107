/** PostgresVectorStore over a real PostgreSQL with pgvector, which is PGlite behind a socket: one connection at a time. */
import { PGlite } from "@electric-sql/pglite"
import { vector } from "@electric-sql/pglite-pgvector"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { Effect, Redacted } from "effect"
import { Policy } from "holdfast/policy"
import { PostgresVectorStore, VectorStore } from "holdfast/vector"
import { afterAll, describe, expect, it } from "vitest"
import { vectorContract } from "../../contract/VectorStore.ts"
import { atScale } from "../../soak/scale.ts"
import { clustered, recallOf } from "../../fixtures/vectors.ts"

const database = await PGlite.create({ extensions: { vector } })
const server = new PGLiteSocketServer({ db: database, port: 0, host: "127.0.0.1", maxConnections: 4 })
await server.start()
const url = Redacted.make(`postgres://postgres:postgres@${server.getServerConn()}/postgres?sslmode=disable`)
afterAll(async () => {
  await server.stop()
  await database.close()
})

let tables = 0
const policy = Policy.make({ retry: { base: 1 } })

const over = (options: PostgresVectorStore.Options) =>
  PostgresVectorStore.layerConfig({ url, maxConnections: 1, collection: `Table "${tables++}"`, policy, ...options })

vectorContract("PostgresVectorStore", over)
// Making an index takes most of the time.
if (atScale(10) === 10)
  vectorContract("PostgresVectorStore, with an index,", (options) => over({ ...options, index: {} }))

const run = <A, E>(effect: Effect.Effect<A, E, VectorStore.VectorStore>, options: PostgresVectorStore.Options = {}) =>
  Effect.runPromise(Effect.provide(effect, over(options)))

describe("PostgresVectorStore", () => {
  it("finds by its index as many as were asked for, whatever the filter leaves", async () => {
    const { items, queries } = clustered({ count: atScale(10_000), dimensions: atScale(128), queries: 10 })
    const collection = "indexed"
    // A tenth of all.
    const end = atScale(1_000)
    const found = await run(
      Effect.gen(function* () {
        const store = yield* VectorStore.VectorStore
        yield* store.upsertMany(items)
        return yield* store.searchMany(
          queries.map((vector) => ({ vector, limit: 10, filter: { field: "at", lt: end } }))
        )
      }),
      { collection, index: { efSearch: 100 } }
    )
    expect(found.map((matches) => matches.length)).toEqual(queries.map(() => 10))
    const { rows } = await database.query<{ "QUERY PLAN": string }>(
      `EXPLAIN SELECT query.place, near.* FROM unnest(ARRAY['[${queries[0]?.join(",")}]']::text[]::vector[]) WITH ORDINALITY AS query (vector, place)
       CROSS JOIN LATERAL (SELECT id, embedding <=> query.vector AS distance FROM "indexed" ORDER BY embedding <=> query.vector LIMIT 10) AS near`
    )
    expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).toContain("Index Scan using")
    expect(
      recallOf(found, items, queries, { metric: "cosine", limit: 10, isWanted: (at) => at < end })
    ).toBeGreaterThan(0.95)
  })

  it("says what is wrong with a table that is none of its own, with an address and with an index", async () => {
    await database.query("CREATE TABLE other (id text)")
    const codeOf = (options: PostgresVectorStore.Options & { readonly url?: Redacted.Redacted<string> }) =>
      Effect.runPromise(
        Effect.provide(
          Effect.flip(VectorStore.upsert({ id: "a", vector: Array.from({ length: 2001 }, () => 1) })),
          over(options)
        ).pipe(Effect.map(({ code, message }) => [code, message.slice(0, 200)]))
      )
    expect(await codeOf({ collection: "other" })).toEqual([
      "CollectionMismatch",
      expect.stringContaining("has no column `embedding` of type vector")
    ])
    expect(await codeOf({ index: {} })).toEqual(["InvalidRequest", expect.stringContaining("at most 2000 numbers")])
    expect(await codeOf({ url: Redacted.make("postgres://postgres@127.0.0.1:1/postgres") })).toEqual([
      "Unreachable",
      expect.stringContaining("cannot be reached")
    ])
  })
})
