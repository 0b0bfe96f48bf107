/**
 * Calls in flight, by key: a fixed or an adaptive number of slots for each key and a bounded line for the rest, served
 * by priority, in turns of the tenants, in order of arrival.
 *
 * Written again instead of Effect's `Semaphore` because its waiter set is copied on each release: 68 µs a task with a
 * deep queue, where this line costs 7 (PERFORMANCE.md, 2026-11-21).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { AdaptiveLimit } from "./internal/adaptive.ts"
import { Lane, Waiter } from "./internal/lane.ts"
import type { Shed } from "./PolicyError.ts"
import * as Retryable from "./Retryable.ts"
import * as Timer from "./Timer.ts"

/** A class of calls: a free slot goes to the highest class that waits. */
export type Priority = "high" | "normal" | "low"

/** What a call says when it asks for a slot. */
export interface Claim {
  /** Default: `"normal"`. */
  readonly priority?: Priority | undefined
  /** Who the call is for; tenants of one class take turns. Default: `""`, one tenant for all. */
  readonly tenant?: string | undefined
  /** How many tokens it may use: read by the gate. */
  readonly tokens?: number | undefined
  /** Written by the gate: what it took for this call. */
  reservation?: unknown
}

/** How a call ended that held a slot. */
export interface Sample {
  /** `"throttled"` is a 429 or 529; `"failed"` and `"ignored"` say nothing about the limit. */
  readonly outcome: "ok" | "throttled" | "timeout" | "failed" | "ignored"
  /** From the grant of the slot to the end. */
  readonly durationMillis: number
}

/** A second condition for a slot, such as a rate: granted together with it, or nothing is taken. */
export interface Gate {
  /**
   * Takes what the claim asks for and returns 0, or takes nothing and returns after how many milliseconds asking again
   * is worth it, `Infinity` when it never is: such a call is `Shed`. It is asked again at each call that ends, too.
   */
  readonly admitUnsafe: (key: string, claim: Claim, nowMillis: number) => number
}

/** How a limit finds its size by itself. */
export interface Adaptive {
  /** The smallest limit. Default: `1`, so that the way back is always tried. */
  readonly min?: number | undefined
  /** The largest limit. Default: `maxConcurrency`. */
  readonly max?: number | undefined
  /** The limit of a key that is new. Default: `20`, from where 100 is nine steps away and 1 is five. */
  readonly initial?: number | undefined
  /** What the limit is multiplied by after a throttle. Default: `0.9`: it stays near capacity while it looks for it. */
  readonly backoffRatio?: number | undefined
}

export interface Options {
  /** Slots of each key. Default: 100, the connections that the HTTP pool keeps for an origin. */
  readonly maxConcurrency?: number | undefined
  /**
   * Calls that may wait for each key; of one more, the youngest of the lowest class is `Shed`. Default: 100 000, about
   * 100 MB of waiting calls.
   */
  readonly maxQueue?: number | undefined
  /** The longest wait for a slot; then the call is `Shed`. Default: `"Infinity"`, the call's own deadline decides. */
  readonly maxWait?: Duration.Input | undefined
  /**
   * Finds the number of slots by throttles, timeouts and latency. Default: `false`: a provider's 429 is about calls a
   * minute more often than about calls at a time.
   */
  readonly adaptive?: boolean | Adaptive | undefined
  /**
   * A waiting call moves up one class after this time. Default: `"30 seconds"`: a low call is passed for a minute at
   * most, which leaves it 14 of the 15 that a call has in all.
   */
  readonly ageing?: Duration.Input | undefined
}

