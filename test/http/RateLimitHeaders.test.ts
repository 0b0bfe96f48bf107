import { RateLimitHeaders } from "holdfast/http"
import { RateLimit } from "holdfast/policy"
import { describe, expect, it } from "vitest"

const now = Date.UTC(2026, 10, 21, 12, 0, 0)

const minute = { windowMillis: 60_000 }

describe("RateLimitHeaders", () => {
  it.each<readonly [string, Record<string, string>, RateLimit.Hint | undefined]>([
    [
      "OpenAI's",
      {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s"
      },
      {
        requests: { ...minute, limit: 60, remaining: 59, resetMillis: 1_000 },
        tokens: { ...minute, limit: 150_000, remaining: 149_984, resetMillis: 360_000 }
      }
    ],
    [
      "what is left without a limit",
      { "x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "12ms" },
      { tokens: { ...minute, remaining: 7, resetMillis: 12 } }
    ],
    [
      "Anthropic's",
      {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:09Z",
        "anthropic-ratelimit-tokens-limit": "80000",
        "anthropic-ratelimit-tokens-remaining": "75000",
        "anthropic-ratelimit-tokens-reset": "2026-11-21T12:00:30Z",
        "anthropic-ratelimit-input-tokens-limit": "50000"
      },
      {
        requests: { ...minute, limit: 50, remaining: 0, resetMillis: 9_000 },
        tokens: { ...minute, limit: 80_000, remaining: 75_000, resetMillis: 30_000 }
      }
    ],
    [
      "Anthropic's, for input alone",
      { "anthropic-ratelimit-input-tokens-limit": "50000", "anthropic-ratelimit-input-tokens-remaining": "1000" },
      { tokens: { ...minute, limit: 50_000, remaining: 1_000 } }
    ],
    [
      "the IETF's items, the one of which least is left",
      {
        ratelimit: '"daily";r=900;t=5000, "per,minute";r=5;t=30',
        "ratelimit-policy": '"daily";q=1000;w=86400, "per,minute";q=100;w=60'
      },
      { requests: { limit: 100, windowMillis: 60_000, remaining: 5, resetMillis: 30_000 } }
    ],
    [
      "the IETF's items without a policy",
      { ratelimit: '"default";r=5;t=30' },
      { requests: { remaining: 5, resetMillis: 30_000 } }
    ],
    [
      "no bytes as requests",
      { ratelimit: '"b";r=5;t=1', "ratelimit-policy": '"b";q=9;w=1;qu="content-bytes"' },
      undefined
    ],
    [
      "the IETF's draft 07",
      { ratelimit: "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=10" },
      { requests: { limit: 100, windowMillis: 10_000, remaining: 50, resetMillis: 5_000 } }
    ],
    [
      "the IETF's first drafts",
      { "ratelimit-limit": "100, 100;w=60, 5000;w=3600", "ratelimit-remaining": "20", "ratelimit-reset": "7" },
      { requests: { limit: 100, windowMillis: 60_000, remaining: 20, resetMillis: 7_000 } }
    ],
    [
      "GitHub's, whose window nobody knows",
      {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "4999",
        "x-ratelimit-reset": String(now / 1000 + 1800)
      },
      { requests: { remaining: 4_999, resetMillis: 1_800_000 } }
    ],
    [
      "a reset in milliseconds since the epoch",
      { "x-ratelimit-remaining": "1", "x-ratelimit-reset": String(now + 2_500) },
      { requests: { remaining: 1, resetMillis: 2_500 } }
    ],
    ["nothing", { "content-type": "application/json", date: "Sat, 21 Nov 2026 12:00:00 GMT" }, undefined],
    ["nonsense", { "x-ratelimit-remaining": "many", "x-ratelimit-limit-requests": "-1", ratelimit: ",;=" }, undefined],
    [
      "a reset that has passed",
      { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(now / 1000 - 5) },
      { requests: { remaining: 0, resetMillis: 0 } }
    ]
  ])("reads %s", (_name, headers, expected) => {
    expect(RateLimitHeaders.readAt(headers, now)).toEqual(expected)
  })

  it("reads points in time by the server's clock, not by ours", () => {
    const headers = {
      date: "Sat, 21 Nov 2026 12:10:00 GMT",
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": "2026-11-21T12:10:04Z"
    }
    expect(RateLimitHeaders.readAt(headers, now)?.requests?.resetMillis).toBe(4_000)
  })

  it("says what a limit can learn", () => {
    const limit = RateLimit.makeUnsafe()
    const headers = { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s" }
    const hint = RateLimitHeaders.readAt(headers, now)
    expect(limit.admitUnsafe("k", {}, now)).toBe(0)
    if (hint !== undefined) limit.learnUnsafe("k", hint, now)
    expect(limit.admitUnsafe("k", {}, now)).toBe(360_000)
    expect(limit.admitUnsafe("k", {}, now + 360_000)).toBe(0)
  })
})
