/**
 * `WorkStore` in Redis, over Effect's `PersistedQueue`. Whether it survives the server depends on the server: without
 * `appendonly yes` the last second may be lost.
 *
 * The ids of done jobs stay, so that they are known: `PersistedQueue.layerCleanup` removes them after their time.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import { Redis } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { Bell } from "./internal/bell.ts"
import { PersistedBacklog } from "./internal/persistedBacklog.ts"
import * as RedisLedger from "./internal/redisLedger.ts"
import { WorkStore } from "./WorkStore.ts"

export interface Options {
  /** Before each key. Default: `"effectq:"`, as Effect's own. */
  readonly prefix?: string | undefined
  /** How often to look for the jobs of other processes, and for delayed ones. Default: `"1 second"`. */
  readonly pollInterval?: Duration.Input | undefined
  /** How often a process says that it still has its jobs. Default: `"30 seconds"`. */
  readonly lockRefreshInterval?: Duration.Input | undefined
  /** When the jobs of a process that says nothing are given to others. Default: `"90 seconds"`. */
  readonly lockExpiration?: Duration.Input | undefined
}

/** Makes the service over the `Redis` of the context, such as `NodeRedis.layer` of `@effect/platform-node`. */
export const make = (options: Options = {}): Effect.Effect<WorkStore["Service"], never, Redis | Scope.Scope> =>
  Effect.gen(function* () {
    const { pollInterval = "1 second", prefix = "effectq:" } = options
    const store = yield* PersistedQueue.makeStoreRedis(options)
    const ledger = RedisLedger.make(yield* Redis, prefix)
    const bells = new Map<string, Bell>()
    return WorkStore.of({
      open: (name, maxAttempts) =>
        Effect.sync(() => {
          const bell = bells.get(name) ?? new Bell()
          bells.set(name, bell)
          const poll = Duration.fromInputUnsafe(pollInterval)
          return new PersistedBacklog({ name, maxAttempts, store, ledger, bell, pollInterval: poll })
        })
    })
  })

/** `WorkStore` in Redis. */
export const layer = (options: Options = {}): Layer.Layer<WorkStore, never, Redis> =>
  Layer.effect(WorkStore, make(options))
