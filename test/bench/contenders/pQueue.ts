import PQueue from "p-queue"
import { claims, type Contender, ofTasks } from "../Contender.ts"

export const contender: Contender = {
  name: "p-queue",
  limit: async () => {
    const queue = new PQueue({ concurrency: 64 })
    return ofTasks((task) => queue.add(task))
  },
  jobs: async () => {
    const queue = new PQueue({ concurrency: 8 })
    return ofTasks((task) => queue.add(task))
  },
  priority: async () => {
    const queues = new Map<string, PQueue>()
    const next = claims()
    return ofTasks((task) => {
      const { key, priority } = next()
      let queue = queues.get(key)
      if (queue === undefined) {
        queue = new PQueue({ concurrency: 8 })
        queues.set(key, queue)
      }
      return queue.add(task, { priority })
    })
  }
}
