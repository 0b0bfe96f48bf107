/**
 * `VectorStore` in a SQLite file, by Node's own `node:sqlite`: exact, durable, and without a server or another package.
 *
 * The vectors are in memory beside the file as long as they fit (`maxMemoryBytes`), and are looked at there: 10 000 × 128 in
 * 1.5 ms, where `sqlite-vec` takes 4.6 ms. What other processes write into the file is seen by the next query.
 */
import type * as Sqlite from "node:sqlite"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Policy from "../policy/Policy.ts"
import type { PolicyError } from "../policy/PolicyError.ts"
import type { Collection, Driver } from "./internal/driver.ts"
import { failedBy, type Kept, quoted, Rows } from "./internal/sqlite.ts"
import * as Store from "./internal/store.ts"
import { CollectionMismatch, CollectionNotFound, type Reason, StorageFailed } from "./VectorError.ts"
import { type Metric, type Options as StoreOptions, VectorStore } from "./VectorStore.ts"

export interface Options extends StoreOptions {
  /** The file; it is made where it is not there. `":memory:"` for none. */
  readonly path: string
  /** Several may be in one file. Default: `"vectors"`. */
  readonly collection?: string | undefined
  /** Whether a collection that is not there is made, by the first item. Default: `true`. */
  readonly create?: boolean | undefined
  /** Vectors that take more are read from the file by each query, which takes ten times as long. Default: 512 MiB. */
  readonly maxMemoryBytes?: number | undefined
  /** How calls hold while another connection writes. Default: six retries, from 20 ms on. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

/** Writers wait for each other some milliseconds; a batch of 1000 takes 10 to 100. */
const whileBusy = Policy.make({ retry: { retries: 6, base: "20 millis", maxDelay: "1 second" }, retryBudget: false })

const tables = `
  CREATE TABLE IF NOT EXISTS holdfast_collections (name TEXT PRIMARY KEY, metric TEXT NOT NULL, dimensions INTEGER NOT NULL)
`

const load: Effect.Effect<typeof Sqlite, StorageFailed> = Effect.tryPromise({
  try: () => import("node:sqlite"),
  catch: (cause) =>
    new StorageFailed({
      why: "notOpened",
      description: "this Node has no node:sqlite; take Node 22.19 or newer",
      cause
    })
})

const asItIs = (path: string): URL => {
  const url = pathToFileURL(path)
  url.searchParams.set("mode", "rw")
  return url
}

class SqliteDriver implements Driver {
  readonly provider = "sqlite"
  readonly collection: string
  readonly metric: Metric
  readonly fields: Driver["fields"]
  readonly dimensions: number | undefined
  readonly limits = { items: 1000, bytes: 64 * 2 ** 20, queries: Infinity, ids: 10_000, concurrency: 1 }
  private readonly options: Options
  private readonly held: Policy.Held
  private database: Sqlite.DatabaseSync | undefined

  constructor(options: Options, held: Policy.Held) {
    this.options = options
    this.held = held
    this.collection = options.collection ?? "vectors"
    this.metric = options.metric ?? "cosine"
    this.fields = options.fields
    this.dimensions = options.dimensions
  }

  open = (dimensions: number | undefined): Effect.Effect<Collection | undefined, Reason> =>
    Effect.flatMap(load, ({ DatabaseSync }) =>
      Effect.flatMap(
        this.run(() => this.find((this.database ??= this.connect(DatabaseSync)), dimensions)),
        (found) => (found === undefined || "_tag" in found ? this.absent(found) : Effect.succeed(found))
      )
    )

  readonly close: Effect.Effect<void> = Effect.sync(() => {
    this.database?.close()
    this.database = undefined
  })

  private connect(Database: typeof Sqlite.DatabaseSync): Sqlite.DatabaseSync {
    const { create, path } = this.options
    // A file that is not there is not made where a collection is not.
    const place = create === false && path !== ":memory:" ? asItIs(path) : path
    // Waiting is the policy's: SQLite's own timeout would stop this thread.
    const database = new Database(place, { timeout: 0 })
    try {
      database.exec("PRAGMA journal_mode = WAL")
      if (create !== false) database.exec(tables)
      return database
    } catch (error) {
      database.close()
      throw error
    }
  }

