/** What a call of ours failed with, as the `openai` package would tell it. */
import { RawFailure, type Refusal } from "../../llm/internal/rawFailure.ts"
import type { Reason } from "../../llm/LlmError.ts"
import { isPolicyError } from "../../policy/PolicyError.ts"
import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
  causedBy,
  OpenAIError
} from "./openAiErrors.ts"

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isObject = (u: unknown): u is object => typeof u === "object" && u !== null

/** The error inside a body, or the body where it is one itself. */
const errorIn = (body: unknown): object | undefined => {
  if (!isObject(body)) return undefined
  return "error" in body && isObject(body.error) ? body.error : body
}

const ofRefusal = ({ body, headers, status }: Refusal): APIError => {
  const json = parsed(body)
  const told = errorIn(json)
  if (status === undefined)
    return new APIError(undefined, told, told === undefined ? body : undefined, new Headers(headers))
  return APIError.generate(status, { error: told }, json === undefined ? body : undefined, new Headers(headers))
}

const isTimeout = (reason: Reason): boolean =>
  reason._tag === "AttemptTimeout" ||
  reason._tag === "FirstContentTimeout" ||
  reason._tag === "DeadlineExceeded" ||
  reason._tag === "StreamStalled"

/** Instead of the reason of a key that a function of the caller's could not give. */
const ofKeys = new WeakMap<object, OpenAIError>()

/** Remembers what a reason comes from, for the caller to be told of it. */
export const keyFailed = <R extends Reason>(reason: R, error: OpenAIError): R => {
  ofKeys.set(reason, error)
  return reason
}

const ofFailure = ({ error, refusal }: RawFailure): OpenAIError => {
  const own = ofKeys.get(error.reason)
  if (own !== undefined) return own
  if (refusal !== undefined) return causedBy(ofRefusal(refusal), error)
  const { message, reason } = error
  if (isTimeout(reason))
    return new APIConnectionTimeoutError({ message: `Request timed out: ${message}`, cause: error })
  // Told by whoever gives the tokens: the server itself was not asked.
  if (reason._tag === "Unauthorized" && reason.status !== undefined)
    return causedBy(APIError.generate(reason.status, undefined, message, new Headers()), error)
  if (reason._tag === "InvalidRequest") return causedBy(new OpenAIError(message), error)
  if (reason._tag === "InvalidResponse" || reason._tag === "BodyTooLarge" || reason._tag === "Overloaded") {
    return causedBy(new APIError(undefined, undefined, message, undefined), error)
  }
  return new APIConnectionError({ message: `Connection error: ${message}`, cause: error })
}

/** The error of the package for whatever a call rejected with. */
export const toOpenAiError = (error: unknown, signal: AbortSignal | undefined): unknown => {
  if (signal?.aborted === true && error === signal.reason) return new APIUserAbortError({ cause: error })
  if (error instanceof RawFailure) return ofFailure(error)
  // The client is closing.
  if (isPolicyError(error))
    return new APIConnectionError({ message: `Connection error: ${error.message}`, cause: error })
  return error
}
