/**
 * `VectorStore` in a table of PostgreSQL, by pgvector (0.8 or newer): exact, or approximate with an `index`.
 *
 * https://github.com/pgvector/pgvector (2026-11). The table has the columns `id`, `embedding`, `text` and `metadata`, and is made
 * with the first item. It runs over the `SqlClient` in context; `layerConfig` makes one by `@effect/sql-pg`.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidRequest } from "../http/ServiceReason.ts"
import * as Policy from "../policy/Policy.ts"
import type { PolicyError } from "../policy/PolicyError.ts"
import { grouped } from "./internal/batches.ts"
import type { Collection, Driver } from "./internal/driver.ts"
import { connected } from "./internal/postgresConnection.ts"
import { operatorClasses, quoted, Table } from "./internal/postgres.ts"
import { reasonOfSql } from "./internal/sqlReason.ts"
import * as Store from "./internal/store.ts"
import { CollectionMismatch, CollectionNotFound, type Reason, type VectorError } from "./VectorError.ts"
import { type Options as StoreOptions, VectorStore } from "./VectorStore.ts"

export interface Options extends StoreOptions {
  /** The table. Default: `"vectors"`. */
  readonly collection?: string | undefined
  /** The schema of the table. Default: the first of the connection's `search_path`. */
  readonly schema?: string | undefined
  /** Whether a table that is not there is made, by the first item, and the extension with it. Default: `true`. */
  readonly create?: boolean | undefined
  /**
   * An HNSW index on a table that is made, for vectors of at most 2000 numbers; and how far a search looks in one that is
   * there (`efSearch`, default 40). Default: none, and each search looks at each row: exact, and fast enough for some 10 000.
   */
  readonly index?:
    | {
        readonly m?: number | undefined
        readonly efConstruction?: number | undefined
        readonly efSearch?: number | undefined
      }
    | undefined
  /** The most items of one statement. Default: `1000`. */
  readonly maxItems?: number | undefined
  /** The most bytes of one statement, about. Default: 8 MiB. */
  readonly maxBytes?: number | undefined
  /** Statements of one call at a time. Default: `4`. */
  readonly concurrency?: number | undefined
  /** How statements hold. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

/** The most numbers that an index takes. */
const maxIndexed = 2000

class PostgresDriver implements Driver {
  readonly provider = "postgres"
  readonly collection: string
  readonly metric: NonNullable<Driver["metric"]>
  readonly fields: Driver["fields"]
  readonly dimensions: number | undefined
  readonly limits: Driver["limits"]
  private readonly options: Options
  private readonly sql: SqlClient.SqlClient
  private readonly held: Policy.Held
  private readonly name: string

  constructor(options: Options, sql: SqlClient.SqlClient, held: Policy.Held) {
    const { collection = "vectors", concurrency = 4, maxBytes = 8 * 2 ** 20, maxItems = 1000, schema } = options
    this.options = options
    this.sql = sql
    this.held = held
    this.collection = collection
    this.name = schema === undefined ? quoted(collection) : `${quoted(schema)}.${quoted(collection)}`
    this.metric = options.metric ?? "cosine"
    this.fields = options.fields
    this.dimensions = options.dimensions
    this.limits = { items: maxItems, bytes: maxBytes, queries: 100, ids: 1000, concurrency }
  }

  open = (length: number | undefined): Effect.Effect<Collection | undefined, Reason> =>
    Effect.gen({ self: this }, function* () {
      const { collection, options } = this
      const found = yield* this.found
      if (found !== undefined) return yield* this.opened(found)
      if (options.create === false)
        return yield* Effect.fail(new CollectionNotFound({ collection, description: `no table ${this.name}` }))
      if (length === undefined) return undefined
      if (options.index !== undefined && length > maxIndexed) {
        const description = `an index takes vectors of at most ${maxIndexed} numbers, and these have ${length}; leave out \`index\``
        return yield* Effect.fail(new InvalidRequest({ description }))
      }
      yield* this.run(this.create(length))
      return yield* this.opened((yield* this.found) ?? length)
    })

  /** The length of the vectors of the table, where there is one; 0 for a table that is none of ours. */
  private get found(): Effect.Effect<number | undefined, Reason> {
    const text = `SELECT coalesce((SELECT a.atttypmod FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = to_regclass($1::text) AND a.attname = 'embedding' AND t.typname = 'vector'), 0) AS length
      WHERE to_regclass($1::text) IS NOT NULL`
    const rows = this.sql.unsafe<{ readonly length: unknown }>(text, [this.name]).withoutTransform
    return Effect.map(this.run(rows), ([row]) => (row === undefined ? undefined : Number(row.length)))
  }

