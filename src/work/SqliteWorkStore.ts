/**
 * `WorkStore` in a SQLite file, by Node's own `node:sqlite`: durable, without a server or another package. Several processes
 * may work on one file.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { failedStore } from "./internal/persistedBacklog.ts"
import * as SqliteClient from "./internal/sqliteClient.ts"
import * as SqlWorkStore from "./SqlWorkStore.ts"
import { WorkQueueError } from "./WorkQueueError.ts"
import { WorkStore } from "./WorkStore.ts"

export interface Options extends SqlWorkStore.Options {
  /** The file; it is made where it is not there. */
  readonly path: string
  /**
   * Whether each change is on the disk before its call returns. `"normal"` is several times faster: a process that is killed
   * loses nothing, a machine that loses its power may lose the last changes. Default: `"full"`.
   */
  readonly synchronous?: "full" | "normal" | undefined
}

/** Makes the service; the file is closed with the scope. */
export const make = ({
  path,
  synchronous = "full",
  ...options
}: Options): Effect.Effect<WorkStore["Service"], WorkQueueError, Scope.Scope> =>
  SqliteClient.make({ path, synchronous }).pipe(
    Effect.mapError(
      (error) => new WorkQueueError({ queue: path, reason: failedStore(`cannot open ${path}`, error.reason.cause) })
    ),
    Effect.flatMap((client) => Effect.provideService(SqlWorkStore.make(options), SqlClient, client))
  )

/** `WorkStore` in a file. */
export const layer = (options: Options): Layer.Layer<WorkStore, WorkQueueError> =>
  Layer.effect(WorkStore, make(options))
