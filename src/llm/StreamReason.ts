/** The reasons of an `LlmError` that only a stream has. */
import * as Data from "effect/Data"
import type { Retryable } from "../policy/Retryable.ts"
import type { Usage } from "./Usage.ts"

/** The provider took the request and sent no content in time; comments and pings are no content. */
export class FirstContentTimeout
  extends Data.TaggedError("FirstContentTimeout")<{
    readonly timeoutMillis: number
  }>
  implements Retryable
{
  readonly isRetryable = true
  readonly isTimeout = true
  readonly phase = "maybeSent"
  override get message(): string {
    return `no content within the firstContent timeout of ${this.timeoutMillis} ms; raise \`firstContent\` or ask for less`
  }
}

/** Content stopped coming while the caller waited for it; comments and pings are no content. */
export class StreamStalled
  extends Data.TaggedError("StreamStalled")<{
    readonly timeoutMillis: number
    /** The text that had arrived. */
    readonly partial: string
    readonly usage?: Usage | undefined
    /** Why it could not be taken up again, where that was tried. */
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the stream stalled: no content for ${this.timeoutMillis} ms, after ${this.partial.length} characters; \`partial\` has them`
  }
}

/** The connection broke after content had been delivered. */
export class StreamCut
  extends Data.TaggedError("StreamCut")<{
    readonly description: string
    /** The text that had arrived. */
    readonly partial: string
    readonly usage?: Usage | undefined
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the stream was cut after ${this.partial.length} characters (${this.description}); \`partial\` has them`
  }
}

/** The stream ended in good order but without a finish marker: the answer is not complete. */
export class StreamTruncated
  extends Data.TaggedError("StreamTruncated")<{
    /** The text that had arrived. */
    readonly partial: string
    readonly usage?: Usage | undefined
    /** Why it could not be taken up again, where that was tried. */
    readonly cause?: unknown
    /** Whether any content had been delivered, reasoning included. Default: `false`. */
    readonly delivered?: boolean | undefined
  }>
  implements Retryable
{
  /** Nothing was delivered, so nobody is told anything twice. */
  get isRetryable(): boolean {
    return this.delivered !== true
  }
  readonly phase = "answered"
  override get message(): string {
    return `the stream ended without a finish marker after ${this.partial.length} characters; \`partial\` has them`
  }
}
