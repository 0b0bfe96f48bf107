/** What an `HttpClient` fails with, as a reason of an `LlmError`. */
import type { HttpClientError } from "effect/http/HttpClientError"
import { BodyTooLarge as BodyOverLimit, ConnectionFailure, connectionFailure } from "../../http/ConnectionFailure.ts"
import { isPolicyError } from "../../policy/PolicyError.ts"
import { BodyTooLarge, ConnectionLost, InvalidRequest, InvalidResponse, type Reason, Unreachable } from "../LlmError.ts"

export const reasonOfHttpError = (error: HttpClientError): Reason => {
  const { reason } = error
  const { cause, description = "" } = reason
  if (isPolicyError(cause)) return cause
  if (cause instanceof BodyOverLimit) return new BodyTooLarge({ limitBytes: cause.limitBytes })
  switch (reason._tag) {
    case "TransportError":
      return lost(connectionFailure(cause))
    case "DecodeError":
      // A body that broke off, or bytes that are not what they say.
      return cause instanceof ConnectionFailure || cause instanceof Error
        ? lost(connectionFailure(cause, true))
        : new InvalidResponse({ description })
    case "InvalidUrlError":
      return new InvalidRequest({ description: `the base URL is not valid: ${error.message}` })
    case "EncodeError":
      return new InvalidRequest({ description: `the request cannot be sent: ${description}` })
    case "StatusCodeError":
    case "EmptyBodyError":
      return new InvalidResponse({ description: error.message, status: reason.response.status })
  }
}

const lost = (failure: ConnectionFailure): Reason =>
  failure.phase === "notSent"
    ? new Unreachable({ description: failure.message, cause: failure.cause })
    : new ConnectionLost({ description: failure.message, cause: failure.cause })
