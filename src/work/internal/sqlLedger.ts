/** The ledger in SQL: it reads, and for the dead writes, the table of Effect's store. For SQLite, PostgreSQL and MySQL. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { failedStore } from "./persistedBacklog.ts"
import type { Grave, Lane, Ledger } from "./ledger.ts"
import type { StoreFailed } from "../WorkQueueError.ts"

interface Row {
  readonly queue_name: string
  readonly id: string
  readonly element: string
  readonly attempts: number | string
  readonly last_failure: string | null
  readonly state: string
}

type Count = Readonly<Record<"ready" | "late" | "held" | "dead", number | string | null>> & { readonly lane: string }

const graveOf = (row: Row): Grave => ({
  lane: row.queue_name,
  id: row.id,
  element: parsed(row.element),
  attempts: Number(row.attempts),
  failure: row.last_failure ?? ""
})

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const ask = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, StoreFailed> =>
  Effect.mapError(effect, (error) => failedStore("the database failed", error))

/** `expiration`: after it the job of a silent process is due again. */
export const make = (client: SqlClient, tableName: string, expiration: Duration.Duration): Ledger => {
  const sql = client.withoutTransforms()
  const table = sql(tableName)
  const seconds = sql.literal(String(Math.ceil(Duration.toSeconds(expiration))))
  const now = sql.onDialectOrElse({
    pg: () => sql.literal("NOW()"),
    mysql: () => sql.literal("NOW()"),
    orElse: () => sql.literal("CURRENT_TIMESTAMP")
  })
  const expired = sql.onDialectOrElse({
    pg: () => sql`${now} - INTERVAL '${seconds} seconds'`,
    mysql: () => sql`DATE_SUB(${now}, INTERVAL ${seconds} SECOND)`,
    orElse: () => sql`datetime(${now}, '-${seconds} seconds')`
  })
  const isFree = sql`(acquired_at IS NULL OR acquired_at < ${expired})`
  const isHeld = sql`state = 'pending' AND visible_at <= ${now} AND acquired_at IS NOT NULL`
  const isReady = sql`state = 'pending' AND visible_at <= ${now} AND ${isFree}`
  /** A number of rows for each lane, `max` at most, so that a long line costs no more than a short one. */
  const countEach = (lanes: ReadonlyArray<string>, what: "ready" | "held", which: Fragment, max: number) => {
    const limit = sql.literal(String(max))
    const each = lanes.map(
      (lane) =>
        sql`SELECT ${lane} AS lane, (SELECT COUNT(*) FROM (SELECT 1 FROM ${table} WHERE queue_name = ${lane} AND ${which} LIMIT ${limit}) AS found) AS ${sql(what)}`
    )
    const rows = sql<Count>`${sql.join(" UNION ALL ", false)(each)}`
    return Effect.map(rows, (found) => lanes.map((lane) => laneOf(found, lane)))
  }
  const where = (lanes: ReadonlyArray<string>, id: string) => sql`${sql.in("queue_name", lanes)} AND id = ${id}`
  const laneOf = (rows: ReadonlyArray<Count>, lane: string): Lane => {
    const row = rows.find((one) => one.lane === lane)
    const [ready, delayed, held, dead] = [row?.ready, row?.late, row?.held, row?.dead].map((n) => Number(n ?? 0))
    return { ready: ready ?? 0, delayed: delayed ?? 0, held: held ?? 0, dead: dead ?? 0 }
  }
  return {
    due: (lanes, max) =>
      ask(
        Effect.flatMap(countEach(lanes, "ready", isReady, max), (found) =>
          // Those that somebody has are looked for among all rows, and asked for when nothing is ready only.
          found.some(({ ready }) => ready > 0) ? Effect.succeed(found) : countEach(lanes, "held", isHeld, 100)
        )
      ),
    counts: (lanes) =>
      ask(
        Effect.map(
          sql<Count>`SELECT queue_name AS lane,
            SUM(CASE WHEN ${isReady} THEN 1 ELSE 0 END) AS ready,
            SUM(CASE WHEN state = 'pending' AND visible_at > ${now} AND ${isFree} THEN 1 ELSE 0 END) AS late,
            SUM(CASE WHEN state = 'pending' AND NOT ${isFree} THEN 1 ELSE 0 END) AS held,
            SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS dead
            FROM ${table} WHERE ${sql.in("queue_name", lanes)} AND state IN ('pending', 'failed') GROUP BY queue_name`,
          (rows) => lanes.map((lane) => laneOf(rows, lane))
        )
      ),
    outcome: (lanes, id) =>
      ask(
        Effect.map(sql<Row>`SELECT * FROM ${table} WHERE ${where(lanes, id)}`, ([row]) =>
          row?.state === "completed" ? "done" : row?.state === "failed" ? graveOf(row) : undefined
        )
      ),
    dead: (lanes, limit) =>
      ask(
        Effect.map(
          sql<Row>`SELECT * FROM ${table} WHERE ${sql.in("queue_name", lanes)} AND state = 'failed' ORDER BY updated_at, sequence LIMIT ${sql.literal(String(limit))}`,
          (rows) => rows.map(graveOf)
        )
      ),
    // One statement each: of two who do it at once, one is told that there was none.
    revive: (lanes, id) =>
      changed(
        sql`UPDATE ${table} SET state = 'pending', attempts = 0, last_failure = NULL, acquired_at = NULL, acquired_by = NULL, visible_at = ${now}, updated_at = ${now} WHERE ${where(lanes, id)} AND state = 'failed' RETURNING id`
      ),
    bury: (lanes, id) => changed(sql`DELETE FROM ${table} WHERE ${where(lanes, id)} AND state = 'failed' RETURNING id`)
  }
}

const changed = (statement: Effect.Effect<ReadonlyArray<unknown>, SqlError>): Effect.Effect<boolean, StoreFailed> =>
  ask(Effect.map(statement, (rows) => rows.length > 0))
