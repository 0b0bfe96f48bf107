import { SqliteWorkStore } from "holdfast/work"
import { workQueueContract } from "../contract/WorkQueue.ts"

workQueueContract("SqliteWorkStore", SqliteWorkStore.layer({ path: ":memory:", pollInterval: "50 millis" }))
