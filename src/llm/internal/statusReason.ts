/** What an error status means, whatever the provider: its own codes are read before by its wire format. */
import type { Hint } from "../../http/RetryAfter.ts"
import {
  ContentFiltered,
  ContextLengthExceeded,
  InvalidRequest,
  Overloaded,
  QuotaExhausted,
  RateLimited,
  type Reason,
  ServerError,
  Unauthorized
} from "../LlmError.ts"

/** What the provider's own words say beyond the status. */
export interface Said {
  readonly isQuota?: boolean | undefined
  readonly isLength?: boolean | undefined
  readonly isFiltered?: boolean | undefined
  readonly isOverloaded?: boolean | undefined
}

/** The reason of a status that is no success. `description` is one line without secrets. */
export const reasonOfStatus = (status: number, description: string, hint: Hint, said: Said): Reason => {
  const { retryAfter } = hint
  if (status < 400) {
    return new InvalidRequest({
      description: `the server answers with the redirect ${status}; correct the base URL`,
      status
    })
  }
  if (said.isQuota === true || status === 402) return new QuotaExhausted({ description, status })
  if (status === 401 || status === 403) return new Unauthorized({ description, status })
  if (status < 500 && said.isLength === true) return new ContextLengthExceeded({ description, status })
  if (status < 500 && said.isFiltered === true) return new ContentFiltered({ description, status })
  const retryable = hint.shouldRetry !== false
  if (status === 429) return new RateLimited({ description, status, retryAfter, retryable })
  if (!retryable) {
    return status >= 500
      ? new ServerError({ description, status, retryAfter, retryable })
      : new InvalidRequest({ description, status })
  }
  // A 503 alone may be a restart; that there is no capacity, the provider says in words.
  if (status === 529 || (status >= 520 && status <= 524) || said.isOverloaded === true) {
    return new Overloaded({ description, status, retryAfter })
  }
  if (status >= 500 || status === 408 || status === 409 || hint.shouldRetry === true) {
    return new ServerError({ description, status, retryAfter })
  }
  return new InvalidRequest({ description, status })
}