export interface Concurrency {
  /** Runs an effect in a slot of `key`; waits for one in its turn. Interruption gives the place back. */
  readonly withSlot: (
    key: string,
    claim?: Claim
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Shed, R>
  /**
   * Sets the slots of one key, or of all keys; of an adaptive limit its largest size. Calls in flight go on; waiting ones
   * start as slots appear.
   */
  readonly resize: (maxConcurrency: number, key?: string) => Effect.Effect<void>
  /** The slots of a key at the moment. */
  readonly limit: (key: string) => number
  readonly inFlight: (key: string) => number
  readonly waiting: (key: string) => number
  /**
   * Takes a slot now if one is free and nobody waits. What is taken is given back with `releaseUnsafe`, once. A gate
   * needs the time: without `nowMillis` a limiter with a gate says no, and the call queues.
   */
  readonly takeUnsafe: (key: string, claim?: Claim, nowMillis?: number) => boolean
  /** Sheds everybody who waits. */
  readonly shedAllUnsafe: () => void
  /** Gives a slot back. An adaptive limit learns from the sample. */
  readonly releaseUnsafe: (key: string, sample?: Sample) => void
  /** Asks the gate again: it has more room than it said when it refused. */
  readonly wakeUnsafe: (key: string) => void
  /**
   * Takes a slot, waiting at most `millis`. For an uninterruptible region whose `restore` is given: only the waiting
   * can be interrupted, so that a granted slot is never lost between two steps of the fiber.
   */
  readonly acquire: (
    key: string,
    millis: number,
    restore: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    claim?: Claim
  ) => Effect.Effect<void, Shed>
}

const nothing: Claim = {}

/** Idle keys that are remembered: a fixed limit has nothing to forget, an adaptive one what it learned. */
const maxIdleKeys = { fixed: 64, adaptive: 1000 }

/** Keys are looked over for idle ones when there are more than these, and again when they have doubled. */
const minSweepKeys = 2048

/** What the end of an effect says about the limit. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Sample["outcome"] => {
  if (Exit.isSuccess(exit)) return "ok"
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") return Exit.hasInterrupts(exit) ? "ignored" : "failed"
  const { isThrottle, isTimeout } = Retryable.classify(error.value)
  if (isThrottle === true) return "throttled"
  return isTimeout === true || Cause.isTimeoutError(error.value) ? "timeout" : "failed"
}

const currentClock = (): Clock.Clock => Fiber.getCurrent()?.getRef(Clock.Clock) ?? Timer.defaultClock

class KeyedConcurrency implements Concurrency {
  private readonly lanes = new Map<string, Lane>()
  private sweepAt = minSweepKeys
  private readonly limits = new Map<string, number>()
  private maxConcurrency: number
  private readonly maxWaitMillis: number
  private readonly adaptive: Adaptive | undefined
  private readonly settings: ConstructorParameters<typeof Lane>[3]

  constructor(options: Options, gate: Gate | undefined) {
    const { adaptive } = options
    this.adaptive = adaptive === true ? {} : adaptive === false ? undefined : adaptive
    this.maxConcurrency = this.adaptive?.max ?? options.maxConcurrency ?? 100
    this.maxWaitMillis = options.maxWait === undefined ? Infinity : Duration.toMillis(options.maxWait)
    this.settings = {
      maxQueue: options.maxQueue ?? 100_000,
      ageingMillis: Duration.toMillis(options.ageing ?? "30 seconds"),
      gate
    }
  }

  private lane(key: string): Lane {
    let lane = this.lanes.get(key)
    if (lane === undefined) {
      if (this.lanes.size >= this.sweepAt) this.sweep()
      lane = new Lane(key, this.sizeOf(key), this.adaptiveLimit(key), this.settings)
      this.lanes.set(key, lane)
    }
    return lane
  }

  private sizeOf(key: string): number {
    return this.limits.get(key) ?? this.maxConcurrency
  }

  private adaptiveLimit(key: string): AdaptiveLimit | undefined {
    if (this.adaptive === undefined) return undefined
    const { backoffRatio = 0.9, initial = 20, min = 1 } = this.adaptive
    return new AdaptiveLimit({ min, max: this.sizeOf(key), initial, backoffRatio })
  }

  /** Looks for keys whose calls never had a slot: they were refused, or were shed. */
  private sweep(): void {
    for (const lane of this.lanes.values()) this.forget(lane)
    this.sweepAt = Math.max(minSweepKeys, this.lanes.size * 2)
  }

