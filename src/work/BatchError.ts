/**
 * BatchError, by reason:
 *   InputUnreadable      the input is not there, or cannot be read              not retryable
 *   InvalidItem          a line of the input is not an item; nothing was asked  not retryable
 *   OutputExists         the output or its checkpoint is there already          not retryable
 *   NoCheckpoint         there is an output, and no checkpoint to go on from    not retryable
 *   CheckpointMismatch   the checkpoint is of another input or output, or none  not retryable
 *   Locked               another run writes this output                         retryable
 *   StorageFailed        the disk: full, gone, not writable                     retryable
 *
 * An item whose work fails is no error of the batch: it is a record.
 */
import * as Data from "effect/Data"
import { NodeInspectSymbol } from "effect/Inspectable"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"

/** The input is not there, no file, or changed while it was read. */
export class InputUnreadable
  extends Data.TaggedError("InputUnreadable")<{
    readonly path: string
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `cannot read ${this.path}: ${this.description}`
  }
}

/** A line of the input is not an item. All lines are looked at before the first one is worked on. */
export class InvalidItem
  extends Data.TaggedError("InvalidItem")<{
    readonly path: string
    /** The line's number, starting at 1. */
    readonly line: number
    readonly description: string
    /** How many lines are like that, this one included. */
    readonly count: number
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    const others = this.count > 1 ? ` (and ${this.count - 1} more such lines)` : ""
    return `${this.path}:${this.line}: ${this.description}${others}; nothing was asked yet`
  }
}

/** The batch was not to be resumed, and there is something that it would write over. */
export class OutputExists
  extends Data.TaggedError("OutputExists")<{
    readonly path: string
    /** Why no batch can have begun it, such as a folder. Absent: one may have. */
    readonly description?: string | undefined
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return this.description === undefined
      ? `${this.path} is there already; resume its batch, or name another output`
      : `${this.path} is there already and ${this.description}; name another output`
  }
}

/** The batch was to be resumed, and its output has no checkpoint. */
export class NoCheckpoint extends Data.TaggedError("NoCheckpoint")<{ readonly path: string }> implements Retryable {
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `${this.path} has no checkpoint to go on from; name another output to begin anew`
  }
}

/** The checkpoint is not of this batch. It is left as it is. */
export class CheckpointMismatch
  extends Data.TaggedError("CheckpointMismatch")<{
    /** The checkpoint's file. */
    readonly path: string
    /**
     * What is different: the input's content, the version of the format, the file is none at all, or the output of a complete
     * batch is no longer whole.
     */
    readonly what: "input" | "version" | "format" | "output"
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    const help =
      this.what === "output"
        ? "put its file back, or take both away to begin anew"
        : "name another output, or the input that it was begun with"
    return `${this.path} ${this.description}; ${help}`
  }
}

/** Another process, or another fiber, runs a batch with this output. */
export class Locked extends Data.TaggedError("Locked")<{ readonly path: string }> implements Retryable {
  readonly isRetryable = true
  readonly phase = "notSent"
  override get message(): string {
    return `another run is writing ${this.path}; wait for its end, or name another output`
  }
}

/** What was recorded before stays as it is, and the batch can be resumed. */
export class StorageFailed
  extends Data.TaggedError("StorageFailed")<{
    readonly path: string
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = true
  readonly phase = "answered"
  override get message(): string {
    return `cannot write ${this.path}: ${this.description}; what is recorded is kept, so resume when it can be written`
  }
}

/** Every way a batch itself fails. */
export type Reason =
  | InputUnreadable
  | InvalidItem
  | OutputExists
  | NoCheckpoint
  | CheckpointMismatch
  | Locked
  | StorageFailed

const brand: unique symbol = Symbol.for("holdfast/work/BatchError")

/** The batch's own error: match it, then look at `reason`. */
export class BatchError extends Data.TaggedError("BatchError")<{ readonly reason: Reason }> implements Retryable {
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is BatchError {
    return isBranded(u, brand)
  }
  constructor(args: { readonly reason: Reason }) {
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
    return `batch: ${this.reason.message}`
  }
}
