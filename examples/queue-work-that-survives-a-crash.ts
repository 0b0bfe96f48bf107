/** Keep jobs in a file, so that what one process did not do, the next one does. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { SqliteWorkStore, WorkQueue } from "holdfast/work"

const folder = mkdtempSync(join(tmpdir(), "holdfast-example-"))
const store = SqliteWorkStore.layer({ path: join(folder, "jobs.db"), pollInterval: "50 millis" })
const payload = Schema.Struct({ url: Schema.String })

// A web server offers jobs and does none itself. When `offer` returns, the job is in the file.
const server = Effect.gen(function* () {
  const queue = yield* WorkQueue.make({ name: "pages", payload, workers: 0, work: () => Effect.void })
  for (const url of ["/a", "/b", "/c"]) yield* queue.offer({ url }, { id: url })
  // An id that is there already is the same job.
  yield* queue.offer({ url: "/a" }, { id: "/a" })
  console.log(yield* queue.size)
})

// Another process, later. It would also get what a process had that was killed, once that one's lock has expired.
const worker = Effect.gen(function* () {
  const queue = yield* WorkQueue.make({
    name: "pages",
    payload,
    workers: 1,
    work: ({ id, payload: { url } }) => Effect.sync(() => console.log(`${id}: fetched ${url}`))
  })
  yield* queue.join
  console.log(yield* queue.size)
})

for (const life of [server, worker])
  await Effect.runPromise(life.pipe(Effect.scoped, Effect.provide(store, { local: true })))
rmSync(folder, { recursive: true })
// Output:
// { ready: 3, delayed: 0, running: 0, dead: 0 }
// /a: fetched /a
// /b: fetched /b
// /c: fetched /c
// { ready: 0, delayed: 0, running: 0, dead: 0 }
