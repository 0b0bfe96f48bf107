/** A process that shares a limit in Redis: takes `count` times and prints when. `redisCaller.ts <socket> <count>` */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Clock, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { SharedRateLimit } from "holdfast/policy"

const [path = "", count = "0"] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const limiter = yield* RateLimiter.RateLimiter
  const limit = SharedRateLimit.make(limiter, { requestsPerMinute: 600, window: "2 seconds" })
  const call = Clock.currentTimeMillis.pipe(limit.withLimit({ key: "api.example.com sk-secret" }))
  return yield* Effect.forEach(Array.from({ length: Number(count) }), () => call, { concurrency: "unbounded" })
})

const store = RateLimiter.layer.pipe(
  Layer.provide(RateLimiter.layerStoreRedis()),
  Layer.provide(NodeRedis.layer({ socket: { path, tls: false } }))
)

console.log(JSON.stringify(await Effect.runPromise(Effect.provide(program, store))))
