/** A collection in a SQLite file: rows on the disk, and the vectors in memory beside them as long as they fit. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import { StorageFailed } from "../VectorError.ts"
import type { Metadata, Metric, Stored } from "../VectorStore.ts"
import type { Hit, Page, PageOf } from "./driver.ts"
import type { Condition } from "./filters.ts"
import { Flat, Nearest, type Near, Probe } from "./flat.ts"
import type { Asked, Ready } from "./inputs.ts"
import { lengthOf } from "./metrics.ts"
import { whereOf } from "./sqliteFilter.ts"

/** What is in `holdfast_collections`. */
export interface Kept {
  readonly metric: Metric
  readonly dimensions: number
}

const bytesPerNumber = 4

const bytesOf = (vector: Ready["vector"]): Uint8Array => {
  const floats = Float32Array.from(vector)
  return new Uint8Array(floats.buffer)
}

const floatsOf = (blob: unknown): Float32Array => {
  if (!(blob instanceof Uint8Array)) return new Float32Array()
  // A view must begin at a multiple of four.
  const bytes = blob.byteOffset % bytesPerNumber === 0 ? blob : blob.slice()
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / bytesPerNumber)
}

type Row = ReturnType<StatementSync["all"]>[number]

const metadataOf = (json: unknown): Metadata => JSON.parse(typeof json === "string" ? json : "{}")

const storedOf = (row: Row, withVectors: boolean): Stored => ({
  id: String(row.id),
  text: typeof row.text === "string" ? row.text : undefined,
  metadata: metadataOf(row.metadata),
  vector: withVectors ? Array.from(floatsOf(row.vector)) : undefined
})

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The vectors of all rows, as they were at a version of the file. */
class Cache {
  readonly flat: Flat
  readonly version: number
  private readonly slots = new Map<number, number>()
  private readonly rows: Array<number> = []

  constructor(flat: Flat, version: number) {
    this.flat = flat
    this.version = version
  }

  put(row: number, vector: Ready["vector"]): void {
    const known = this.slots.get(row)
    const slot = known ?? this.flat.add(vector)
    if (known !== undefined) return this.flat.put(known, vector)
    this.slots.set(row, slot)
    this.rows[slot] = row
  }

  remove(row: number): void {
    const slot = this.slots.get(row)
    if (slot === undefined) return
    this.flat.remove(slot)
    this.slots.delete(row)
  }

  search(vector: Ready["vector"], limit: number, rows: ReadonlyArray<number> | undefined): ReadonlyArray<Near> {
    const near =
      rows === undefined
        ? this.flat.search(vector, limit)
        : this.flat.searchAmong(
            vector,
            limit,
            rows.flatMap((row) => this.slots.get(row) ?? [])
          )
    return near.map(({ distance, slot }) => ({ slot: this.rows[slot] ?? -1, distance }))
  }
}

export class Rows {
  private readonly database: DatabaseSync
  private readonly table: string
  private readonly kept: Kept
  private readonly maxMemoryBytes: number
  private readonly statements = new Map<string, StatementSync>()
  private cache: Cache | undefined

  constructor(database: DatabaseSync, table: string, kept: Kept, maxMemoryBytes: number) {
    this.database = database
    this.table = quoted(table)
    this.kept = kept
    this.maxMemoryBytes = maxMemoryBytes
  }

  upsert(items: ReadonlyArray<Ready>): void {
    const statement = this.prepared(
      `INSERT INTO ${this.table} (id, vector, text, metadata) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
       SET vector = excluded.vector, text = excluded.text, metadata = excluded.metadata RETURNING row`
    )
    const rows = this.within("IMMEDIATE", () =>
      items.map(({ id, metadata, text, vector }) =>
        Number(statement.get(id, bytesOf(vector), text ?? null, JSON.stringify(metadata))?.row)
      )
    )
    // What others have written since is read with the next query, which sees that the version is another one.
    const { cache } = this
    if (cache === undefined) return
    for (const [at, { vector }] of items.entries()) cache.put(rows[at] ?? -1, vector)
    if (!this.fits(cache.flat.size)) this.cache = undefined
  }

  remove(ids: ReadonlyArray<string>): void {
    this.delete(`id IN (SELECT value FROM json_each(?))`, [JSON.stringify(ids)])
  }

  removeWhere(filter: Condition): void {
    const { params, text } = whereOf(filter)
    this.delete(text, params)
  }

  search(queries: ReadonlyArray<Asked>): ReadonlyArray<ReadonlyArray<Hit>> {
    // One state of the file for the vectors and for the rows that they lead to.
    return this.within("DEFERRED", () => queries.map((query) => this.searchOne(query)))
  }

  get(ids: ReadonlyArray<string>, withVectors: boolean): ReadonlyArray<Stored> {
    const rows = this.prepared(
      `SELECT ${columns(withVectors)} FROM ${this.table} WHERE id IN (SELECT value FROM json_each(?))`
    )
    return rows.all(JSON.stringify(ids)).map((row) => storedOf(row, withVectors))
  }

  count(filter: Condition | undefined): number {
    const { params, text } = filter === undefined ? everything : whereOf(filter)
    return Number(
      this.database.prepare(`SELECT count(*) AS count FROM ${this.table} WHERE ${text}`).get(...params)?.count
    )
  }