  private opened(length: number): Effect.Effect<Collection, Reason> {
    const { collection, dimensions } = this
    const mismatch = (description: string): Effect.Effect<never, Reason> =>
      Effect.fail(new CollectionMismatch({ collection, description }))
    if (length === 0) return mismatch("has no column `embedding` of type vector")
    // A column of vectors of any length.
    const own = length < 0 ? dimensions : length
    if (dimensions !== undefined && dimensions !== own)
      return mismatch(`has vectors of ${own} numbers, not ${dimensions}`)
    return Effect.succeed(this.collectionOf(own))
  }

  private collectionOf(dimensions: number | undefined): Collection {
    const table = new Table(this.sql, this.name, this.metric, this.options.index)
    return {
      dimensions,
      upsert: (items) => this.run(table.upsert(items)),
      search: (queries) =>
        grouped(queries, this.limits.concurrency, (some, first) => {
          const vectors = some.map(({ vector }) => vector)
          return this.run(table.search(vectors, first))
        }),
      remove: (ids) => this.run(table.remove(ids)),
      removeWhere: (filter) => this.run(table.removeWhere(filter)),
      get: (ids, withVectors) => this.run(table.get(ids, withVectors)),
      count: (filter) => this.run(table.count(filter)),
      page: (page) => this.run(table.page(page))
    }
  }

  /** Two that make it at the same moment do so one after the other: `IF NOT EXISTS` alone lets them meet. */
  private create(length: number): Effect.Effect<void, SqlError> {
    const { metric, name, options, sql } = this
    const { efConstruction, m } = options.index ?? {}
    const settings = [
      ...(m === undefined ? [] : [`m = ${Math.trunc(m)}`]),
      ...(efConstruction === undefined ? [] : [`ef_construction = ${Math.trunc(efConstruction)}`])
    ]
    const withSettings = settings.length === 0 ? "" : ` WITH (${settings.join(", ")})`
    const statements = [
      `SELECT pg_advisory_xact_lock(hashtext('holdfast/vector'))`,
      `CREATE EXTENSION IF NOT EXISTS vector`,
      `CREATE TABLE IF NOT EXISTS ${name} (id text PRIMARY KEY, embedding vector(${length}) NOT NULL, text text, metadata jsonb NOT NULL)`,
      ...(options.index === undefined
        ? []
        : [`CREATE INDEX ON ${name} USING hnsw (embedding ${operatorClasses[metric]})${withSettings}`])
    ]
    return sql.withTransaction(Effect.forEach(statements, (text) => sql.unsafe(text), { discard: true }))
  }

  private run<A>(self: Effect.Effect<A, SqlError>): Effect.Effect<A, Reason | PolicyError> {
    const told = Effect.mapError(self, (error) => reasonOfSql(error, this.collection))
    return this.held.apply({ key: `postgres ${this.collection}`, safety: "idempotent" })(told)
  }
}

/** Makes the service over the `SqlClient` in context. The table is opened by the first call. */
export const make = (
  options: Options = {}
): Effect.Effect<VectorStore["Service"], never, SqlClient.SqlClient | Scope.Scope> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const held = yield* Policy.hold(options.policy ?? Policy.defaults)
    return Store.make(new PostgresDriver(options, sql, held))
  })

/** `VectorStore` in a table, over the `SqlClient` in context: that of `@effect/sql-pg`, or of anything that speaks PostgreSQL. */
export const layer = (options: Options = {}): Layer.Layer<VectorStore, never, SqlClient.SqlClient> =>
  Layer.effect(VectorStore, make(options))

/** The same over connections of its own, which need `@effect/sql-pg` beside holdfast. */
export const layerConfig = (
  options: Options & {
    /** `postgres://user:password@host:5432/database`. Default: the variable `DATABASE_URL`. */
    readonly url?: Redacted.Redacted<string> | undefined
    /** Connections at most. Default: `10`. */
    readonly maxConnections?: number | undefined
  } = {}
): Layer.Layer<VectorStore, ConfigError | VectorError> => Layer.provide(layer(options), connected(options))
