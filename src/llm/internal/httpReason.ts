/** What an `HttpClient` fails with, as a reason of an `LlmError`. */
import type { HttpClientError } from "effect/http/HttpClientError"
import { BodyTooLarge as BodyOverLimit, ConnectionFailure, connectionFailure } from "../../http/ConnectionFailure.ts"
import { isPolicyError } from "../../policy/PolicyError.ts"
import { BodyTooLarge, ConnectionLost, InvalidRequest, InvalidResponse, type Reason, Unreachable } from "../LlmError.ts"
import { isHidden } from "../../http/internal/hidden.ts"
import { oneLine } from "./oneLine.ts"

export const reasonOfHttpError = (error: HttpClientError): Reason => {
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
