/** Effect's own retry and timeout. */
import { Effect, Layer, Schedule } from "effect"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"

const schedule = Schedule.exponential("100 millis")

export const contender: Contender = {
  name: "Effect.retry + Effect.timeout",
  wrap: async () =>
    ofEffects(Effect.void.pipe(Effect.retry({ times: 2, schedule }), Effect.timeout("10 seconds")), Layer.empty)
}
