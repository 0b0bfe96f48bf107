import PQueue from "p-queue"
import { type Contender, ofTasks } from "../Contender.ts"

export const contender: Contender = {
  name: "p-queue",
  limit: async () => {
    const queue = new PQueue({ concurrency: 64 })
    return ofTasks((task) => queue.add(task))
  }
}
