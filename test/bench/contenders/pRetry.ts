import pRetry from "p-retry"
import { type Contender, ofCalls } from "../Contender.ts"

export const contender: Contender = {
  name: "p-retry",
  wrap: async () => ofCalls(() => pRetry(() => undefined, { retries: 2 }))
}
