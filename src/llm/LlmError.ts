/**
 * LlmError, by reason:
 *   RateLimited           429; carries `retryAfter`                          retryable, rejected
 *   Overloaded            529, 520-524, a 503 that says so, no capacity      retryable, rejected
 *   QuotaExhausted        out of money or of a spend limit                   not retryable, rejected
 *   Unauthorized          401, 403                                           not retryable, rejected
 *   InvalidRequest        other 4xx, and a request refused before sending    not retryable
 *   ContextLengthExceeded the messages are too long for the model            not retryable, rejected
 *   ContentFiltered       the provider refused the content                   not retryable
 *   ServerError           500, 502, 504: maybeSent; 503, 408, 409: rejected  retryable
 *   Unreachable           no connection: refused, DNS, connect timeout       retryable, notSent
 *   ConnectionLost        reset or closed after bytes left                   retryable, maybeSent
 *   InvalidResponse       not what the protocol says                         retryable while nothing was delivered
 *   FirstContentTimeout   no content in time                                 retryable, maybeSent
 *   StreamStalled         content stopped coming                             not retryable, answered
 *   StreamCut             the connection broke between contents              not retryable, answered
 *   StreamTruncated       a clean end without a finish marker                retryable while nothing was delivered
 *   BodyTooLarge          the answer is over the body limit                  not retryable, answered
 *   ObjectMismatch        no answer fits the schema                          not retryable, answered
 *   RoundsExceeded        the model asks for tools without end               not retryable, answered
 *   and the refusals of PolicyError: DeadlineExceeded, AttemptTimeout, Shed, Draining, CircuitOpen, BudgetExceeded
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { Attempt } from "../policy/Attempt.ts"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import { isPolicyError, type PolicyError } from "../policy/PolicyError.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"
import type { ObjectMismatch, RoundsExceeded } from "./AnswerReason.ts"
import type {
  BodyTooLarge,
  ConnectionLost,
  ContentFiltered,
  ContextLengthExceeded,
  InvalidRequest,
  InvalidResponse,
  Overloaded,
  QuotaExhausted,
  RateLimited,
  ServerError,
  Unauthorized,
  Unreachable
} from "./LlmReason.ts"
import type { FirstContentTimeout, StreamCut, StreamStalled, StreamTruncated } from "./StreamReason.ts"
import type { Usage } from "./Usage.ts"

export * from "./AnswerReason.ts"
export * from "./LlmReason.ts"
export * from "./StreamReason.ts"

/** Every way a model call fails. */
export type Reason =
  | RateLimited
  | Overloaded
  | QuotaExhausted
  | Unauthorized
  | InvalidRequest
  | ContextLengthExceeded
  | ContentFiltered
  | ServerError
  | Unreachable
  | ConnectionLost
  | InvalidResponse
  | FirstContentTimeout
  | StreamStalled
  | StreamCut
  | StreamTruncated
  | BodyTooLarge
  | ObjectMismatch
  | RoundsExceeded
  | PolicyError

interface Fields {
  /** Which implementation failed, e.g. `"openai"`. */
  readonly provider: string
  readonly reason: Reason
  /** One entry for each send. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The provider's name for the last request, for its support. */
  readonly requestId?: string | undefined
  /** What was used all the same: by a stream that broke, or by answers that did not fit. Absent: nothing, or not known. */
  readonly usage?: Usage | undefined
  /** What that cost in US dollars, by `Price.Table`. Absent where the table does not have the model. */
  readonly cost?: number | undefined
  /** Content had been delivered before: whoever tries again may tell somebody twice. Default: `false`. */
  readonly delivered?: boolean | undefined
}

const brand: unique symbol = Symbol.for("holdfast/llm/LlmError")

/** The one error in the channel of `Llm`: match it, then look at `reason`. */
export class LlmError extends Data.TaggedError("LlmError")<Fields> implements Retryable {
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is LlmError {
    return isBranded(u, brand)
  }
  /** Headers of the last answer, when it was a refusal, without secrets. Not enumerable: they stay out of logs. */
  declare readonly headers: Readonly<Record<string, string>> | undefined
  constructor({ headers, ...rest }: Fields & { readonly headers?: Readonly<Record<string, string>> | undefined }) {
    super(rest)
    Object.defineProperty(this, "headers", { value: headers, enumerable: false })
    if (this.reason.cause !== undefined)
      Object.defineProperty(this, "cause", { value: this.reason.cause, configurable: true })
  }
  /** The reason's tag, for code that switches on strings. */
  get code(): Reason["_tag"] {
    return this.reason._tag
  }
  get isRetryable(): boolean {
    return this.delivered !== true && this.reason.isRetryable
  }
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }
  /** `retryAfter` in milliseconds, for code without Effect. */
  get retryAfterMillis(): number | undefined {
    return this.retryAfter === undefined ? undefined : Duration.toMillis(this.retryAfter)
  }
  get phase(): Phase {
    return this.delivered === true ? "answered" : this.reason.phase
  }
  /** The same by its other name. */
  get retryAfterMs(): number | undefined {
    return this.retryAfterMillis
  }
  /** The HTTP status of the last answer, when there was one. */
  get status(): number | undefined {
    return "status" in this.reason ? this.reason.status : undefined
  }
  /** The text that a stream had said before it broke. */
  get partial(): string | undefined {
    return "partial" in this.reason ? this.reason.partial : undefined
  }
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const after = this.attempts.length > 1 ? ` (after ${this.attempts.length} attempts)` : ""
    // A policy's refusal names the endpoint itself.
    const where = isPolicyError(this.reason) ? "" : `${this.attempts[0]?.endpoint ?? this.provider}: `
    return `llm ${where}${this.reason.message}${after}`
  }
}
