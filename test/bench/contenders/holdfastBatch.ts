/** `Batch.run` over a stream of the same jobs: with a record of each, in order. */
import { Effect, Stream } from "effect"
import { Batch } from "holdfast/work"
import type { Contender } from "../Contender.ts"

const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

export const contender: Contender = {
  name: "holdfast Batch",
  jobs: async () => ({
    run: async (count) => {
      const items = Array.from({ length: count }, (_, n) => n)
      const outcomes = Batch.run(items, () => task, { concurrency: 8 })
      const units = await Effect.runPromise(Stream.runCount(outcomes))
      return { units, firstMillis: [] }
    },
    close: async () => {}
  })
}
