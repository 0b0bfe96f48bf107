/** Redirects that a runtime keeps to itself: a browser does not tell a program where one leads. */
import type { HttpClientError } from "effect/http/HttpClientError"
import type { Retryable } from "../../policy/Retryable.ts"

/** The answer is one of those. No `Error`: nothing broke. */
export class HiddenRedirect implements Retryable {
  readonly _tag = "HiddenRedirect"
  readonly isRetryable = false
  readonly phase = "answered"
  readonly message = "the server redirects, and this runtime hides where to; give the URL that it leads to"
}

/** Whether a request ended so. */
export const isHidden = ({ reason }: HttpClientError): boolean => reason.cause instanceof HiddenRedirect
