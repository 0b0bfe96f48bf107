/** Effect's own limiter, asked once for the request and once for its tokens; it cannot settle. */
import { Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import type { Contender } from "../Contender.ts"
import { ofEffects } from "../ofEffects.ts"

const reserve = RateLimiter.RateLimiter.use((limiter) =>
  Effect.andThen(
    limiter.consume({ key: "requests", limit: 1e12, window: "1 minute" }),
    limiter.consume({ key: "tokens", limit: 1e15, window: "1 minute", tokens: 700 })
  )
)

export const contender: Contender = {
  name: "Effect's RateLimiter",
  reserve: async () =>
    ofEffects(Effect.asVoid(reserve), RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory)))
}