  page({ cursor, filter, size, withVectors }: PageOf): Page {
    const { params, text } = filter === undefined ? everything : whereOf(filter)
    const select = `SELECT row, ${columns(withVectors)} FROM ${this.table} WHERE row > ? AND ${text} ORDER BY row LIMIT ?`
    const rows = this.database.prepare(select).all(Number(cursor ?? 0), ...params, size)
    const last = rows.at(-1)
    return {
      items: rows.map((row) => storedOf(row, withVectors)),
      next: rows.length < size || last === undefined ? undefined : Number(last.row)
    }
  }

  private searchOne({ filter, limit, vector, withVectors }: Asked): ReadonlyArray<Hit> {
    const cache = this.load()
    const rows = filter === undefined ? undefined : this.rowsOf(filter)
    const near = cache === undefined ? this.scan(vector, limit, filter) : cache.search(vector, limit, rows)
    const byRow = this.prepared(`SELECT ${columns(withVectors)} FROM ${this.table} WHERE row = ?`)
    return near.flatMap(({ distance, slot }) => {
      const row = byRow.get(slot)
      return row === undefined ? [] : [{ ...storedOf(row, withVectors), distance }]
    })
  }

  private rowsOf(filter: Condition): ReadonlyArray<number> {
    const { params, text } = whereOf(filter)
    const rows = this.database.prepare(`SELECT row FROM ${this.table} WHERE ${text}`).all(...params)
    return rows.map(({ row }) => Number(row))
  }

  /** Reads every vector from the file, where they are too many for the memory. */
  private scan(vector: Asked["vector"], limit: number, filter: Condition | undefined): ReadonlyArray<Near> {
    const { params, text } = filter === undefined ? everything : whereOf(filter)
    const rows = this.database.prepare(`SELECT row, vector FROM ${this.table} WHERE ${text}`).iterate(...params)
    const probe = new Probe(vector, this.kept.metric)
    const nearest = new Nearest(limit)
    for (const row of rows) {
      const floats = floatsOf(row.vector)
      const length = this.kept.metric === "cosine" ? lengthOf(floats) : 1
      nearest.offer(Number(row.row), probe.distance(floats, 0, length))
    }
    return nearest.sorted
  }

  /** The vectors in memory, read anew when another connection has written; `undefined` where they do not fit. */
  private load(): Cache | undefined {
    const version = Number(this.prepared("PRAGMA data_version").get()?.data_version)
    if (this.cache?.version === version) return this.cache
    this.cache = undefined
    if (!this.fits(this.count(undefined))) return undefined
    const { dimensions, metric } = this.kept
    const cache = new Cache(new Flat(dimensions, metric), version)
    for (const row of this.prepared(`SELECT row, vector FROM ${this.table}`).iterate())
      cache.put(Number(row.row), floatsOf(row.vector))
    return (this.cache = cache)
  }

  private fits(vectors: number): boolean {
    return vectors * this.kept.dimensions * bytesPerNumber <= this.maxMemoryBytes
  }

  private delete(where: string, params: ReadonlyArray<SQLInputValue>): void {
    const statement = this.database.prepare(`DELETE FROM ${this.table} WHERE ${where} RETURNING row`)
    const removed = this.within("IMMEDIATE", () => statement.all(...params))
    for (const { row } of removed) this.cache?.remove(Number(row))
  }

  private prepared(sql: string): StatementSync {
    let statement = this.statements.get(sql)
    if (statement === undefined) this.statements.set(sql, (statement = this.database.prepare(sql)))
    return statement
  }

  /** All of it or nothing. */
  private within<A>(mode: "IMMEDIATE" | "DEFERRED", run: () => A): A {
    const { database } = this
    database.exec(`BEGIN ${mode}`)
    try {
      const result = run()
      database.exec("COMMIT")
      return result
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK")
      throw error
    }
  }
}

const columns = (withVectors: boolean): string => (withVectors ? "id, text, metadata, vector" : "id, text, metadata")

const everything = { text: "1", params: [] }

/** https://www.sqlite.org/rescode.html: the low byte of a code is what happened. */
const whys: Readonly<Record<number, StorageFailed["why"]>> = {
  5: "busy",
  6: "busy",
  8: "readOnly",
  11: "corrupt",
  13: "full",
  14: "notOpened",
  26: "corrupt"
}

const advice: Readonly<Record<StorageFailed["why"], string>> = {
  busy: "another connection is writing; try later",
  readOnly: "the file or its folder is read only",
  corrupt: "this is no SQLite database, or a damaged one",
  full: "the disk is full; nothing of this batch was stored",
  notOpened: "the file cannot be opened; create its folder, and check that it may be written",
  other: "SQLite failed"
}

/** What SQLite said, as a reason. */
export const failedBy = (error: unknown, path: string): StorageFailed => {
  const code = typeof error === "object" && error !== null && "errcode" in error ? Number(error.errcode) & 0xff : 0
  const why = whys[code] ?? "other"
  const said = error instanceof Error ? error.message : String(error)
  return new StorageFailed({ why, description: `${path}: ${advice[why]} (${said})`, cause: error })
}
