import { Duration } from "effect"
import { RetryAfter } from "holdfast/http"
import { describe, expect, it } from "vitest"

const now = Date.UTC(2026, 10, 21, 12, 0, 0)

const millis = (headers: Record<string, string>, status = 429, body?: unknown): number | undefined => {
  const { retryAfter } = RetryAfter.readAt({ status, headers, body }, now)
  return retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
}

const retryInfo = {
  error: { details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34.5s" }] }
}

describe("RetryAfter", () => {
  it.each<readonly [string, Record<string, string>, number | undefined]>([
    ["seconds", { "retry-after": "30" }, 30_000],
    ["seconds with decimals", { "retry-after": "1.5" }, 1_500],
    ["an HTTP date", { "retry-after": "Sat, 21 Nov 2026 12:01:01 GMT" }, 61_000],
    ["an HTTP date in the past", { "retry-after": "Sat, 21 Nov 2026 11:00:00 GMT" }, 0],
    ["milliseconds", { "retry-after-ms": "250" }, 250],
    ["milliseconds before seconds", { "retry-after-ms": "250", "retry-after": "30" }, 250],
    ["nonsense", { "retry-after": "soon" }, undefined],
    ["a negative number", { "retry-after": "-5" }, undefined],
    ["an empty header", { "retry-after": "" }, undefined],
    ["a Go duration", { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s" }, 360_000],
    ["a Go duration in ms", { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12ms" }, 12],
    [
      "an RFC 3339 instant",
      {
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-21T12:00:09Z"
      },
      9_000
    ],
    ["seconds of a reset", { "ratelimit-remaining": "0", "ratelimit-reset": "7" }, 7_000],
    ["an epoch reset", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(now / 1000 + 5) }, 5_000],
    [
      "the longest of the limits that are used up",
      {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "20s"
      },
      20_000
    ],
    [
      "a reset of a limit with something left",
      { "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "1h" },
      undefined
    ]
  ])("reads %s", (_name, headers, expected) => {
    expect(millis(headers)).toBe(expected)
  })

  it("reads google.rpc.RetryInfo behind the headers and before a reset", () => {
    expect(millis({}, 429, retryInfo)).toBe(34_500)
    expect(millis({}, 429, [retryInfo])).toBe(34_500)
    expect(millis({ "retry-after": "1" }, 429, retryInfo)).toBe(1_000)
    expect(millis({ "ratelimit-remaining": "0", "ratelimit-reset": "9" }, 429, retryInfo)).toBe(34_500)
  })

  it("reads a reset only on a 429", () => {
    expect(millis({ "ratelimit-remaining": "0", "ratelimit-reset": "9" }, 503)).toBeUndefined()
  })

  it("reads the server's own decision", () => {
    const should = (value: string) =>
      RetryAfter.readAt({ status: 500, headers: { "x-should-retry": value } }, now).shouldRetry
    expect([should("true"), should("false"), should("perhaps")]).toEqual([true, false, undefined])
  })
})
