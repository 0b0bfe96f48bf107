import { MemoryWorkStore } from "holdfast/work"
import { workQueueContract } from "../contract/WorkQueue.ts"

workQueueContract("MemoryWorkStore", MemoryWorkStore.layer)
