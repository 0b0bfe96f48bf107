/** A process that works on the jobs in a file until none is left, or until it is killed. `queueProgram.ts <file>` */
import { Effect } from "effect"
import { SqliteWorkStore } from "holdfast/work"
import { store, workAll } from "./queueJobs.ts"

const [, , path = ""] = process.argv

await Effect.runPromise(Effect.provide(workAll, SqliteWorkStore.layer({ path, synchronous: "normal", ...store })))
