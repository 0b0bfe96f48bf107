/**
 * Where the jobs of a `WorkQueue` are kept: in memory (`MemoryWorkStore`), in a file (`SqliteWorkStore`), in a SQL database
 * (`SqlWorkStore`) or in Redis (`RedisWorkStore`).
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Priority } from "../policy/Concurrency.ts"
import type { StoreFailed } from "./WorkQueueError.ts"

export type { Priority } from "../policy/Concurrency.ts"

/** A job that is to be kept. */
export interface Entry {
  readonly id: string
  /** The caller chose the id: a second job with it is the same job. */
  readonly isNamed: boolean
  readonly element: unknown
  readonly priority: Priority
  /** It is not due before, in milliseconds from now. */
  readonly delayMillis: number
}

/** What becomes of a job after a run. */
export type Fate =
  | { readonly _tag: "Done" }
  | { readonly _tag: "Retry"; readonly delayMillis: number; readonly cause: Cause.Cause<unknown> }
  | { readonly _tag: "Dead"; readonly cause: Cause.Cause<unknown> }
  /** Given back as if it had not been taken. */
  | { readonly _tag: "Back" }

/** A job that this process has for itself until it is settled. */
export interface Claim {
  readonly id: string
  readonly element: unknown
  /** Starts at 1. */
  readonly attempt: number
  readonly settle: (fate: Fate) => Effect.Effect<void, StoreFailed>
}

/** How many jobs are in which state. */
export interface Counts {
  /** May be taken now. */
  readonly ready: number
  /** Are not due yet: offered with a delay, or waiting to be retried. */
  readonly delayed: number
  /** Are being done, by this process or another one, or by one that has died a moment ago. */
  readonly running: number
  /** Were given up. */
  readonly dead: number
}

/** A job that was given up, as it is stored. */
export interface Corpse {
  readonly id: string
  readonly element: unknown
  readonly priority: Priority
  readonly attempts: number
  readonly failure: string
}

/** The jobs of one name. */
export interface Backlog {
  /** Whether elements must be JSON: whatever is not memory. */
  readonly isJson: boolean
  /** How often to look for what other processes have done. `undefined`: there are no others. */
  readonly pollInterval: Duration.Duration | undefined
  /** Waits until something has changed after the call, by this process. */
  readonly next: () => Effect.Effect<void>
  /** Tells those who wait. */
  readonly ring: () => void
  /** `"known"`: there is a job with the id already. */
  readonly offer: (entry: Entry, capacity: number) => Effect.Effect<"added" | "known" | "full", StoreFailed>
  /** The classes of the jobs that are due, the most urgent first, `max` at most. */
  readonly due: (max: number) => Effect.Effect<ReadonlyArray<Priority>, StoreFailed>
  /** Takes a job of the class. `undefined`: somebody else was faster. */
  readonly take: (priority: Priority) => Effect.Effect<Claim | undefined, StoreFailed>
  /** Waits until a job may have become due by itself. */
  readonly pause: () => Effect.Effect<void>
  readonly counts: Effect.Effect<Counts, StoreFailed>
  /** What became of a job. `undefined`: it waits or runs. */
  readonly outcome: (id: string) => Effect.Effect<"done" | Corpse | undefined, StoreFailed>
  /** Those that were given up, the oldest first. */
  readonly dead: (limit: number) => Effect.Effect<ReadonlyArray<Corpse>, StoreFailed>
  /** Puts one back into the line. Whether there was one. */
  readonly revive: (id: string) => Effect.Effect<boolean, StoreFailed>
  /** Forgets one. Whether there was one. */
  readonly bury: (id: string) => Effect.Effect<boolean, StoreFailed>
}

/** Keeps jobs by the names of their queues. */
export class WorkStore extends Context.Service<
  WorkStore,
  {
    /** The jobs of this name. A job that was taken `maxAttempts` times and never settled is given up. */
    readonly open: (name: string, maxAttempts: number) => Effect.Effect<Backlog, StoreFailed, Scope.Scope>
  }
>()("holdfast/work/WorkStore") {}