  private absent(reason: Reason | undefined): Effect.Effect<undefined, Reason> {
    if (reason !== undefined) return Effect.fail(reason)
    if (this.options.create !== false) return Effect.succeed(undefined)
    const { collection } = this
    return Effect.fail(new CollectionNotFound({ collection, description: `not in ${this.options.path}` }))
  }

  private find(database: Sqlite.DatabaseSync, dimensions: number | undefined): Collection | undefined | Reason {
    const { collection, metric, options } = this
    const table = `holdfast_vectors_${collection}`
    if (dimensions !== undefined && options.create !== false) {
      database.exec("BEGIN IMMEDIATE")
      try {
        database
          .prepare("INSERT OR IGNORE INTO holdfast_collections VALUES (?, ?, ?)")
          .run(collection, metric, dimensions)
        database.exec(
          `CREATE TABLE IF NOT EXISTS ${quoted(table)} (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, vector BLOB NOT NULL, text TEXT, metadata TEXT NOT NULL)`
        )
        database.exec("COMMIT")
      } catch (error) {
        database.exec("ROLLBACK")
        throw error
      }
    }
    if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'holdfast_collections'").get() === undefined)
      return undefined
    const kept = database.prepare("SELECT metric, dimensions FROM holdfast_collections WHERE name = ?").get(collection)
    if (kept === undefined) return undefined
    const description = mismatch({ metric: String(kept.metric), dimensions: Number(kept.dimensions) }, this)
    if (description !== undefined) return new CollectionMismatch({ collection, description })
    return this.collectionOf(database, table, { metric, dimensions: Number(kept.dimensions) })
  }

  private collectionOf(database: Sqlite.DatabaseSync, table: string, kept: Kept): Collection {
    const rows = new Rows(database, table, kept, this.options.maxMemoryBytes ?? 512 * 2 ** 20)
    return {
      dimensions: kept.dimensions,
      upsert: (items) => this.run(() => rows.upsert(items)),
      search: (queries) => this.run(() => rows.search(queries)),
      remove: (ids) => this.run(() => rows.remove(ids)),
      removeWhere: (filter) => this.run(() => rows.removeWhere(filter)),
      get: (ids, withVectors) => this.run(() => rows.get(ids, withVectors)),
      count: (filter) => this.run(() => rows.count(filter)),
      page: (page) => this.run(() => rows.page(page))
    }
  }

  private run<A>(work: () => A): Effect.Effect<A, StorageFailed | PolicyError> {
    const { path } = this.options
    const once = Effect.try({ try: work, catch: (error) => failedBy(error, path) })
    return this.held.apply({ key: `sqlite ${path}`, safety: "idempotent" })(once)
  }
}

/** How a collection that is there differs from what the options say. */
const mismatch = (
  kept: { readonly metric: string; readonly dimensions: number },
  asked: { readonly metric: Metric; readonly dimensions: number | undefined }
): string | undefined => {
  if (kept.metric !== asked.metric) return `was made with the metric ${kept.metric}, not ${asked.metric}`
  if (asked.dimensions === undefined || asked.dimensions === kept.dimensions) return undefined
  return `has vectors of ${kept.dimensions} numbers, not ${asked.dimensions}`
}

/** Makes the service; the file is opened by the first call, and closed with the scope. */
export const make = (options: Options): Effect.Effect<VectorStore["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const held = yield* Policy.hold(options.policy ?? whileBusy)
    const driver = new SqliteDriver(options, held)
    yield* Effect.addFinalizer(() => driver.close)
    return Store.make(driver)
  })

/** `VectorStore` in a file. */
export const layer = (options: Options): Layer.Layer<VectorStore> => Layer.effect(VectorStore, make(options))
