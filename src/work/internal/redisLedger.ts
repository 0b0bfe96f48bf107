/** The ledger in Redis: it reads, and for the dead writes, the keys of Effect's store. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { failedStore } from "./persistedBacklog.ts"
import type { Grave, Lane, Ledger } from "./ledger.ts"
import type { StoreFailed } from "../WorkQueueError.ts"

/** Ready and delayed jobs, those that somebody has, and the dead: four numbers for each lane. */
const countRedis = Redis.script((keys: ReadonlyArray<string>, now: number) => [...keys, now], {
  numberOfKeys: (keys) => keys.length,
  lua: `
local result = {}
for i = 1, #KEYS, 4 do
  local due = redis.call("ZCOUNT", KEYS[i + 1], "-inf", ARGV[1])
  result[#result + 1] = redis.call("LLEN", KEYS[i]) + due
  result[#result + 1] = redis.call("ZCARD", KEYS[i + 1]) - due
  result[#result + 1] = redis.call("HLEN", KEYS[i + 2])
  result[#result + 1] = redis.call("LLEN", KEYS[i + 3])
end
return result
`
}).withReturnType<ReadonlyArray<number>>()

const reviveRedis = Redis.script((...args: [failed: string, queue: string, record: string, payload: string]) => args, {
  numberOfKeys: 2,
  lua: `
if redis.call("LREM", KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call("RPUSH", KEYS[2], ARGV[2])
return 1
`
}).withReturnType<number>()

const buryRedis = Redis.script((...args: [failed: string, ids: string, record: string, id: string]) => args, {
  numberOfKeys: 2,
  lua: `
if redis.call("LREM", KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call("ZREM", KEYS[2], ARGV[2])
return 1
`
}).withReturnType<number>()

interface Found extends Grave {
  readonly record: string
}

const member = (record: object, name: string): unknown => Object.entries(record).find(([key]) => key === name)?.[1]

const graveOf = (lane: string, record: string): Found => {
  const parsed: unknown = JSON.parse(record)
  const all = typeof parsed === "object" && parsed !== null ? parsed : {}
  const [id, attempts, failure] = [member(all, "id"), member(all, "attempts"), member(all, "lastFailure")]
  return {
    lane,
    id: typeof id === "string" ? id : "",
    element: member(all, "element"),
    attempts: typeof attempts === "number" ? attempts : 0,
    failure: typeof failure === "string" ? failure : "",
    record
  }
}

const ask = <A>(effect: Effect.Effect<A, Redis.RedisError>): Effect.Effect<A, StoreFailed> =>
  Effect.mapError(effect, (error) => failedStore("Redis failed", error.cause))

const pageSize = 100

export const make = (redis: Redis.Redis["Service"], prefix: string): Ledger => {
  const keys = (lane: string) => {
    const queue = `${prefix}${lane}`
    return {
      queue,
      delayed: `${queue}:delayed`,
      pending: `${queue}:pending`,
      failed: `${queue}:failed`,
      ids: `${queue}:ids`
    }
  }
  const [count, reviveOne, buryOne] = [redis.eval(countRedis), redis.eval(reviveRedis), redis.eval(buryRedis)]

  const counts = (lanes: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Lane>, StoreFailed> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const all = lanes.map(keys).flatMap(({ delayed, failed, pending, queue }) => [queue, delayed, pending, failed])
      return Effect.map(ask(count(all, now)), (numbers) =>
        lanes.map((_, i) => {
          const [ready = 0, delayed = 0, held = 0, dead = 0] = numbers.slice(i * 4, i * 4 + 4)
          return { ready, delayed, held, dead }
        })
      )
    })

  /** The dead of a lane, page by page. */
  const page = (lane: string, from: number): Effect.Effect<ReadonlyArray<Found>, StoreFailed> =>
    Effect.map(
      ask(redis.send<ReadonlyArray<string>>("LRANGE", keys(lane).failed, String(from), String(from + pageSize - 1))),
      (records) => records.map((record) => graveOf(lane, record))
    )

  const find = (lanes: ReadonlyArray<string>, id: string): Effect.Effect<Found | undefined, StoreFailed> =>
    Effect.gen(function* () {
      for (const lane of lanes) {
        for (let from = 0, isMore = true; isMore; from += pageSize) {
          const all = yield* page(lane, from)
          const found = all.find((one) => one.id === id)
          if (found !== undefined) return found
          isMore = all.length === pageSize
        }
      }
      return undefined
    })

  return {
    due: counts,
    counts,
    outcome: (lanes, id) =>
      Effect.gen(function* () {
        for (const lane of lanes) {
          const score = yield* ask(redis.send<string | number | null>("ZSCORE", keys(lane).ids, id))
          // The store puts the time of its end where it had infinity.
          if (score !== null && Number.isFinite(Number(score))) return "done"
        }
        return yield* find(lanes, id)
      }),
    dead: (lanes, limit) =>
      Effect.gen(function* () {
        const graves: Array<Grave> = []
        for (const lane of lanes) {
          for (let from = 0, isMore = true; isMore && graves.length < limit; from += pageSize) {
            const all = yield* page(lane, from)
            graves.push(...all)
            isMore = all.length === pageSize
          }
        }
        return graves.slice(0, limit)
      }),
    revive: (lanes, id) =>
      Effect.flatMap(find(lanes, id), (found) => {
        if (found === undefined) return Effect.succeed(false)
        const { failed, queue } = keys(found.lane)
        const payload = JSON.stringify({ id, element: found.element })
        return Effect.map(ask(reviveOne(failed, queue, found.record, payload)), (removed) => removed === 1)
      }),
    bury: (lanes, id) =>
      Effect.flatMap(find(lanes, id), (found) => {
        if (found === undefined) return Effect.succeed(false)
        const { failed, ids } = keys(found.lane)
        return Effect.map(ask(buryOne(failed, ids, found.record, id)), (removed) => removed === 1)
      })
  }
}
