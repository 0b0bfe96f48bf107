/** Our errors as those of effect/ai: what they say of trying again and of waiting is kept, and ours is their cause. */
import * as AiError from "effect/ai/AiError"
import type { EmbedderError } from "../EmbedderError.ts"
import type { LlmError } from "../LlmError.ts"
import { key, toJsonObject } from "./languageModelMark.ts"

export type Failure = LlmError | EmbedderError

/** An error of effect/ai, for the method that was called. */
export const toAiError = (method: string, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "LlmLanguageModel", method, reason })

/** Our error as one of effect/ai. */
export const fromFailure =
  (method: string) =>
  (failure: Failure): AiError.AiError => {
    const reason = reasonOf(failure)
    const { retryAfter } = failure
    Object.defineProperty(reason, "cause", { value: failure, configurable: true })
    // Only `RateLimitError` has a place for the wait; `AiError.retryAfter` reads it from any reason that has one.
    if (retryAfter !== undefined && !("retryAfter" in reason)) {
      Object.defineProperty(reason, "retryAfter", { value: retryAfter, configurable: true })
    }
    return toAiError(method, reason)
  }

/** What its JSON says, where the error goes over a wire and its cause does not. */
const metadataOf = ({ attempts, code, cost, phase, provider, requestId, status, usage }: Failure) => ({
  [key]: toJsonObject({ provider, code, phase, status, requestId, attempts, usage, cost })
})

const reasonOf = (failure: Failure): AiError.AiErrorReason => {
  const { reason } = failure
  const { message: description, status } = failure
  const http = status === undefined ? undefined : { response: { status, headers: {} } }
  const told = { description, http, metadata: metadataOf(failure) }
  switch (reason._tag) {
    case "RateLimited":
      // Not to be tried again, says the provider: what is left of the quota is nothing.
      return reason.isRetryable
        ? new AiError.RateLimitError({ ...told, retryAfter: reason.retryAfter })
        : new AiError.QuotaExhaustedError(told)
    case "QuotaExhausted":
      return new AiError.QuotaExhaustedError(told)
    case "Unauthorized":
      return new AiError.AuthenticationError({ ...told, kind: kindOf(status) })
    case "ContentFiltered":
      return new AiError.ContentPolicyError(told)
    case "InvalidRequest":
      return new AiError.InvalidRequestError(told)
    case "ContextLengthExceeded":
      return new AiError.InvalidRequestError({ ...told, parameter: "prompt", constraint: "is too long for the model" })
    case "Overloaded":
    case "ServerError":
      return reason.isRetryable ? new AiError.InternalProviderError(told) : new AiError.UnknownError(told)
    case "Unreachable":
    case "ConnectionLost":
    case "AttemptTimeout":
    case "FirstContentTimeout":
      return networkError(failure)
    case "InvalidResponse":
    case "StreamTruncated":
      // Once something was delivered, the reader has a part of an answer and trying again is not the same.
      return reason.isRetryable ? new AiError.InvalidOutputError(told) : new AiError.InvalidResponseError(told)
    case "StreamStalled":
    case "StreamCut":
    case "BodyTooLarge":
    case "ObjectMismatch":
      return new AiError.InvalidResponseError(told)
    // What this program itself refused: effect/ai has no words for it.
    case "RoundsExceeded":
    case "DeadlineExceeded":
    case "Shed":
    case "Draining":
    case "CircuitOpen":
    case "BudgetExceeded":
      return new AiError.UnknownError(told)
  }
}

const kindOf = (status: number | undefined): AiError.AuthenticationError["kind"] =>
  status === 401 ? "InvalidKey" : status === 403 ? "InsufficientPermissions" : "Unknown"

const networkError = (failure: Failure): AiError.NetworkError =>
  new AiError.NetworkError({
    reason: "TransportError",
    method: "POST",
    url: failure.attempts.at(-1)?.endpoint ?? failure.provider,
    description: failure.message,
    cause: failure
  })
