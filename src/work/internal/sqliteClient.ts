/** Effect's `SqlClient` over Node's own `node:sqlite`: one connection, one statement at a time. */
import type * as Sqlite from "node:sqlite"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import * as Retry from "../../policy/Retry.ts"

export interface Options {
  readonly path: string
  readonly synchronous: "full" | "normal"
}

/** SQLITE_BUSY and its kin: another process writes. */
const isBusy = (error: unknown): boolean =>
  error instanceof SqlError && /database is locked|SQLITE_BUSY/i.test(wordsOf(error.reason.cause))

const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : "")

/** Writers wait for each other some milliseconds. SQLite's own timeout would stop this thread. */
const whileBusy = Retry.retry({
  key: "sqlite",
  retries: 500,
  base: "2 millis",
  maxDelay: "50 millis",
  retryIf: isBusy,
  classify: (error) => ({ isRetryable: isBusy(error), phase: "rejected" })
})

const failedBy = (cause: unknown): SqlError => new SqlError({ reason: classifySqliteError(cause) })

const valueOf = (value: unknown): Sqlite.SQLInputValue => {
  if (value === undefined || value === null) return null
  if (typeof value === "boolean") return value ? 1 : 0
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "string") return value
  return value instanceof Uint8Array ? value : JSON.stringify(value)
}

class SqliteConnection implements Connection {
  private readonly database: Sqlite.DatabaseSync
  /** By their text. There are a dozen of them, and some with literals in them: the oldest goes. */
  private readonly statements = new Map<string, Sqlite.StatementSync>()

  constructor(database: Sqlite.DatabaseSync) {
    this.database = database
  }

  readonly execute: Connection["execute"] = (text, params, transform) =>
    Effect.map(this.all(text, params), (rows) => (transform === undefined ? rows : transform(rows)))
  readonly executeUnprepared: Connection["executeUnprepared"] = (text, params, transform) =>
    this.execute(text, params, transform)
  readonly executeRaw: Connection["executeRaw"] = (text, params) => this.all(text, params)
  readonly executeValues: Connection["executeValues"] = (text, params) =>
    Effect.map(this.all(text, params), (rows) => rows.map((row) => Object.values(row)))
  readonly executeValuesUnprepared: Connection["executeValuesUnprepared"] = (text, params) =>
    this.executeValues(text, params)
  readonly executeStream: Connection["executeStream"] = (text, params, transform) =>
    Stream.unwrap(Effect.map(this.execute(text, params, transform), Stream.fromIterable))

  private all(
    text: string,
    params: ReadonlyArray<unknown>
  ): Effect.Effect<ReadonlyArray<Record<string, Sqlite.SQLOutputValue>>, SqlError> {
    const once = Effect.try({ try: () => this.prepare(text).all(...params.map(valueOf)), catch: failedBy })
    // The policy refuses nothing here: it has no deadline of its own.
    return Effect.catchIf(
      whileBusy(once),
      (error): error is Exclude<typeof error, SqlError> => !(error instanceof SqlError),
      (refused) => Effect.fail(failedBy(refused))
    )
  }

  private prepare(text: string): Sqlite.StatementSync {
    const known = this.statements.get(text)
    if (known !== undefined) return known
    const statement = this.database.prepare(text)
    this.statements.set(text, statement)
    const [oldest] = this.statements.keys()
    if (this.statements.size > 64 && oldest !== undefined) this.statements.delete(oldest)
    return statement
  }
}

const open = ({ path, synchronous }: Options): Effect.Effect<Sqlite.DatabaseSync, SqlError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.flatMap(Effect.tryPromise({ try: () => import("node:sqlite"), catch: failedBy }), ({ DatabaseSync }) =>
      Effect.try({
        try: () => {
          const database = new DatabaseSync(path, { timeout: 1000 })
          database.exec(
            `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous.toUpperCase()}; PRAGMA busy_timeout = 0`
          )
          return database
        },
        catch: failedBy
      })
    ),
    (database) => Effect.sync(() => database.close())
  )

/** A `SqlClient` of the file, closed with the scope. */
export const make = (options: Options): Effect.Effect<SqlClient.SqlClient, SqlError, Scope.Scope> =>
  Effect.gen(function* () {
    const connection = new SqliteConnection(yield* open(options))
    const semaphore = yield* Semaphore.make(1)
    const client = SqlClient.make({
      ...SqlClient.makeSqliteAcquirers({ connection: Effect.succeed(connection), semaphore }),
      compiler: Statement.makeCompilerSqlite(),
      driver: "node:sqlite",
      beginTransaction: "BEGIN IMMEDIATE",
      spanAttributes: [["db.system.name", "sqlite"]]
    })
    return yield* Effect.provideServiceEffect(client, Reactivity.Reactivity, Reactivity.make)
  })
