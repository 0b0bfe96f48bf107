import pLimit from "p-limit"
import { type Contender, ofTasks } from "../Contender.ts"

export const contender: Contender = {
  name: "p-limit",
  limit: async () => ofTasks(pLimit(64))
}
