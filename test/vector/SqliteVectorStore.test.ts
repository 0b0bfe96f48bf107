import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Policy } from "holdfast/policy"
import { SqliteVectorStore, VectorStore } from "holdfast/vector"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { vectorContract } from "../contract/VectorStore.ts"
import { randomOf } from "../fixtures/vectors.ts"

const folder = mkdtempSync(join(tmpdir(), "holdfast-vectors-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const fresh = (): string => join(folder, `${files++} ?#%.db`)

/** In a file where it is asked for: most of the suite needs none. */
vectorContract("SqliteVectorStore", (options) => {
  const path = fresh()
  // A file that is there, without a collection in it.
  if (options.create === false) new DatabaseSync(path).close()
  return SqliteVectorStore.layer({ ...options, path })
})

vectorContract("SqliteVectorStore, of more than the memory takes,", (options) =>
  SqliteVectorStore.layer({ ...options, path: ":memory:", maxMemoryBytes: 0 })
)

const item = (id: string, vector: VectorStore.Vector = [1, 0]): VectorStore.Item => ({ id, vector })
const quick = Policy.make({ retry: { retries: 200, base: "10 millis", factor: 1, jitter: "none" }, retryBudget: false })

describe("SqliteVectorStore", () => {
  it.live("keeps what was stored, in several collections of one file", () =>
    Effect.gen(function* () {
      const path = fresh()
      const over = (options: Partial<SqliteVectorStore.Options> = {}) =>
        Effect.provide(SqliteVectorStore.layer({ path, ...options }))
      yield* VectorStore.upsert(item("a")).pipe(over())
      yield* VectorStore.upsert(item("b", [1, 2, 3])).pipe(over({ collection: 'other "one"', metric: "dot" }))
      const counted = yield* Effect.all([
        VectorStore.count().pipe(over()),
        VectorStore.search({ vector: [0, 0, 2] }).pipe(over({ collection: 'other "one"', metric: "dot" }))
      ])
      assert.deepInclude(counted[1][0], { id: "b", score: 6 })
      assert.strictEqual(counted[0], 1)
      const metric = yield* VectorStore.count().pipe(over({ metric: "euclidean" }), Effect.flip)
      assert.include(metric.message, "was made with the metric cosine, not euclidean")
      const length = yield* VectorStore.count().pipe(over({ dimensions: 3 }), Effect.flip)
      assert.include(length.message, "has vectors of 2 numbers, not 3")
    })
  )

  it.live("finds what another connection has stored, changed and removed", () =>
    Effect.gen(function* () {
      const path = fresh()
      const one = yield* SqliteVectorStore.make({ path })
      const other = yield* SqliteVectorStore.make({ path })
      yield* one.upsertMany([item("a"), item("b", [0, 1])])
      const ids = (store: VectorStore.VectorStore["Service"]) =>
        Effect.map(store.search({ vector: [1, 0.1] }), (found) => found.map(({ id }) => id))
      assert.deepStrictEqual(yield* ids(other), ["a", "b"])
      yield* one.upsert(item("c", [1, 0.1]))
      yield* other.upsert(item("d", [-1, 0]))
      assert.deepStrictEqual(yield* ids(other), ["c", "a", "b", "d"])
      yield* other.upsert(item("a", [-1, 1]))
      yield* other.remove("b")
      assert.deepStrictEqual(yield* ids(one), ["c", "a", "d"])
      assert.deepStrictEqual(yield* ids(other), ["c", "a", "d"])
    }).pipe(Effect.scoped)
  )

  it.live("waits while another connection writes, and says so when that takes too long", () =>
    Effect.gen(function* () {
      const path = fresh()
      const store = yield* SqliteVectorStore.make({ path, policy: quick })
      const hasty = yield* SqliteVectorStore.make({ path, policy: Policy.make({ retry: { retries: 0 } }) })
      yield* store.upsert(item("a"))
      yield* hasty.count()
      const writer = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(path)),
        (database) => Effect.sync(() => database.close())
      )
      writer.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(hasty.upsert(item("b")))
      assert.deepInclude(error, { code: "StorageFailed", isRetryable: true })
      assert.include(error.message, "another connection is writing")
      assert.strictEqual(yield* hasty.count(), 1)
      const waiting = yield* Effect.forkChild(store.upsert(item("c")), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      writer.exec("COMMIT")
      yield* Fiber.join(waiting)
      assert.strictEqual(yield* store.count(), 2)
    }).pipe(Effect.scoped)
  )

  it.live("says what is wrong with a file", () =>
    Effect.gen(function* () {
      const said = (options: SqliteVectorStore.Options) =>
        Effect.map(
          Effect.flip(Effect.provide(VectorStore.upsert(item("a")), SqliteVectorStore.layer(options))),
          ({ code, reason }) => [code, "why" in reason && reason.why]
        )
      const broken = fresh()
      writeFileSync(
        broken,
        "no database, but a text that is long enough to be read as the beginning of one ".repeat(20)
      )
      assert.deepStrictEqual(yield* said({ path: broken }), ["StorageFailed", "corrupt"])
      assert.deepStrictEqual(yield* said({ path: join(folder, "no folder", "vectors.db") }), [
        "StorageFailed",
        "notOpened"
      ])
      const missing = fresh()
      assert.deepStrictEqual(yield* said({ path: missing, create: false }), ["StorageFailed", "notOpened"])
      assert.isFalse(existsSync(missing))
    })
  )

  it.live("stores all of a batch or nothing, and keeps its vectors in step with the file", () =>
    Effect.gen(function* () {
      const path = fresh()
      const store = yield* SqliteVectorStore.make({ path })
      yield* store.upsert(item("a"))
      assert.strictEqual((yield* store.search({ vector: [1, 0] })).length, 1)
      const other = new DatabaseSync(path)
      other.exec(
        `CREATE TRIGGER refuse BEFORE INSERT ON holdfast_vectors_vectors WHEN NEW.id = 'item 7' BEGIN SELECT RAISE(ABORT, 'no sevens'); END`
      )
      const error = yield* Effect.flip(store.upsertMany(Array.from({ length: 10 }, (_, at) => item(`item ${at}`))))
      assert.include(error.message, "no sevens")
      assert.deepInclude(error, { items: 10, finished: 0 })
      assert.strictEqual(error.unfinished.length, 10)
      assert.strictEqual(yield* store.count(), 1)
      assert.strictEqual((yield* store.search({ vector: [1, 0] })).length, 1)
      other.close()
    }).pipe(Effect.scoped)
  )

  it.live("compares numbers as they were given, to the last digit", () =>
    Effect.gen(function* () {
      const store = yield* SqliteVectorStore.make({ path: ":memory:" })
      const random = randomOf(3)
      const numbers = Array.from({ length: 300 }, () => (random() - 0.5) * 10 ** Math.floor(random() * 40 - 20))
      yield* store.upsertMany(numbers.map((n, at) => ({ id: `${at}`, vector: [1, 0], metadata: { n } })))
      for (const n of numbers) {
        assert.strictEqual(yield* store.count({ field: "n", eq: n }), 1, String(n))
        assert.strictEqual(
          yield* store.count({
            and: [
              { field: "n", lte: n },
              { field: "n", gte: n }
            ]
          }),
          1,
          String(n)
        )
      }
      const [first = 0] = numbers
      assert.strictEqual(yield* store.count({ field: "n", lt: first }), numbers.filter((n) => n < first).length)
    }).pipe(Effect.scoped)
  )
})
