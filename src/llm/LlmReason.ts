/** The reasons of an `LlmError` that only models have, beside those of every service. `LlmError.ts` has the tree. */
import * as Data from "effect/Data"
import * as ServiceReason from "../http/ServiceReason.ts"
import type { Retryable } from "../policy/Retryable.ts"
import type { Usage } from "./Usage.ts"

export {
  BodyTooLarge,
  ConnectionLost,
  InvalidRequest,
  Overloaded,
  QuotaExhausted,
  RateLimited,
  ServerError,
  Unauthorized,
  Unreachable
} from "../http/ServiceReason.ts"

/** The messages are longer than the model can read. */
export class ContextLengthExceeded
  extends Data.TaggedError("ContextLengthExceeded")<{
    readonly description: string
    readonly status?: number | undefined
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "rejected"
  /** Another model may read more. */
  readonly fallback = "longer"
  override get message(): string {
    return `the messages are too long for the model (${this.description}); shorten them or ask a model that reads more`
  }
}

/** The provider refused the content. */
export class ContentFiltered
  extends Data.TaggedError("ContentFiltered")<{
    readonly description: string
    readonly status?: number | undefined
    /** What the provider counted for it all the same. */
    readonly usage?: Usage | undefined
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "rejected"
  override get message(): string {
    return `the provider refused the content (${this.description}); change the messages`
  }
}

/** The answer is not what the protocol says. */
export class InvalidResponse extends ServiceReason.InvalidResponse {
  /** What the provider counted for it all the same. */
  declare readonly usage?: Usage | undefined
  constructor({
    usage,
    ...rest
  }: ConstructorParameters<typeof ServiceReason.InvalidResponse>[0] & { readonly usage?: Usage | undefined }) {
    super(rest)
    if (usage !== undefined) this.usage = usage
  }
}
