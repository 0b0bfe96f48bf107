/**
 * Why a call to a service over HTTP failed, whatever it serves: each reason says itself whether trying again can help.
 * `LlmError`, `SandboxError` and `VectorError` carry these beside their own.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type { Phase, Retryable } from "../policy/Retryable.ts"

/** The provider asked us to slow down (429). */
export class RateLimited
  extends Data.TaggedError("RateLimited")<{
    readonly description: string
    readonly status?: number | undefined
    /** The wait that the provider asked for. Absent when it did not say. */
    readonly retryAfter?: Duration.Duration | undefined
    /** The wait was longer than the `total` deadline leaves. */
    readonly wouldExceedDeadline?: boolean | undefined
    /** The provider's own word (`x-should-retry: false`). Default: `true`. */
    readonly retryable?: boolean | undefined
  }>
  implements Retryable
{
  get isRetryable(): boolean {
    return this.retryable !== false
  }
  readonly isThrottle = true
  readonly phase = "rejected"
  override get message(): string {
    const { description, retryAfter, wouldExceedDeadline } = this
    const wait = retryAfter === undefined ? "" : `, asked to wait ${Duration.toSeconds(retryAfter)} s`
    const beyond = wouldExceedDeadline === true ? ", longer than the deadline leaves" : ""
    return `too many requests (${description})${wait}${beyond}; send less at once, or later`
  }
}

/** The provider has no capacity at the moment (529, 520 to 524, a 503 that says so). */
export class Overloaded
  extends Data.TaggedError("Overloaded")<{
    readonly description: string
    readonly status?: number | undefined
    readonly retryAfter?: Duration.Duration | undefined
  }>
  implements Retryable
{
  readonly isRetryable = true
  readonly isThrottle = true
  readonly phase = "rejected"
  override get message(): string {
    return `the provider is overloaded (${this.description}); try later or another model`
  }
}

/** The account has no money or no quota left: waiting does not help. */
export class QuotaExhausted
  extends Data.TaggedError("QuotaExhausted")<{
    readonly description: string
    readonly status?: number | undefined
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "rejected"
  /** Another account may have some. */
  readonly fallback = "next"
  override get message(): string {
    return `the account's quota is used up (${this.description}); check its plan and billing`
  }
}

/** The key is missing, wrong, or may not do this (401, 403). */
export class Unauthorized
  extends Data.TaggedError("Unauthorized")<{
    readonly description: string
    readonly status?: number | undefined
  }>
  implements Retryable
{
  readonly isRetryable = false
  get phase(): Phase {
    return this.status === undefined ? "notSent" : "rejected"
  }
  override get message(): string {
    return `not authorized (${this.description}); check the API key`
  }
}

/** The request is wrong, and stays wrong: another 4xx, or refused before it was sent. */
export class InvalidRequest
  extends Data.TaggedError("InvalidRequest")<{
    readonly description: string
    readonly status?: number | undefined
  }>
  implements Retryable
{
  readonly isRetryable = false
  get phase(): Phase {
    return this.status === undefined ? "notSent" : "rejected"
  }
  override get message(): string {
    return `the request is not valid (${this.description}); correct it, sending it again does not help`
  }
}

/** The provider failed (5xx, 408, 409): nobody knows whether the work was done, but a 503 and a 4xx are refusals. */
export class ServerError
  extends Data.TaggedError("ServerError")<{
    readonly description: string
    readonly status: number
    readonly retryAfter?: Duration.Duration | undefined
    /** The provider's own word (`x-should-retry: false`). Default: `true`. */
    readonly retryable?: boolean | undefined
  }>
  implements Retryable
{
  get isRetryable(): boolean {
    return this.retryable !== false
  }
  get phase(): Phase {
    return this.status === 503 || this.status < 500 ? "rejected" : "maybeSent"
  }
  /** What one provider does not want to see again, another may serve. */
  readonly fallback = "next"
  override get message(): string {
    const said = this.description === `status ${this.status}` ? "" : ` (${this.description})`
    return `the provider failed with status ${this.status}${said}; try later`
  }
}

/** There is no connection; no byte of the request left. */
export class Unreachable
  extends Data.TaggedError("Unreachable")<{
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = true
  readonly phase = "notSent"
  override get message(): string {
    return `cannot be reached (${this.description}); check the base URL and the network`
  }
}

/** The connection broke after bytes had left and before content arrived. */
export class ConnectionLost
  extends Data.TaggedError("ConnectionLost")<{
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = true
  readonly phase = "maybeSent"
  override get message(): string {
    return `the connection was lost before an answer (${this.description}); try later, the work may have been done`
  }
}

/** The answer is not what the protocol says. */
export class InvalidResponse
  extends Data.TaggedError("InvalidResponse")<{
    readonly description: string
    readonly status?: number | undefined
    /** Whether content had been delivered before; then it is not retried. Default: `false`. */
    readonly delivered?: boolean | undefined
  }>
  implements Retryable
{
  /** The first 1 kB of what came, known secrets removed. Not enumerable: it stays out of logs that print errors. */
  declare readonly excerpt: string
  constructor(args: {
    readonly description: string
    readonly status?: number | undefined
    readonly delivered?: boolean | undefined
    readonly excerpt?: string
  }) {
    const { excerpt, ...rest } = args
    super(rest)
    Object.defineProperty(this, "excerpt", { value: (excerpt ?? "").slice(0, 1024), enumerable: false })
  }
  get isRetryable(): boolean {
    return this.delivered !== true
  }
  readonly phase = "answered"
  override get message(): string {
    const what = `not a valid answer (${this.description})`
    return this.excerpt === ""
      ? `${what}; try later, or ask in another way`
      : `${what}; check the base URL: \`excerpt\` has the beginning of what came`
  }
}

/** The answer is larger than the body limit. */
export class BodyTooLarge
  extends Data.TaggedError("BodyTooLarge")<{
    readonly limitBytes: number
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the answer is over the limit of ${this.limitBytes} bytes; ask for less, or raise Effect's MaxBodySize`
  }
}

/** Every way a call to a service over HTTP fails, beside the refusals of `PolicyError`. */
export type Reason =
  | RateLimited
  | Overloaded
  | QuotaExhausted
  | Unauthorized
  | InvalidRequest
  | ServerError
  | Unreachable
  | ConnectionLost
  | InvalidResponse
  | BodyTooLarge
