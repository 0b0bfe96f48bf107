/** What a service answers with a status of failure, and what an `HttpClient` fails with, as a `ServiceReason`. */
import type { HttpClientError } from "effect/http/HttpClientError"
import { isPolicyError, type PolicyError } from "../../policy/PolicyError.ts"
import { BodyTooLarge as BodyOverLimit, ConnectionFailure, connectionFailure } from "../ConnectionFailure.ts"
import type { Hint } from "../RetryAfter.ts"
import {
  BodyTooLarge,
  ConnectionLost,
  InvalidRequest,
  InvalidResponse,
  Overloaded,
  QuotaExhausted,
  RateLimited,
  type Reason,
  ServerError,
  Unauthorized,
  Unreachable
} from "../ServiceReason.ts"
import { isHidden } from "./hidden.ts"
import { oneLine } from "./oneLine.ts"

/** What the service's own words say beyond the status. */
export interface Said {
  readonly isQuota?: boolean | undefined
  readonly isOverloaded?: boolean | undefined
}

export const reasonOfHttpError = (error: HttpClientError): Reason | PolicyError => {
  const { reason } = error
  const { cause } = reason
  // Never the error's own message: it has the URL, and a URL may have a key in it.
  const description = oneLine(reason.description ?? "")
  if (isPolicyError(cause)) return cause
  if (cause instanceof BodyOverLimit) return new BodyTooLarge({ limitBytes: cause.limitBytes })
  // Where the status is seen, it is an invalid request too.
  if (isHidden(error)) return new InvalidRequest({ description })
  switch (reason._tag) {
    case "TransportError":
      return lost(connectionFailure(cause))
    case "DecodeError":
      // A body that broke off, or bytes that are not what they say.
      return cause instanceof ConnectionFailure || cause instanceof Error
        ? lost(connectionFailure(cause, true))
        : new InvalidResponse({ description })
    case "InvalidUrlError":
      return new InvalidRequest({ description: description === "" ? "the base URL is no URL" : description })
    case "EncodeError":
      return new InvalidRequest({ description: `the request cannot be sent: ${description}` })
    case "StatusCodeError":
    case "EmptyBodyError":
      return new InvalidResponse({ description, status: reason.response.status })
  }
}

const lost = (failure: ConnectionFailure): Reason =>
  failure.phase === "notSent"
    ? new Unreachable({ description: oneLine(failure.message), cause: failure.cause })
    : new ConnectionLost({ description: oneLine(failure.message), cause: failure.cause })

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
