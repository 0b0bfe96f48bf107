/**
 * What a response says of the limits that it was counted against, in every form that providers use.
 *
 * - OpenAI and those who write as it does: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.
 * - Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens}-{limit,remaining,reset}`.
 * - IETF (draft-ietf-httpapi-ratelimit-headers-10): `ratelimit: "default";r=50;t=30` with
 *   `ratelimit-policy: "default";q=100;w=60`, and before: `ratelimit: limit=100, remaining=50, reset=5`.
 * - One number a header, GitHub and many more: `x-ratelimit-{limit,remaining,reset}`, `ratelimit-{…}`.
 *
 * A limit counts only where its window is known. What remains until the reset counts everywhere.
 */
import { parse, type Item } from "./internal/structured.ts"
import { fromReset, positive } from "./internal/reset.ts"
import type { Hint, Quota } from "../policy/RateLimit.ts"

/** Response headers, their names in lower case. */
export type Fields = Readonly<Record<string, string | undefined>>

// Both families count over a minute (platform.openai.com/docs/guides/rate-limits, platform.claude.com/docs/en/api/
// rate-limits, 2026-11). Where one of them means a day (Groq's requests) its `remaining` is what holds.
const minuteMillis = 60_000

/** Reads a response by a time in milliseconds since the epoch; `undefined` when it says nothing of limits. */
export const readAt = (headers: Fields, nowMillis: number): Hint | undefined => {
  const requests = openai(headers, "requests", nowMillis) ?? anthropic(headers, ["requests"], nowMillis)
  const tokens = openai(headers, "tokens", nowMillis) ?? anthropic(headers, ["tokens", "input-tokens"], nowMillis)
  if (requests !== undefined || tokens !== undefined) return { requests, tokens }
  const any = structured(headers) ?? plain(headers, "ratelimit", nowMillis) ?? plain(headers, "x-ratelimit", nowMillis)
  return any === undefined ? undefined : { requests: any }
}

/** Points in time are read by the server's own clock, which is the one that they were written by. */
const resetOf = (text: string | undefined, headers: Fields, nowMillis: number): number | undefined => {
  if (text === undefined) return undefined
  const { date } = headers
  const serverMillis = date === undefined ? Number.NaN : globalThis.Date.parse(date)
  const millis = fromReset(text, Number.isNaN(serverMillis) ? nowMillis : serverMillis)
  return millis === undefined ? undefined : Math.max(0, millis)
}

const quotaOf = (
  limit: string | undefined,
  remaining: string | undefined,
  reset: number | undefined,
  windowMillis: number | undefined
): Quota | undefined => {
  const left = positive(remaining)
  if (windowMillis === undefined) return left === undefined ? undefined : { remaining: left, resetMillis: reset }
  const whole = positive(limit)
  if (whole === undefined && left === undefined) return undefined
  return { limit: whole, windowMillis, remaining: left, resetMillis: reset }
}

const openai = (headers: Fields, kind: "requests" | "tokens", nowMillis: number): Quota | undefined => {
  const limit = headers[`x-ratelimit-limit-${kind}`]
  const remaining = headers[`x-ratelimit-remaining-${kind}`]
  if (limit === undefined && remaining === undefined) return undefined
  const reset = resetOf(headers[`x-ratelimit-reset-${kind}`], headers, nowMillis)
  return quotaOf(limit, remaining, reset, minuteMillis)
}

const anthropic = (headers: Fields, kinds: ReadonlyArray<string>, nowMillis: number): Quota | undefined => {
  for (const kind of kinds) {
    const limit = headers[`anthropic-ratelimit-${kind}-limit`]
    const remaining = headers[`anthropic-ratelimit-${kind}-remaining`]
    if (limit === undefined && remaining === undefined) continue
    const reset = resetOf(headers[`anthropic-ratelimit-${kind}-reset`], headers, nowMillis)
    return quotaOf(limit, remaining, reset, minuteMillis)
  }
  return undefined
}

/** `x-ratelimit-limit: 60`, and drafts before 07, which put the windows behind the limit: `100, 100;w=60`. */
const plain = (headers: Fields, family: string, nowMillis: number): Quota | undefined => {
  const [limit, ...policies] = parse(headers[`${family}-limit`])
  const remaining = headers[`${family}-remaining`]
  if (limit === undefined && remaining === undefined) return undefined
  const reset = resetOf(headers[`${family}-reset`], headers, nowMillis)
  const policy = [...policies, ...parse(headers[`${family}-policy`])].find((one) => one.name === limit?.name)
  const seconds = positive(limit?.parameters.w ?? policy?.parameters.w)
  return quotaOf(limit?.name, remaining, reset, seconds === undefined ? undefined : seconds * 1000)
}

/** `ratelimit: "a";r=5;t=9, "b";r=70;t=100`: the one of which least is left, with its policy. */
const structured = (headers: Fields): Quota | undefined => {
  const items = parse(headers.ratelimit)
  if (items.length === 0) return undefined
  const draft7 = keyed(items)
  const policies = parse(headers["ratelimit-policy"])
  if (draft7.remaining !== undefined) {
    const policy = policies.find((one) => one.name === draft7.limit)
    return quotaIn(draft7.limit, draft7.remaining, draft7.reset, policy?.parameters.w)
  }
  let least: Item | undefined
  for (const item of items) {
    const left = positive(item.parameters.r)
    if (left !== undefined && left < (positive(least?.parameters.r) ?? Infinity)) least = item
  }
  const policy = policies.find((one) => one.name === least?.name)
  const unit = policy?.parameters.qu ?? "requests"
  if (least === undefined || unit !== "requests") return undefined
  return quotaIn(policy?.parameters.q, least.parameters.r, least.parameters.t, policy?.parameters.w)
}

const quotaIn = (
  limit: string | undefined,
  remaining: string | undefined,
  resetSeconds: string | undefined,
  windowSeconds: string | undefined
): Quota | undefined => {
  const reset = positive(resetSeconds)
  const window = positive(windowSeconds)
  return quotaOf(
    limit,
    remaining,
    reset === undefined ? undefined : reset * 1000,
    window === undefined || window === 0 ? undefined : window * 1000
  )
}

/** `limit=100, remaining=50, reset=5` as a record. */
const keyed = (items: ReadonlyArray<Item>): Fields => {
  const record: Record<string, string> = {}
  for (const { name } of items) {
    const equals = name.indexOf("=")
    if (equals > 0) record[name.slice(0, equals).trim()] = name.slice(equals + 1).trim()
  }
  return record
}
