/** No library: an async function, with a timer that is cleared. */
import { type Contender, ofCalls } from "../Contender.ts"

export const contender: Contender = {
  name: "no library",
  wrap: async () =>
    ofCalls(async () => {
      const timer = setTimeout(() => {}, 10_000)
      await undefined
      clearTimeout(timer)
    })
}
