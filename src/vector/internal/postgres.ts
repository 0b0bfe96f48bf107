/** A collection as a table with a column of pgvector's (https://github.com/pgvector/pgvector, 0.8). */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Metric, Stored, Vector } from "../VectorStore.ts"
import type { Hit, Page, PageOf } from "./driver.ts"
import type { Condition } from "./filters.ts"
import type { Asked, Ready } from "./inputs.ts"
import { metadataOf } from "./json.ts"
import { cosineDistance } from "./metrics.ts"
import { Params, whereOf } from "./postgresFilter.ts"

/** `<#>` is the negative product, so that less is nearer. */
const operators = { cosine: "<=>", dot: "<#>", euclidean: "<->" } as const

export const operatorClasses = {
  cosine: "vector_cosine_ops",
  dot: "vector_ip_ops",
  euclidean: "vector_l2_ops"
} as const

export interface Index {
  readonly m?: number | undefined
  readonly efConstruction?: number | undefined
  readonly efSearch?: number | undefined
}

/** Its own default: a search in an index finds no more than this. */
const defaultEfSearch = 40
/** The most that `hnsw.ef_search` may be. */
const maxEfSearch = 1000

type Row = Readonly<Record<string, unknown>>

const literal = (vector: Vector): string => `[${vector.join(",")}]`

const numbersOf = (value: unknown): ReadonlyArray<number> | undefined =>
  typeof value === "string" ? value.slice(1, -1).split(",").map(Number) : undefined

const storedOf = (row: Row): Stored => ({
  id: String(row["id"]),
  text: typeof row["text"] === "string" ? row["text"] : undefined,
  metadata: metadataOf(typeof row["metadata"] === "string" ? JSON.parse(row["metadata"]) : row["metadata"]),
  vector: numbersOf(row["vector"])
})

// As text: drivers differ in what they make of json, and none knows vectors.
const columns = (withVectors: boolean): string =>
  `id, text, metadata::text AS metadata${withVectors ? ", embedding::text AS vector" : ""}`

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

export class Table {
  private readonly sql: SqlClient
  private readonly name: string
  private readonly metric: Metric
  private readonly index: Index | undefined

  constructor(sql: SqlClient, name: string, metric: Metric, index: Index | undefined) {
    this.sql = sql
    this.name = name
    this.metric = metric
    this.index = index
  }

  upsert(items: ReadonlyArray<Ready>): Effect.Effect<void, SqlError> {
    const params = new Params()
    // A list of nothing but nulls has no type that the driver could see.
    const text = `INSERT INTO ${this.name} (id, embedding, text, metadata)
      SELECT id, embedding::vector, nullif(text, ''), metadata::jsonb FROM unnest(
        ${params.add(items.map(({ id }) => id))}::text[],
        ${params.add(items.map(({ vector }) => literal(vector)))}::text[],
        ${params.add(items.map(({ text }) => text ?? ""))}::text[],
        ${params.add(items.map(({ metadata }) => JSON.stringify(metadata)))}::text[]
      ) AS item (id, embedding, text, metadata)
      ON CONFLICT (id) DO UPDATE SET embedding = excluded.embedding, text = excluded.text, metadata = excluded.metadata`
    return Effect.asVoid(this.run(text, params))
  }

  /** Queries that differ in their vectors alone, in one statement. */
  search(vectors: ReadonlyArray<Vector>, asked: Asked): Effect.Effect<ReadonlyArray<ReadonlyArray<Hit>>, SqlError> {
    const { filter, limit, withVectors } = asked
    const params = new Params()
    const distance = `embedding ${operators[this.metric]} query.vector`
    const queries = params.add(vectors.map(literal))
    const where = filter === undefined ? "" : `WHERE ${whereOf(filter, params)}`
    const text = `SELECT query.place, near.* FROM unnest(${queries}::text[]::vector[]) WITH ORDINALITY AS query (vector, place)
      CROSS JOIN LATERAL (
        SELECT ${columns(withVectors)}, ${distance} AS distance FROM ${this.name} ${where}
        ORDER BY ${distance} LIMIT ${params.add(limit)}::int
      ) AS near ORDER BY query.place, near.distance`
    return Effect.map(this.looking(this.run(text, params), asked), (rows) => {
      const hits = vectors.map((): Array<Hit> => [])
      for (const row of rows) hits[Number(row["place"]) - 1]?.push({ ...storedOf(row), distance: this.distance(row) })
      return hits
    })
  }

  remove(ids: ReadonlyArray<string>): Effect.Effect<void, SqlError> {
    const params = new Params()
    return Effect.asVoid(this.run(`DELETE FROM ${this.name} WHERE id = ANY(${params.add(ids)}::text[])`, params))
  }

  removeWhere(filter: Condition): Effect.Effect<void, SqlError> {
    const params = new Params()
    return Effect.asVoid(this.run(`DELETE FROM ${this.name} WHERE ${whereOf(filter, params)}`, params))
  }

  get(ids: ReadonlyArray<string>, withVectors: boolean): Effect.Effect<ReadonlyArray<Stored>, SqlError> {
    const params = new Params()
    const text = `SELECT ${columns(withVectors)} FROM ${this.name} WHERE id = ANY(${params.add(ids)}::text[])`
    return Effect.map(this.run(text, params), (rows) => rows.map(storedOf))
  }

  count(filter: Condition | undefined): Effect.Effect<number, SqlError> {
    const params = new Params()
    const where = filter === undefined ? "" : `WHERE ${whereOf(filter, params)}`
    const counted = this.run(`SELECT count(*)::float8 AS count FROM ${this.name} ${where}`, params)
    return Effect.map(counted, ([row]) => Number(row?.["count"]))
  }

  page({ cursor, filter, size, withVectors }: PageOf): Effect.Effect<Page, SqlError> {
    const params = new Params()
    const after = cursor === undefined ? "true" : `id > ${params.add(String(cursor))}::text`
    const passing = filter === undefined ? "true" : whereOf(filter, params)
    const text = `SELECT ${columns(withVectors)} FROM ${this.name} WHERE ${after} AND ${passing} ORDER BY id LIMIT ${params.add(size)}::int`
    return Effect.map(this.run(text, params), (rows) => {
      const items = rows.map(storedOf)
      return { items, next: items.length < size ? undefined : items.at(-1)?.id }
    })
  }

  private distance(row: Row): number {
    const distance = Number(row["distance"])
    if (this.metric === "cosine") return cosineDistance(distance)
    return distance === 0 ? 0 : distance
  }

  /**
   * An index gives `ef_search` neighbours, and a filter is held against those alone: then there are fewer matches than there
   * should be, unless the index goes on where they do not suffice.
   */
  private looking<A>(self: Effect.Effect<A, SqlError>, { filter, limit }: Asked): Effect.Effect<A, SqlError> {
    if (this.index === undefined) return self
    const { efSearch = defaultEfSearch } = this.index
    const wanted = Math.min(maxEfSearch, Math.max(efSearch, limit))
    if (filter === undefined && wanted === defaultEfSearch) return self
    const settings = `SELECT set_config('hnsw.ef_search', $1::text, true), set_config('hnsw.iterative_scan', 'strict_order', true)`
    return this.sql.withTransaction(Effect.andThen(this.sql.unsafe(settings, [String(wanted)]), self))
  }

  private run(text: string, { values }: Params): Effect.Effect<ReadonlyArray<Row>, SqlError> {
    return this.sql.unsafe<Row>(text, values).withoutTransform
  }
}