  /** Forgets a key that nobody uses, when there are many. */
  private forget(lane: Lane): void {
    if (lane.inFlight > 0 || lane.waiting > 0) return
    if (this.lanes.size > (this.adaptive === undefined ? maxIdleKeys.fixed : maxIdleKeys.adaptive)) {
      this.lanes.delete(lane.key)
    }
  }

  limit = (key: string): number => this.lanes.get(key)?.limit ?? this.adaptiveLimit(key)?.limit ?? this.sizeOf(key)
  inFlight = (key: string): number => this.lanes.get(key)?.inFlight ?? 0
  waiting = (key: string): number => this.lanes.get(key)?.waiting ?? 0

  takeUnsafe = (key: string, claim?: Claim, nowMillis?: number): boolean => this.lane(key).take(claim, nowMillis)

  releaseUnsafe = (key: string, sample?: Sample): void => {
    const lane = this.lanes.get(key)
    if (lane === undefined) return
    lane.release(sample)
    this.forget(lane)
  }

  wakeUnsafe = (key: string): void => this.lanes.get(key)?.grant()

  acquire: Concurrency["acquire"] = (key, millis, restore, claim = {}) =>
    Effect.suspend(() => {
      const now = this.settings.gate === undefined ? undefined : currentClock().currentTimeMillisUnsafe()
      return this.takeUnsafe(key, claim, now) ? Effect.void : restore(this.wait(key, millis, claim))
    })

  private wait(key: string, millis: number, claim: Claim): Effect.Effect<void, Shed> {
    return Effect.callback<void, Shed>((resume) => {
      const clock = currentClock()
      const lane = this.lane(key)
      const waiter = new Waiter(lane, claim, resume, clock.currentTimeMillisUnsafe())
      const shed = lane.enter(waiter, clock)
      if (shed !== undefined) return resume(Effect.fail(shed))
      waiter.arm(clock, Math.min(millis, this.maxWaitMillis))
      return Effect.sync(() => {
        if (waiter.leave()) this.forget(lane)
      })
    })
  }

  shedAllUnsafe = (): void => {
    for (const lane of this.lanes.values()) lane.shedAll()
  }

  withSlot: Concurrency["withSlot"] = (key, claim) => (self) =>
    Effect.uninterruptibleMask((restore) => {
      if (this.settings.gate === undefined) {
        if (this.takeUnsafe(key)) return this.holding(key, restore(self))
        const granted = restore(this.wait(key, Infinity, claim ?? nothing))
        return Effect.flatMap(granted, () => this.holding(key, restore(self)))
      }
      // A gate writes to the claim: each run has one of its own.
      const granted = this.acquire(key, Infinity, restore, { ...claim })
      return Effect.flatMap(granted, () => this.holding(key, restore(self)))
    })

  /** Runs what has its slot. All that is made for it is made after the wait: what waits long is costly to collect. */
  private holding<A, E, R>(key: string, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.adaptive === undefined
      ? Effect.onExit(self, () => Effect.sync(() => this.releaseUnsafe(key)))
      : this.measured(key, self)
  }

  private measured<A, E, R>(key: string, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.clockWith((clock) => {
      const since = clock.currentTimeMillisUnsafe()
      return Effect.onExit(self, (exit) =>
        Effect.sync(() => {
          const durationMillis = clock.currentTimeMillisUnsafe() - since
          this.releaseUnsafe(key, { outcome: outcomeOf(exit), durationMillis })
        })
      )
    })
  }

  resize = (maxConcurrency: number, key?: string): Effect.Effect<void> =>
    Effect.sync(() => {
      if (key === undefined) {
        this.maxConcurrency = maxConcurrency
        this.limits.clear()
      } else this.limits.set(key, maxConcurrency)
      for (const [name, lane] of this.lanes) if (key === undefined || name === key) lane.resize(maxConcurrency)
    })
}

/** Slots with a state of their own: make one for each group of callers that share a limit. */
export const makeUnsafe = (options: Options = {}, gate?: Gate): Concurrency => new KeyedConcurrency(options, gate)

/** Slots with a state of their own: make one for each group of callers that share a limit. */
export const make = (options: Options = {}, gate?: Gate): Effect.Effect<Concurrency> =>
  Effect.sync(() => makeUnsafe(options, gate))
