/**
 * Calls in flight, by key: a fixed number of slots for each key and a first-come queue for the rest.
 *
 * Written again instead of Effect's `Semaphore` because its waiter set is copied on each release: 68 µs a task with a
 * deep queue, where this ring costs 7 (PERFORMANCE.md, 2026-11-21).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Shed } from "./PolicyError.ts"
import * as Timer from "./Timer.ts"

export interface Options {
  /** Slots of each key. Default: 100, the connections that the HTTP pool keeps for an origin. */
  readonly maxConcurrency?: number | undefined
  /** Calls that may wait for each key; one more is `Shed`. Default: 100 000, about 100 MB of waiting calls. */
  readonly maxQueue?: number | undefined
  /** The longest wait for a slot; then the call is `Shed`. Default: `"Infinity"`, the call's own deadline decides. */
  readonly maxWait?: Duration.Input | undefined
}

export interface Concurrency {
  /** Runs an effect in a slot of `key`; waits for one in order of arrival. Interruption gives the place back. */
  readonly withSlot: (key: string) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Shed, R>
  /** Sets the slots of one key, or of all keys. Calls in flight go on; waiting ones start as slots appear. */
  readonly resize: (maxConcurrency: number, key?: string) => Effect.Effect<void>
  readonly inFlight: (key: string) => number
  readonly waiting: (key: string) => number
  /** Takes a slot now if one is free and nobody waits. What is taken is given back with `releaseUnsafe`, once. */
  readonly takeUnsafe: (key: string) => boolean
  /** Sheds everybody who waits. */
  readonly shedAllUnsafe: () => void
  readonly releaseUnsafe: (key: string) => void
  /**
   * Takes a slot, waiting at most `millis`. For an uninterruptible region whose `restore` is given: only the waiting
   * can be interrupted, so that a granted slot is never lost between two steps of the fiber.
   */
  readonly acquire: (
    key: string,
    millis: number,
    restore: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<void, Shed>
}

interface Waiter {
  grant: (() => void) | undefined
  readonly shed: (closed: boolean) => void
}

/** The slots and the queue of one key. */
class Lane {
  limit: number
  inFlight = 0
  waiting = 0
  private queue: Array<Waiter> = []
  private head = 0
  private isGranting = false
  constructor(limit: number) {
    this.limit = limit
  }
  push(waiter: Waiter): void {
    this.queue.push(waiter)
    this.waiting++
  }
  shedAll(): void {
    for (const waiter of this.queue.slice(this.head)) waiter.shed(true)
  }
  cancel(waiter: Waiter): void {
    waiter.grant = undefined
    this.waiting--
    // Removal is lazy; a queue that is mostly cancelled is packed, so that it stays bounded by who really waits.
    if (this.queue.length - this.head > 64 && this.waiting * 2 < this.queue.length - this.head) {
      this.queue = this.queue.slice(this.head).filter((one) => one.grant !== undefined)
      this.head = 0
    }
  }
  /** Gives free slots to those who wait. A grant that ends at once frees its slot within this loop, not below it. */
  grant(): void {
    if (this.isGranting) return
    this.isGranting = true
    try {
      this.grantAll()
    } finally {
      this.isGranting = false
    }
  }
  private grantAll(): void {
    while (this.inFlight < this.limit && this.waiting > 0) {
      const waiter = this.queue[this.head++]
      if (this.head > 1024 && this.head * 2 > this.queue.length) {
        this.queue = this.queue.slice(this.head)
        this.head = 0
      }
      const grant = waiter?.grant
      if (waiter === undefined || grant === undefined) continue
      waiter.grant = undefined
      this.waiting--
      this.inFlight++
      grant()
    }
    if (this.waiting === 0) {
      this.queue.length = 0
      this.head = 0
    }
  }
}

class KeyedConcurrency implements Concurrency {
  private readonly lanes = new Map<string, Lane>()
  private readonly limits = new Map<string, number>()
  private limit: number
  private readonly maxQueue: number
  private readonly maxWaitMillis: number

  constructor(options: Options) {
    this.limit = options.maxConcurrency ?? 100
    this.maxQueue = options.maxQueue ?? 100_000
    this.maxWaitMillis = options.maxWait === undefined ? Infinity : Duration.toMillis(options.maxWait)
  }

  private lane(key: string): Lane {
    let lane = this.lanes.get(key)
    if (lane === undefined) {
      lane = new Lane(this.limits.get(key) ?? this.limit)
      this.lanes.set(key, lane)
    }
    return lane
  }

  inFlight = (key: string): number => this.lanes.get(key)?.inFlight ?? 0
  waiting = (key: string): number => this.lanes.get(key)?.waiting ?? 0

  takeUnsafe = (key: string): boolean => {
    const lane = this.lane(key)
    if (lane.inFlight >= lane.limit || lane.waiting > 0) return false
    lane.inFlight++
    return true
  }

  releaseUnsafe = (key: string): void => {
    const lane = this.lanes.get(key)
    if (lane === undefined) return
    lane.inFlight--
    if (lane.waiting > 0) lane.grant()
    else if (lane.inFlight === 0 && this.lanes.size > 64) this.lanes.delete(key)
  }

  acquire: Concurrency["acquire"] = (key, millis, restore) =>
    Effect.suspend(() => (this.takeUnsafe(key) ? Effect.void : restore(this.wait(key, millis))))

  private wait(key: string, millis: number): Effect.Effect<void, Shed> {
    return Effect.withFiber((fiber) =>
      Effect.callback<void, Shed>((resume) => {
        const lane = this.lane(key)
        if (lane.waiting >= this.maxQueue) return resume(Effect.fail(new Shed({ key, waiting: lane.waiting })))
        const waiter: Waiter = {
          grant: () => {
            cancelTimer()
            resume(Effect.void)
          },
          shed: (closed) => {
            if (waiter.grant === undefined) return
            cancelTimer()
            lane.cancel(waiter)
            resume(Effect.fail(new Shed({ key, waiting: lane.waiting, closed })))
          }
        }
        const clock = fiber.getRef(Clock.Clock)
        const cancelTimer = Timer.after(clock, Math.min(millis, this.maxWaitMillis), () => waiter.shed(false))
        lane.push(waiter)
        // The fiber may have yielded since it found no free slot; nobody would wake it for the one that came meanwhile.
        if (lane.inFlight < lane.limit) queueMicrotask(() => lane.grant())
        return Effect.sync(() => {
          cancelTimer()
          if (waiter.grant !== undefined) lane.cancel(waiter)
        })
      })
    )
  }

  shedAllUnsafe = (): void => {
    for (const lane of this.lanes.values()) lane.shedAll()
  }

  withSlot =
    (key: string) =>
    <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Shed, R> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(this.acquire(key, Infinity, restore), () =>
          Effect.onExit(restore(self), () => Effect.sync(() => this.releaseUnsafe(key)))
        )
      )

  resize = (maxConcurrency: number, key?: string): Effect.Effect<void> =>
    Effect.sync(() => {
      if (key === undefined) {
        this.limit = maxConcurrency
        this.limits.clear()
      } else this.limits.set(key, maxConcurrency)
      for (const [name, lane] of this.lanes) {
        if (key !== undefined && name !== key) continue
        lane.limit = maxConcurrency
        lane.grant()
      }
    })
}

/** Slots with a state of their own: make one for each group of callers that share a limit. */
export const makeUnsafe = (options: Options = {}): Concurrency => new KeyedConcurrency(options)

/** Slots with a state of their own: make one for each group of callers that share a limit. */
export const make = (options: Options = {}): Effect.Effect<Concurrency> => Effect.sync(() => makeUnsafe(options))
