/** Against a real redis-server. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect, Layer } from "effect"
import { RateLimiter, Redis } from "effect/persistence"
import { SharedRateLimit } from "holdfast/policy"
import { describe, expect, it } from "vitest"
import { isSkipped, notice, useRedis } from "./redis.ts"

const { path, signal } = useRedis()

const redis = NodeRedis.layer({ socket: { path, tls: false } })

const run = <A, E>(effect: Effect.Effect<A, E, Redis.Redis | RateLimiter.RateLimiter>): Promise<A> =>
  RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreRedis()), Layer.provideMerge(redis), (layer) =>
    Effect.runPromise(Effect.provide(effect, layer))
  )

const call = async (count: number): Promise<ReadonlyArray<number>> => {
  const options = ["--conditions=holdfast-source", join(import.meta.dirname, "redisCaller.ts"), path, String(count)]
  const { stdout } = await promisify(execFile)(process.execPath, options)
  return JSON.parse(stdout)
}

describe(`SharedRateLimit in Redis${notice}`, () => {
  it.skipIf(isSkipped)("holds three processes to one limit", { timeout: 120_000 }, async () => {
    const all = await Promise.all([call(20), call(20), call(20)])
    const starts = all.flat().sort((a, b) => a - b)
    const [first = 0] = starts
    expect(starts).toHaveLength(60)
    // 20 in each window of 2 s: those of the third begin 4 s after the first, less what a timer may be early.
    expect(starts.filter((at) => at < first + 1_000).length).toBeLessThanOrEqual(20)
    expect((starts.at(-1) ?? 0) - first).toBeGreaterThanOrEqual(3_900)
  })

  it.skipIf(isSkipped)("shows Redis no key as it is", async () => {
    const keys = await run(
      Effect.gen(function* () {
        const limit = SharedRateLimit.make(yield* RateLimiter.RateLimiter, { tokensPerMinute: 1_000 })
        yield* limit.take("https://api.example.com sk-secret tenant-7", 900)
        return yield* Redis.Redis.use((redis) => redis.send<ReadonlyArray<string>>("KEYS", "*"))
      })
    )
    expect(keys.length).toBeGreaterThan(0)
    for (const key of keys) expect(key).toMatch(/^ratelimiter:[0-9a-f]{64}:(requests|tokens)$/)
  })

  it.skipIf(isSkipped)("lets calls pass while Redis hangs", { timeout: 60_000 }, async () => {
    await run(
      Effect.gen(function* () {
        const limit = SharedRateLimit.make(yield* RateLimiter.RateLimiter, { requestsPerMinute: 1 })
        yield* limit.take("k")
        signal("SIGSTOP")
        yield* limit.take("k")
        yield* limit.take("k")
      }).pipe(Effect.ensuring(Effect.sync(() => signal("SIGCONT"))))
    )
  })
})
