/** Ten thousand jobs in a file, eight workers, a fifth of the jobs failing, the process killed twice. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect } from "effect"
import { SqliteWorkStore } from "holdfast/work"
import { expect, it, onTestFinished } from "vitest"
import { isHopeless, offerAll, store } from "../work/queueJobs.ts"
import { runKilledTwice } from "../work/killed.ts"
import { atScale } from "./scale.ts"

it("loses no job to SIGKILL and acknowledges none twice, in SQLite", { timeout: 1_200_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-queue-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, "jobs.db")
  const count = atScale(10_000)
  await Effect.runPromise(
    Effect.provide(offerAll(count), SqliteWorkStore.layer({ path, synchronous: "normal", ...store }))
  )

  const database = new DatabaseSync(path)
  onTestFinished(() => database.close())
  // The database itself counts how often each job was acknowledged.
  database.exec(`CREATE TABLE acknowledged (id TEXT NOT NULL);
    CREATE TRIGGER acknowledge AFTER UPDATE OF state ON effect_queue WHEN NEW.state = 'completed'
    BEGIN INSERT INTO acknowledged VALUES (NEW.id); END`)

  const program = join(import.meta.dirname, "../work/queueProgram.ts")
  expect(await runKilledTwice(program, [path], count)).toEqual(["killed", "killed", "joined"])

  const hopeless = Array.from({ length: count }, (_, n) => n).filter(isHopeless).length
  expect(database.prepare("SELECT COUNT(*) AS all_of, COUNT(DISTINCT id) AS one_each FROM acknowledged").get()).toEqual(
    {
      all_of: count - hopeless,
      one_each: count - hopeless
    }
  )
  expect(
    database.prepare("SELECT state, COUNT(*) AS count FROM effect_queue GROUP BY state ORDER BY state").all()
  ).toEqual([
    { state: "completed", count: count - hopeless },
    { state: "failed", count: hopeless }
  ])
})
