import Bottleneck from "bottleneck"
import { type Contender, ofTasks } from "../Contender.ts"

export const contender: Contender = {
  name: "bottleneck",
  jobs: async () => {
    const limiter = new Bottleneck({ maxConcurrent: 8 })
    return ofTasks((task) => limiter.schedule(task))
  }
}
