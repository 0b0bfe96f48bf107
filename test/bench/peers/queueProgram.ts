/** A process that works on the jobs in PostgreSQL until none is left, or until it is killed. `queueProgram.ts <url>` */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import { SqlWorkStore } from "holdfast/work"
import { store, workAll } from "../../work/queueJobs.ts"

const [, , url = ""] = process.argv
const client = PgClient.layer({ url: Redacted.make(url) })

await Effect.runPromise(Effect.provide(workAll, Layer.provide(SqlWorkStore.layer(store), client)))
