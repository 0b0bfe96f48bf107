/**
 * The wait that a server asks for, in every form that providers use, as a Duration.
 *
 * In this order: `retry-after-ms`, `retry-after` (seconds or an HTTP date, RFC 9110 §10.2.3), google.rpc.RetryInfo in
 * the body, and on a 429 the reset of a limit of which nothing remains. `x-should-retry` is read beside them.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import { fromGoDuration, fromReset, positive } from "./internal/reset.ts"

/** What a response says about trying again. */
export interface Hint {
  /** The wait that the server asks for; never negative. */
  readonly retryAfter?: Duration.Duration | undefined
  /** The server's own decision (`x-should-retry`). */
  readonly shouldRetry?: boolean | undefined
}

/** The parts of a response that are read. */
export interface Source {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The decoded body, where it is at hand; read for RetryInfo. */
  readonly body?: unknown
}

/** Reads a response by the current time. */
export const read = (source: Source): Effect.Effect<Hint> =>
  Effect.map(Clock.currentTimeMillis, (now) => readAt(source, now))

/** Reads a response by a time in milliseconds since the epoch. */
export const readAt = (source: Source, nowMillis: number): Hint => {
  const { headers } = source
  const should = headers["x-should-retry"]
  const millis =
    positive(headers["retry-after-ms"]) ??
    fromRetryAfter(headers["retry-after"], nowMillis) ??
    fromRetryInfo(source.body) ??
    (source.status === 429 ? fromResets(headers, nowMillis) : undefined)
  return {
    retryAfter: millis === undefined ? undefined : Duration.millis(Math.max(0, millis)),
    shouldRetry: should === "true" ? true : should === "false" ? false : undefined
  }
}

const fromRetryAfter = (text: string | undefined, nowMillis: number): number | undefined => {
  if (text === undefined) return undefined
  const seconds = positive(text) // with decimals, as some proxies send them and the official clients read them
  if (seconds !== undefined) return seconds * 1000
  const parsed = Headers.parseRetryAfter(text.trim())
  return Result.isSuccess(parsed) ? Duration.toMillis(Headers.retryAfterDelay(parsed.success, nowMillis)) : undefined
}

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> => typeof u === "object" && u !== null

/** `error.details[]` of type google.rpc.RetryInfo: `retryDelay: "34.07s"` (google/rpc/error_details.proto). */
const fromRetryInfo = (body: unknown): number | undefined => {
  const root = Array.isArray(body) ? body[0] : body
  const details = isRecord(root) && isRecord(root.error) ? root.error.details : undefined
  if (!Array.isArray(details)) return undefined
  for (const detail of details) {
    if (!isRecord(detail) || typeof detail.retryDelay !== "string") continue
    if (typeof detail["@type"] === "string" && detail["@type"].endsWith("google.rpc.RetryInfo")) {
      return fromGoDuration(detail.retryDelay)
    }
  }
  return undefined
}

/** The longest reset among the limits of which nothing remains, whatever the family calls them. */
const fromResets = (headers: Source["headers"], nowMillis: number): number | undefined => {
  let longest: number | undefined
  for (const name in headers) {
    if (!name.includes("ratelimit") || !name.includes("remaining") || positive(headers[name]) !== 0) continue
    const reset = headers[name.replace("remaining", "reset")]
    const millis = reset === undefined ? undefined : fromReset(reset, nowMillis)
    if (millis !== undefined && (longest === undefined || millis > longest)) longest = millis
  }
  return longest
}
