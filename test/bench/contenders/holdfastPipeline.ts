/** A `Pipeline` of one stage, for the same jobs. */
import { Effect, Layer } from "effect"
import { Pipeline } from "holdfast/work"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"

const task = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

export const contender: Contender = {
  name: "holdfast Pipeline",
  jobs: async () => {
    const pipeline = await Effect.runPromise(Pipeline.open(Pipeline.stage({ concurrency: 8, run: () => task })))
    return ofEffects(pipeline.request(1), Layer.empty)
  }
}
