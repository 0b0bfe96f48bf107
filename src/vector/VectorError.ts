/**
 * VectorError, by reason:
 *   DimensionMismatch    a vector has another length than those of the collection   not retryable
 *   InvalidVector        no numbers, or none that can be compared                   not retryable
 *   InvalidItem          an id, a text or metadata that cannot be stored            not retryable
 *   InvalidFilter        a filter that means nothing here                           not retryable
 *   CollectionNotFound   there is no such collection, and it was not to be made     not retryable
 *   CollectionMismatch   there is one, and it is another kind                       not retryable
 *   StorageFailed        the database file: full, locked, broken, read only         retryable while it is locked
 *   the reasons of every service over HTTP (`ServiceReason`), which PostgreSQL's errors are told in, too
 *   and the refusals of PolicyError
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { Reason as ServiceReason } from "../http/ServiceReason.ts"
import type { Attempt } from "../policy/Attempt.ts"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import { isPolicyError, type PolicyError } from "../policy/PolicyError.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"

/** A vector has another length than the vectors of the collection. */
export class DimensionMismatch
  extends Data.TaggedError("DimensionMismatch")<{
    /** Which vector, e.g. `items[3].vector`. */
    readonly where: string
    /** The length of the collection's vectors. */
    readonly expected: number
    readonly actual: number
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    const { actual, expected, where } = this
    return `${where} has ${actual} numbers, and the collection's vectors have ${expected}; embed with the model that the collection was made with`
  }
}

/** A vector that cannot be compared with others: no numbers, something else than a number, or no direction. */
export class InvalidVector
  extends Data.TaggedError("InvalidVector")<{
    readonly where: string
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `${this.where} ${this.description}`
  }
}

/** An item that cannot be stored. Nothing of its call was. */
export class InvalidItem
  extends Data.TaggedError("InvalidItem")<{
    readonly where: string
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `${this.where} ${this.description}`
  }
}

/** A filter that means nothing: an unknown operator, a value of the wrong kind, a field that the store does not have. */
export class InvalidFilter
  extends Data.TaggedError("InvalidFilter")<{
    /** Which part of it, e.g. `filter.and[1]`. */
    readonly where: string
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `${this.where} ${this.description}`
  }
}

/** There is no such collection. */
export class CollectionNotFound
  extends Data.TaggedError("CollectionNotFound")<{
    readonly collection: string
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "rejected"
  override get message(): string {
    return `there is no collection ${JSON.stringify(this.collection)} (${this.description}); correct its name, or leave out \`create: false\` to have it made`
  }
}

/** There is a collection of this name that is not what the options say. */
export class CollectionMismatch
  extends Data.TaggedError("CollectionMismatch")<{
    readonly collection: string
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "rejected"
  override get message(): string {
    return `the collection ${JSON.stringify(this.collection)} ${this.description}; correct the options, or take another collection`
  }
}

/** The database file cannot be read or written. */
export class StorageFailed
  extends Data.TaggedError("StorageFailed")<{
    /** `"busy"`: another connection writes at the moment. */
    readonly why: "full" | "busy" | "readOnly" | "notOpened" | "corrupt" | "other"
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  get isRetryable(): boolean {
    return this.why === "busy"
  }
  /** A transaction that failed has changed nothing. */
  readonly phase = "rejected"
  override get message(): string {
    return this.description
  }
}

/** Every way a vector store fails. */
export type Reason =
  | DimensionMismatch
  | InvalidVector
  | InvalidItem
  | InvalidFilter
  | CollectionNotFound
  | CollectionMismatch
  | StorageFailed
  | ServiceReason
  | PolicyError

interface Fields {
  /** Which implementation failed, e.g. `"qdrant"`. */
  readonly provider: string
  readonly reason: Reason
  /** One entry for each send, of all requests of the call. */
  readonly attempts: ReadonlyArray<Attempt>
  /** How many items the call was to store. Default: `0`, it was another call. */
  readonly items?: number | undefined
  /** How many of them are certainly stored. Default: `0`. */
  readonly finished?: number | undefined
}

interface Hidden {
  readonly unfinished?: ReadonlyArray<string> | undefined
}

const brand: unique symbol = Symbol.for("holdfast/vector/VectorError")

/** The one error in the channel of `VectorStore`: match it, then look at `reason`. */
export class VectorError extends Data.TaggedError("VectorError")<Fields> implements Retryable {
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is VectorError {
    return isBranded(u, brand)
  }
  /** The ids that are not known to be stored: upsert them again. Not enumerable: it stays out of logs. */
  declare readonly unfinished: ReadonlyArray<string>
  constructor(args: Fields & Hidden) {
    const { unfinished, ...rest } = args
    super(rest)
    Object.defineProperty(this, "unfinished", { value: unfinished ?? [], enumerable: false })
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
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }
  /** `retryAfter` in milliseconds, for code without Effect. */
  get retryAfterMs(): number | undefined {
    return this.retryAfter === undefined ? undefined : Duration.toMillis(this.retryAfter)
  }
  get phase(): Phase {
    return this.reason.phase
  }
  /** The HTTP status of the last answer, when there was one. */
  get status(): number | undefined {
    return "status" in this.reason ? this.reason.status : undefined
  }
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const { attempts, finished = 0, items = 0, provider, reason } = this
    const done = finished > 0 ? ` (${finished} of ${items} items are stored; upsert the \`unfinished\` again)` : ""
    const where = isPolicyError(reason) ? "" : `${attempts[0]?.endpoint ?? provider}: `
    return `vector store ${where}${reason.message}${done}`
  }
}
