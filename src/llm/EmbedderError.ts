/** EmbedderError: the reasons are those of `LlmError` that a call without a stream has. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { Attempt } from "../policy/Attempt.ts"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import { isPolicyError } from "../policy/PolicyError.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"
import type { Vector } from "./Embedder.ts"
import type { Reason } from "./LlmError.ts"
import type { Usage } from "./Usage.ts"

interface Fields {
  /** Which implementation failed, e.g. `"openai"`. */
  readonly provider: string
  readonly reason: Reason
  /** One entry for each send, of all requests. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The provider's name for the request that failed, for its support. */
  readonly requestId?: string | undefined
  /** How many inputs there were. */
  readonly inputs: number
  /** How many of them have their vectors. */
  readonly finished: number
  /** What the finished parts used. */
  readonly usage: Usage
  /** What that cost in US dollars, by `Price.Table`. Absent where the table does not have the model. */
  readonly cost?: number | undefined
}

interface Hidden {
  readonly vectors: ReadonlyArray<Vector | undefined>
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const brand: unique symbol = Symbol.for("holdfast/llm/EmbedderError")

/** The one error in the channel of `Embedder`: match it, then look at `reason`. */
export class EmbedderError extends Data.TaggedError("EmbedderError")<Fields> implements Retryable {
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is EmbedderError {
    return isBranded(u, brand)
  }
  /** What is finished, by the place of its input; embed the rest alone. Not enumerable: it stays out of logs. */
  declare readonly vectors: ReadonlyArray<Vector | undefined>
  /** Headers of the last answer, when it was a refusal, without secrets. Not enumerable, likewise. */
  declare readonly headers: Readonly<Record<string, string>> | undefined
  constructor(args: Fields & Hidden) {
    const { headers, vectors, ...rest } = args
    super(rest)
    Object.defineProperty(this, "headers", { value: headers, enumerable: false })
    Object.defineProperty(this, "vectors", { value: vectors, enumerable: false })
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
  get retryAfterMillis(): number | undefined {
    return this.retryAfter === undefined ? undefined : Duration.toMillis(this.retryAfter)
  }
  /** The same by its other name. */
  get retryAfterMs(): number | undefined {
    return this.retryAfterMillis
  }
  get phase(): Phase {
    return this.reason.phase
  }
  get [brand](): true {
    return true
  }
  /** The HTTP status of the last answer, when there was one. */
  get status(): number | undefined {
    return "status" in this.reason ? this.reason.status : undefined
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const { attempts, finished, inputs, provider, reason } = this
    const done = finished > 0 ? ` (${finished} of ${inputs} inputs are finished, in \`vectors\`)` : ""
    const where = isPolicyError(reason) ? "" : `${attempts[0]?.endpoint ?? provider}: `
    return `embedder ${where}${reason.message}${done}`
  }
}
