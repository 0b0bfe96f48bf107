/** `WorkQueue` in a file: each job is written, claimed and acknowledged there. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Schema, Scope } from "effect"
import { SqliteWorkStore, WorkQueue, WorkStore } from "holdfast/work"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"

const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

export const contender: Contender = {
  name: "holdfast WorkQueue, SQLite",
  jobs: async () => {
    const path = join(mkdtempSync(join(tmpdir(), "holdfast-bench-")), "jobs.db")
    const queue = await Effect.runPromise(
      WorkQueue.make({ workers: 8, capacity: Infinity, payload: Schema.Int, work: () => task }).pipe(
        Effect.provideServiceEffect(WorkStore.WorkStore, SqliteWorkStore.make({ path, synchronous: "normal" })),
        Scope.provide(Scope.makeUnsafe())
      )
    )
    const job = Effect.flatMap(queue.offer(1), (handle) => handle.await)
    return ofEffects(Effect.orDie(job), Layer.empty)
  }
}
