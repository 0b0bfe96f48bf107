/**
 * `WorkStore` in a SQL database, over Effect's `PersistedQueue`: PostgreSQL with `@effect/sql-pg`, or any `SqlClient` of
 * SQLite. Its clock is the database's, and its delays are whole seconds, never shorter than asked.
 *
 * Done jobs stay in the table, so that their ids are known: `PersistedQueue.layerCleanup` removes them after their time.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { Bell } from "./internal/bell.ts"
import { failedStore, PersistedBacklog } from "./internal/persistedBacklog.ts"
import * as SqlLedger from "./internal/sqlLedger.ts"
import { WorkQueueError } from "./WorkQueueError.ts"
import { WorkStore } from "./WorkStore.ts"

export interface Options {
  /** The table of the jobs, made where it is not there. Default: `"effect_queue"`, as Effect's own. */
  readonly tableName?: string | undefined
  /** How often to look for the jobs of other processes, and for delayed ones. Default: `"1 second"`. */
  readonly pollInterval?: Duration.Input | undefined
  /** How often a process says that it still has its jobs. Default: `"30 seconds"`. */
  readonly lockRefreshInterval?: Duration.Input | undefined
  /** When the jobs of a process that says nothing are given to others. Default: `"2 minutes"`. */
  readonly lockExpiration?: Duration.Input | undefined
}

/** Makes the service over the `SqlClient` of the context. */
export const make = (
  options: Options = {}
): Effect.Effect<WorkStore["Service"], WorkQueueError, SqlClient | Scope.Scope> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient
    const { lockExpiration = "2 minutes", pollInterval = "1 second", tableName = "effect_queue" } = options
    const store = yield* Effect.mapError(
      Effect.catchDefect(PersistedQueue.makeStoreSql(options), Effect.fail),
      (error) => new WorkQueueError({ queue: tableName, reason: failedStore("cannot make the table", error) })
    )
    const ledger = SqlLedger.make(sql, tableName, Duration.fromInputUnsafe(lockExpiration))
    const bells = new Map<string, Bell>()
    return WorkStore.of({
      open: (name, maxAttempts) =>
        Effect.sync(() => {
          const bell = bells.get(name) ?? new Bell()
          bells.set(name, bell)
          const poll = Duration.fromInputUnsafe(pollInterval)
          return new PersistedBacklog({ name, maxAttempts, store, ledger, bell, pollInterval: poll })
        })
    })
  })

/** `WorkStore` in the database of a `SqlClient`. */
export const layer = (options: Options = {}): Layer.Layer<WorkStore, WorkQueueError, SqlClient> =>
  Layer.effect(WorkStore, make(options))
