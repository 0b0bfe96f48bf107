/**
 * What a batch has done so far, in a SQLite file of Node's own `node:sqlite`: a record is there or it is not, whatever ends
 * the process, and a full disk takes nothing back. SQLite's own lock keeps other runs out, and goes with the process.
 */
import type * as Sqlite from "node:sqlite"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BatchError, CheckpointMismatch, Locked, type Reason, StorageFailed } from "../BatchError.ts"

/** The version of the tables below. */
const format = 1

/** What the batch was begun with. */
export interface Head {
  readonly inputBytes: number
  readonly inputSha256: string
  readonly items: number
  /** Idempotency keys begin with it. */
  readonly runId: string
  /** All items are done and in the output: the records are no longer here. */
  readonly isComplete: boolean
}

/** One record as it is kept. */
export interface Kept {
  readonly index: number
  readonly isFailed: boolean
  /** What equal items have in common. Absent: the item is equal to none. */
  readonly key?: string | undefined
  readonly cost?: number | undefined
  /** The record as its line of the output, without the line's end. */
  readonly line: string
}

const tables = `
  CREATE TABLE IF NOT EXISTS head (
    format INTEGER NOT NULL, input_bytes INTEGER NOT NULL, input_sha256 TEXT NOT NULL,
    items INTEGER NOT NULL, run_id TEXT NOT NULL, is_complete INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS record (
    item INTEGER PRIMARY KEY, is_failed INTEGER NOT NULL, key TEXT, cost REAL NOT NULL, line TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS record_key ON record (key) WHERE key IS NOT NULL;
  CREATE TABLE IF NOT EXISTS again (item INTEGER PRIMARY KEY, round INTEGER NOT NULL, cost REAL NOT NULL);
`

type Row = Record<string, Sqlite.SQLOutputValue>

const number = (row: Row | undefined, name: string): number => {
  const value = row?.[name]
  return typeof value === "number" ? value : 0
}

const text = (row: Row | undefined, name: string): string | undefined => {
  const value = row?.[name]
  return typeof value === "string" ? value : undefined
}

/** SQLite's primary result codes (https://sqlite.org/rescode.html). */
const codeOf = (cause: unknown): number =>
  typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number"
    ? cause.errcode & 0xff
    : 0

const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const reasonOf = (path: string, output: string, cause: unknown): Reason => {
  switch (codeOf(cause)) {
    case 5:
      return new Locked({ path: output })
    case 8:
      return new StorageFailed({ path, description: "permission denied", cause })
    case 10:
      return new StorageFailed({
        path,
        description: "the disk fails or is full, or files may not grow as large",
        cause
      })
    case 11:
    case 26:
      return new CheckpointMismatch({ path, what: "format", description: "is no checkpoint, or a broken one" })
    case 13:
      return new StorageFailed({ path, description: "the disk is full", cause })
    case 14:
      return new StorageFailed({ path, description: "there is no such folder, or no permission", cause })
    default:
      return new StorageFailed({ path, description: wordsOf(cause), cause })
  }
}

/** The file beside an output. */
export const pathOf = (output: string): string => `${output}.checkpoint`

export class Checkpoint {
  readonly path: string
  private readonly output: string
  private readonly database: Sqlite.DatabaseSync
  private readonly insert: Sqlite.StatementSync
  private readonly select: Sqlite.StatementSync
  private readonly equal: Sqlite.StatementSync
  private readonly round: Sqlite.StatementSync

  constructor(output: string, database: Sqlite.DatabaseSync) {
    this.path = pathOf(output)
    this.output = output
    this.database = database
    this.insert = database.prepare("INSERT INTO record VALUES (?, ?, ?, ?, ?)")
    this.select = database.prepare("SELECT line FROM record WHERE item = ?")
    this.equal = database.prepare("SELECT line FROM record WHERE key = ? ORDER BY item LIMIT 1")
    this.round = database.prepare("SELECT round FROM again WHERE item = ?")
  }

  private try<A>(run: () => A): Effect.Effect<A, BatchError> {
    return Effect.try({
      try: run,
      catch: (cause) => new BatchError({ reason: reasonOf(this.path, this.output, cause) })
    })
  }

  /** What the batch was begun with; `undefined` for one that was not. */
  readonly head: Effect.Effect<Head | undefined, BatchError> = Effect.suspend(() =>
    Effect.flatMap(
      this.try(() => this.database.prepare("SELECT * FROM head").get()),
      (row) => {
        if (row === undefined) return Effect.succeed(undefined)
        if (number(row, "format") !== format) {
          const description = `has the format ${number(row, "format")}, and this version of holdfast reads ${format}`
          const reason = new CheckpointMismatch({ path: this.path, what: "version", description })
          return Effect.fail(new BatchError({ reason }))
        }
        return Effect.succeed({
          inputBytes: number(row, "input_bytes"),
          inputSha256: text(row, "input_sha256") ?? "",
          items: number(row, "items"),
          runId: text(row, "run_id") ?? "",
          isComplete: number(row, "is_complete") === 1
        })
      }
    )
  )

