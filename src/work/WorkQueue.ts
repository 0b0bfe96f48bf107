/**
 * A queue of jobs that are done by workers: bounded, by priority, at a time, again when they fail. What `offer` returns is
 * a handle whose result can be awaited.
 *
 * A job is acknowledged when its work has succeeded, and given back when its worker is interrupted or its process dies. So
 * it is done at least once: work that must not happen twice needs a key of its own, for which `job.id` is good.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Retry from "../policy/Retry.ts"
import { retryOf } from "./internal/fate.ts"
import { LiveQueue } from "./internal/liveQueue.ts"
import type { Codec } from "./internal/payload.ts"
import { StoreFailed, WorkQueueError } from "./WorkQueueError.ts"
import { type Counts, type Priority, WorkStore } from "./WorkStore.ts"

/** A job as its work sees it. */
export interface Job<A> {
  readonly id: string
  readonly payload: A
  readonly priority: Priority
  /** Which try this is, starting at 1. A process that died in the middle of one has used it up. */
  readonly attempt: number
}

export interface Options<A, B, E, R> {
  /** Jobs are kept by it: queues with the same name and the same store have the same jobs. Default: `"work"`. */
  readonly name?: string | undefined
  /** What is done with a job. Its failure is tried again, its interruption by the queue gives the job back. */
  readonly work: (job: Job<A>) => Effect.Effect<B, E, R>
  /** What payloads are. Needed by every store but memory, where it is not used. */
  readonly payload?: Schema.Codec<A, unknown> | undefined
  /** Jobs that are done at a time by this queue; `0` for one that only offers. Default: `1`. */
  readonly workers?: number | undefined
  /** Jobs that may wait, ready or delayed. Default: `1000`. */
  readonly capacity?: number | undefined
  /** What `offer` does when as many wait. Default: `"wait"` for a place. */
  readonly whenFull?: "wait" | "refuse" | undefined
  /**
   * When a job is tried again. Default: 4 retries, waits from 1 second on to 5 minutes at most. An error that says it is not
   * `isRetryable` ends the job at once; an error that says nothing is tried again.
   */
  readonly retry?: Retry.Options | undefined
}

export interface OfferOptions {
  /** A job with the id of one that is in the queue is that job. Default: a random one. */
  readonly id?: string | undefined
  /** Higher ones go first, equal ones in their order. Default: `"normal"`. */
  readonly priority?: Priority | undefined
  /** The job is not done before. Default: at once. */
  readonly delay?: Duration.Input | undefined
  /** Default: the queue's own. */
  readonly whenFull?: "wait" | "refuse" | undefined
}

/** A job that was offered. */
export interface Handle<B, E> {
  readonly id: string
  /** What the work has returned, once it has; fails with the error of its last try when the job is given up. */
  readonly await: Effect.Effect<B, E | WorkQueueError>
  /** The same as a value. */
  readonly result: Effect.Effect<Exit.Exit<B, E | WorkQueueError>>
}

/** A job that was given up. */
export interface DeadLetter {
  readonly id: string
  /** The payload as it is stored: what the schema has encoded. */
  readonly payload: unknown
  readonly priority: Priority
  readonly attempts: number
  /** What the last try failed with. */
  readonly failure: string
}

/** What `stop` saw. */
export interface StopReport {
  /** Jobs that ended within the grace. */
  readonly finished: number
  /** Jobs that were interrupted and given back. */
  readonly interrupted: number
}

export interface WorkQueue<A, B, E> {
  readonly name: string
  /** Adds a job. With the stores that survive the process, it is kept when this returns. */
  readonly offer: (payload: A, options?: OfferOptions) => Effect.Effect<Handle<B, E>, WorkQueueError>
  /** How many jobs are ready, delayed, running and dead, of all processes. */
  readonly size: Effect.Effect<Counts, WorkQueueError>
  /** Waits until no job is ready, delayed or running. The dead do not count. */
  readonly join: Effect.Effect<void, WorkQueueError>
  /** The jobs that were given up, the oldest first. Default limit: `100`. */
  readonly deadLetters: (limit?: number) => Effect.Effect<ReadonlyArray<DeadLetter>, WorkQueueError>
  /** Puts one of them back into the line with all its tries. `undefined`: there is none of this id. */
  readonly reoffer: (id: string) => Effect.Effect<Handle<B, E> | undefined, WorkQueueError>
  /** Forgets one of them. Whether there was one. */
  readonly discard: (id: string) => Effect.Effect<boolean, WorkQueueError>
  /**
   * Takes no more jobs, waits for those that run, and gives back those that take longer than `grace` (default: `"5 seconds"`).
   * More calls return the same.
   */
  readonly stop: (options?: { readonly grace?: Duration.Input | undefined }) => Effect.Effect<StopReport>
}

const count = (name: string, value: number, least: number): void => {
  if (!(value >= least)) throw new RangeError(`${name} must be at least ${least}, not ${value}`)
}

const asItIs = <A>(): Codec<A> => ({
  encode: Effect.succeed,
  // In memory an element is what a queue of this name was offered.
  decode: (element) => Effect.succeed(element as A)
})

/**
 * Makes a queue and starts its workers. The end of the scope interrupts them and gives their jobs back; `stop` before it
 * lets them finish.
 */
export const make = <A, B, E, R = never>(
  options: Options<A, B, E, R>
): Effect.Effect<WorkQueue<A, B, E>, WorkQueueError, WorkStore | Scope.Scope | R> =>
  Effect.gen(function* () {
    const { capacity = 1000, name = "work", payload, whenFull = "wait", workers = 1 } = options
    count("workers", workers, 0)
    count("capacity", capacity, 1)
    const retry = retryOf(options.retry ?? {})
    const failed = (reason: WorkQueueError["reason"]): WorkQueueError => new WorkQueueError({ queue: name, reason })
    const store = yield* WorkStore
    const backlog = yield* Effect.mapError(store.open(name, retry.retries + 1), failed)
    if (backlog.isJson && payload === undefined)
      return yield* Effect.fail(failed(new StoreFailed({ description: "needs `payload`, a schema, to store jobs" })))
    const codec =
      payload === undefined || !backlog.isJson
        ? asItIs<A>()
        : (yield* Effect.promise(() => import("./internal/payload.ts"))).codecOf(payload)
    const context = yield* Effect.context<R>()
    const work = (job: Job<A>): Effect.Effect<B, E> => Effect.provideContext(options.work(job), context)
    const fibers = yield* FiberSet.make<void>()
    const queue = new LiveQueue({ name, backlog, codec, retry, work, capacity, whenFull, workers, fibers })
    yield* queue.start()
    return queue
  })
