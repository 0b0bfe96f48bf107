/** What a service over HTTP said with a status of failure. */
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as ByteSize from "effect/ByteSize"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type { Retryable } from "../../policy/Retryable.ts"
import * as Timer from "../../policy/Timer.ts"
import * as RetryAfter from "../RetryAfter.ts"
import { type Reason, ServerError } from "../ServiceReason.ts"
import type { Ask } from "./ask.ts"
import { oneLine } from "./oneLine.ts"
import { reasonOfStatus } from "./serviceReason.ts"

/** A reason of a service's own, beside those of `ServiceReason`. */
export interface OwnReason extends Retryable {
  readonly _tag: string
}

/** An answer with a status of failure. */
export interface Refusal {
  readonly ask: Ask
  readonly status: number
  readonly headers: HttpClientResponse["headers"]
  /** The body, without the secrets that were sent. */
  readonly text: string
  /** The body's value, where it is JSON. */
  readonly json: unknown
  /** The service's own words in one line, or `status 500`. */
  readonly description: string
  readonly hint: RetryAfter.Hint
}

/** Reads a refusal; `undefined` leaves it to its status. */
export type ReasonOf<R> = (refusal: Refusal) => Reason | R | undefined

/** JSON, or `undefined`. */
export const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** Where services have their words: `{error}`, `{error: {message}}`, `{message}`, `{detail}`, `{status: {error}}`. */
const wordsIn = (json: unknown, text: string): string => {
  const error = field(json, "error")
  const candidates = [
    field(error, "message"),
    field(json, "message"),
    field(field(json, "status"), "error"), // Qdrant
    field(json, "detail"), // FastAPI
    error,
    json
  ]
  const said = candidates.find((one): one is string => typeof one === "string" && one !== "")
  // A page of HTML is a proxy's, and says nothing that its status does not.
  return said ?? (text.trimStart().startsWith("<") ? "" : text)
}

/** An answer as a refusal. `text` is without secrets. */
export const refusalOf = (
  { headers, status }: Pick<HttpClientResponse, "headers" | "status">,
  ask: Ask,
  text: string,
  nowMillis: number
): Refusal => {
  const json = parsed(text)
  const description = oneLine(wordsIn(json, text)) || `status ${status}`
  const hint = RetryAfter.readAt({ status, headers, body: json }, nowMillis)
  return { ask, status, headers, text, json, description, hint }
}

/** What a proxy says of a server that took the request and gave no answer: it may be at work still (Cloudflare's own). */
const isUnanswered = (status: number): boolean => status === 520 || status === 524

export const reasonOfRefusal = ({ description, hint, status }: Refusal): Reason => {
  if (isUnanswered(status)) {
    const { retryAfter, shouldRetry } = hint
    return new ServerError({ description, status, retryAfter, retryable: shouldRetry !== false })
  }
  return reasonOfStatus(status, description, hint, {
    isOverloaded: status === 503 && /overloaded|too busy|no capacity/i.test(description)
  })
}

/** An error's words are worth a second and 64 kB; its status and headers are enough without them. */
const maxErrorMillis = 1_000
const maxErrorBytes = ByteSize.kibibytes(64)

export const errorBody = (response: HttpClientResponse): Effect.Effect<string> => {
  const limited = Effect.provideService(response.text, HttpIncomingMessage.MaxBodySize, maxErrorBytes)
  return Effect.catch(
    Timer.within(limited, maxErrorMillis, () => "late"),
    () => Effect.succeed("")
  )
}
