/**
 * A second send when the first is slow: it starts after `delay`, or when the first has run longer than `percentile` of the
 * sends before it. The first success wins, the other send is interrupted.
 *
 * "The tail at scale" (https://doi.org/10.1145/2408776.2408794): a hedge after the 95th percentile costs 5 % more requests.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Latencies } from "./internal/latencies.ts"
import { type Lane, Race } from "./internal/race.ts"
import type { Safety } from "./Retry.ts"

export interface Options {
  /** Starts the second send after this time, whatever was measured. Default: none, `percentile` decides. */
  readonly delay?: Duration.Input | undefined
  /** The share of sends that are quicker than the delay, from 0 to 1. Default: `0.95`, so 5 % are slow enough. */
  readonly percentile?: number | undefined
  /** Sends of a key that are measured before the first hedge. Default: `20`, of which a 95th percentile leaves one out. */
  readonly minSamples?: number | undefined
  /** The shortest measured delay. Default: `"10 millis"`: what is quicker gains nothing by a second send. */
  readonly minDelay?: Duration.Input | undefined
  /** Hedges as a share of the sends of a key, from 0 to 1. Default: `0.05`. */
  readonly maxExtra?: number | undefined
  /** Hedges that a key may save up while nothing is slow. Default: `10`. */
  readonly burst?: number | undefined
  /** Whether `costly` calls, which are paid twice, are hedged too. Default: `false`. */
  readonly costly?: boolean | undefined
  /** Keys that are measured; one more forgets the oldest. Default: `1024`, about 2 kB each. */
  readonly maxKeys?: number | undefined
}

/** What is raced against itself. */
export interface Call<A, E, R> {
  /** Whose latency is measured and whose budget is spent. */
  readonly key: string
  /** What a second send can do. An `unsafe` call is never hedged, a `costly` one where the options allow it. */
  readonly safety: Safety
  /**
   * The second send, asked for when its time has come. `undefined` when it may not start: no slot is free. What it takes
   * it gives back itself. Default: the first one again.
   */
  readonly second?: (() => Effect.Effect<A, E, R> | undefined) | undefined
  /** Told of a failure, or a value, that does not become the result, to release what it holds. */
  readonly onDiscard?: ((unwanted: unknown) => void) | undefined
}

export interface Hedge {
  /**
   * Runs an effect, and a second one beside it when it is slow. A failure before that is the result at once. When one of
   * two fails the other decides; when both fail the result is the first one's. Interruption ends both. The send that loses
   * is interrupted and not waited for, so it must release what it holds.
   */
  readonly race: <A, E, R>(call: Call<A, E, R>, self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** The delay in force for `key`, in milliseconds. `undefined` until enough sends are measured. */
  readonly delayMillisUnsafe: (key: string) => number | undefined
}

class KeyedHedge implements Hedge {
  private readonly lanes = new Map<string, Lane>()
  private readonly fixedMillis: number | undefined
  private readonly minDelayMillis: number
  private readonly options: Options
  private readonly maxExtra: number
  private readonly burst: number

  constructor(options: Options) {
    this.options = options
    this.fixedMillis = options.delay === undefined ? undefined : Duration.toMillis(options.delay)
    this.minDelayMillis = Duration.toMillis(options.minDelay ?? "10 millis")
    this.maxExtra = options.maxExtra ?? 0.05
    this.burst = options.burst ?? 10
  }

  private lane(key: string): Lane {
    const known = this.lanes.get(key)
    if (known !== undefined) return known
    const { maxKeys = 1024, minSamples = 20, percentile = 0.95 } = this.options
    const [oldest] = this.lanes.keys()
    if (this.lanes.size >= maxKeys && oldest !== undefined) this.lanes.delete(oldest)
    const lane = { latencies: new Latencies(percentile, minSamples), tokens: 0 }
    this.lanes.set(key, lane)
    return lane
  }

  private delayOf(lane: Lane): number | undefined {
    if (this.fixedMillis !== undefined) return this.fixedMillis
    const measured = lane.latencies.percentileMillis
    // Later than the percentile, not at it: where all sends take the same time, none of them is slow.
    return measured === undefined ? undefined : Math.max(this.minDelayMillis, measured + 1)
  }

  delayMillisUnsafe = (key: string): number | undefined => {
    const lane = this.lanes.get(key)
    return lane === undefined ? this.fixedMillis : this.delayOf(lane)
  }

  race: Hedge["race"] = <A, E, R>(call: Call<A, E, R>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const { safety } = call
    if (safety === "unsafe" || (safety === "costly" && this.options.costly !== true)) return self
    return Effect.withFiber<A, E, R>((fiber) => {
      const lane = this.lane(call.key)
      lane.tokens = Math.min(this.burst, lane.tokens + this.maxExtra)
      const delayMillis = this.delayOf(lane)
      const clock = fiber.getRef(Clock.Clock)
      if (delayMillis !== undefined) {
        return Effect.contextWith((context: Context.Context<R>) =>
          Effect.callback<A, E>((resume) => new Race(call, self, lane, clock, context, resume).start(delayMillis))
        )
      }
      const since = clock.currentTimeMillisUnsafe()
      return Effect.onExitPrimitive(self, (exit) => {
        if (Exit.isSuccess(exit)) lane.latencies.record(clock.currentTimeMillisUnsafe() - since)
        return undefined
      })
    })
  }
}

/** Latencies and budgets with a state of their own: make one for each group of callers that call the same endpoints. */
export const makeUnsafe = (options: Options = {}): Hedge => new KeyedHedge(options)

/** Latencies and budgets with a state of their own: make one for each group of callers that call the same endpoints. */
export const make = (options: Options = {}): Effect.Effect<Hedge> => Effect.sync(() => makeUnsafe(options))

/**
 * Runs effects with a second send when the first is slow. All effects that the result is applied to share its
 * measurements and its budget, so keep it in a constant.
 */
export const hedge = (
  options: Options & { readonly key?: string; readonly safety?: Safety } = {}
): (<A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) => {
  const { key = "call", safety = "idempotent" } = options
  const made = makeUnsafe(options)
  return (self) => made.race({ key, safety }, self)
}