  /** Begins a batch; of the one before, nothing is left. */
  readonly begin = ({ inputBytes, inputSha256, items, runId }: Head): Effect.Effect<void, BatchError> =>
    this.try(() => {
      this.database.exec("DELETE FROM head")
      const insert = this.database.prepare("INSERT INTO head VALUES (?, ?, ?, ?, ?, 0)")
      insert.run(format, inputBytes, inputSha256, items, runId)
    })

  /** The output has it all: what is left is that it has, and of which input. */
  readonly complete: Effect.Effect<void, BatchError> = Effect.suspend(() =>
    Effect.andThen(
      this.try(() =>
        this.database.exec("BEGIN; UPDATE head SET is_complete = 1; DELETE FROM record; DELETE FROM again; COMMIT")
      ),
      // Only for the space: the batch is complete without it, too.
      Effect.ignore(this.try(() => this.database.exec("VACUUM")))
    )
  )

  /** When this returns, a kill of the process cannot take the record back. */
  readonly keep = ({ cost, index, isFailed, key, line }: Kept): Effect.Effect<void, BatchError> =>
    this.try(() => void this.insert.run(index, isFailed ? 1 : 0, key ?? null, cost ?? 0, line))

  /** The record of an item. */
  readonly line = (index: number): Effect.Effect<string | undefined, BatchError> =>
    this.try(() => text(this.select.get(index), "line"))

  /** All records, by their items; read one after the other. */
  readonly lines: Stream.Stream<string, BatchError> = Stream.suspend(() => {
    const rows = this.database.prepare("SELECT line FROM record ORDER BY item").iterate()
    const next = this.try(() => rows.next())
    return Stream.unfold(undefined, () =>
      Effect.map(next, ({ done, value }) =>
        done === true ? undefined : ([text(value, "line") ?? "", undefined] as const)
      )
    )
  })

  /** The record of the first item with this key. */
  readonly lineOf = (key: string): Effect.Effect<string | undefined, BatchError> =>
    this.try(() => text(this.equal.get(key), "line"))

  /** How often the item's failure was forgotten. */
  readonly roundOf = (index: number): Effect.Effect<number, BatchError> =>
    this.try(() => number(this.round.get(index), "round"))

  /** Records that are kept, and what all sends have cost, those of forgotten failures included. */
  readonly counts: Effect.Effect<
    { readonly done: number; readonly failed: number; readonly cost: number },
    BatchError
  > = Effect.suspend(() =>
    this.try(() => {
      const of = (sql: string): Row | undefined => this.database.prepare(sql).get()
      const kept = of("SELECT COUNT(*) AS n, SUM(is_failed) AS failed, SUM(cost) AS cost FROM record")
      const failed = number(kept, "failed")
      const cost = number(kept, "cost") + number(of("SELECT SUM(cost) AS cost FROM again"), "cost")
      return { done: number(kept, "n") - failed, failed, cost }
    })
  )

  /** Takes all failures out, so that their items are worked on again, under other idempotency keys. */
  readonly forgetFailures: Effect.Effect<void, BatchError> = Effect.suspend(() =>
    this.try(() =>
      this.database.exec(`BEGIN;
        INSERT INTO again SELECT item, 1, cost FROM record WHERE is_failed = 1
          ON CONFLICT (item) DO UPDATE SET round = round + 1, cost = cost + excluded.cost;
        DELETE FROM record WHERE is_failed = 1;
        COMMIT`)
    )
  )
}

/** Opens the checkpoint of an output and locks it, for as long as the scope is open. It is made where it is not there. */
export const open = (output: string): Effect.Effect<Checkpoint, BatchError, Scope.Scope> => {
  const failed = (cause: unknown): BatchError => new BatchError({ reason: reasonOf(pathOf(output), output, cause) })
  const acquire = Effect.flatMap(
    Effect.promise(() => import("node:sqlite")),
    ({ DatabaseSync }) =>
      Effect.try({
        try: () => {
          const database = new DatabaseSync(pathOf(output), { timeout: 0 })
          try {
            // Exclusive: the lock is kept until the file is closed. WAL: a record is one write, and no other file.
            database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
            database.exec(`BEGIN EXCLUSIVE; ${tables}; COMMIT`)
            return { database, checkpoint: new Checkpoint(output, database) }
          } catch (cause) {
            database.close()
            throw cause
          }
        },
        catch: failed
      })
  )
  // A full disk may fail the close, too: SQLite makes up for it when the file is opened again.
  const release = ({ database }: { readonly database: Sqlite.DatabaseSync }): Effect.Effect<void> =>
    Effect.ignore(Effect.try(() => database.close()))
  return Effect.map(Effect.acquireRelease(acquire, release), ({ checkpoint }) => checkpoint)
}
