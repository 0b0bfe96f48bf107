/**
 * WorkQueueError, by reason:
 *   QueueFull        the queue holds as much as it may, and the offer was not to wait   retryable
 *   Stopped          the queue is stopped, or was before the job had its turn           not retryable
 *   InvalidPayload   the payload does not fit the queue's schema                        not retryable
 *   JobDead          another process gave the job up                                    not retryable
 *   ResultElsewhere  another process did the job, and its result was not kept           not retryable
 *   StoreFailed      the database that keeps the jobs                                   retryable
 *
 * A job that is given up in this process fails its handle with the error of its last run, not with this one.
 */
import * as Data from "effect/Data"
import { NodeInspectSymbol } from "effect/Inspectable"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"

/** The queue holds as many waiting jobs as its `capacity`. */
export class QueueFull extends Data.TaggedError("QueueFull")<{ readonly capacity: number }> implements Retryable {
  readonly isRetryable = true
  readonly phase = "notSent"
  override get message(): string {
    return `${this.capacity} jobs wait, which is the queue's capacity; offer later, or with \`whenFull: "wait"\``
  }
}

/** The queue takes no more jobs; the jobs that it did not do stay in the store. */
export class Stopped extends Data.TaggedError("Stopped") implements Retryable {
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return "the queue is stopped; the jobs that it did not do stay in its store"
  }
}

/** The payload is not what the schema describes. Nothing was stored. */
export class InvalidPayload
  extends Data.TaggedError("InvalidPayload")<{ readonly description: string; readonly cause?: unknown }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return this.description
  }
}

/** Another process tried the job as often as it may be tried. It is among the dead letters. */
export class JobDead
  extends Data.TaggedError("JobDead")<{ readonly id: string; readonly failure: string }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the job ${JSON.stringify(this.id)} was given up: ${this.failure}`
  }
}

/** The job is done, by another process, which did not pass its result on. */
export class ResultElsewhere extends Data.TaggedError("ResultElsewhere")<{ readonly id: string }> implements Retryable {
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the job ${JSON.stringify(this.id)} is done, but not by this process, and results are not stored; let the work store what it finds`
  }
}

/** The store did not answer as it should. */
export class StoreFailed
  extends Data.TaggedError("StoreFailed")<{ readonly description: string; readonly cause?: unknown }>
  implements Retryable
{
  readonly isRetryable = true
  readonly phase = "maybeSent"
  override get message(): string {
    return this.description
  }
}

/** Every way a queue itself fails. */
export type Reason = QueueFull | Stopped | InvalidPayload | JobDead | ResultElsewhere | StoreFailed

const brand: unique symbol = Symbol.for("holdfast/work/WorkQueueError")

/** The queue's own error: match it, then look at `reason`. */
export class WorkQueueError
  extends Data.TaggedError("WorkQueueError")<{ readonly queue: string; readonly reason: Reason }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is WorkQueueError {
    return isBranded(u, brand)
  }
  constructor(args: { readonly queue: string; readonly reason: Reason }) {
    super(args)
    if (this.reason.cause !== undefined)
      Object.defineProperty(this, "cause", { value: this.reason.cause, configurable: true })
  }
  /** The reason's tag, for code that switches on strings. */
  get code(): Reason["_tag"] {
    return this.reason._tag
  }
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  get phase(): Phase {
    return this.reason.phase
  }
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    return `work queue ${JSON.stringify(this.queue)}: ${this.reason.message}`
  }
}
