import { assert, describe, it } from "@effect/vitest"
import { type Concurrency, RateLimit } from "holdfast/policy"

const admit = (limit: RateLimit.RateLimit, now: number, tokens = 1): RateLimit.Reservation | undefined => {
  const claim: Concurrency.Claim = { tokens }
  return limit.admitUnsafe("k", claim, now) === 0 ? RateLimit.reservationOf(claim) : undefined
}

/** How many calls of one token are admitted at once. */
const room = (limit: RateLimit.RateLimit, now: number): number => {
  let count = 0
  while (count < 1000 && admit(limit, now) !== undefined) count++
  return count
}

describe("RateLimit.learnUnsafe", () => {
  it("takes a limit from the provider where none was set", () => {
    const limit = RateLimit.makeUnsafe()
    assert.strictEqual(room(limit, 0), 1000)
    const open = RateLimit.makeUnsafe()
    open.learnUnsafe("k", { requests: { limit: 5 } }, 0)
    assert.strictEqual(room(open, 0), 5)
    assert.strictEqual(room(open, 60_001), 5)
  })

  it("makes its own limit smaller and never larger", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 10 })
    limit.learnUnsafe("k", { requests: { limit: 500, remaining: 500, resetMillis: 1_000 } }, 0)
    assert.strictEqual(room(limit, 0), 10)
    limit.learnUnsafe("k", { requests: { limit: 4 } }, 60_001)
    assert.strictEqual(room(limit, 60_001), 4)
    limit.learnUnsafe("k", { requests: { limit: 7 } }, 120_002)
    assert.strictEqual(room(limit, 120_002), 7)
  })

  it("counts a learned limit over its own window", () => {
    const limit = RateLimit.makeUnsafe()
    limit.learnUnsafe("k", { requests: { limit: 3, windowMillis: 10_000 } }, 0)
    assert.strictEqual(room(limit, 0), 3)
    assert.strictEqual(room(limit, 10_000), 0)
    assert.strictEqual(room(limit, 10_001), 3)
  })

  it("takes what others have used before it from the first answer on", () => {
    const limit = RateLimit.makeUnsafe()
    limit.learnUnsafe("k", { requests: { limit: 60, remaining: 20, resetMillis: 15_000 } }, 0)
    assert.strictEqual(room(limit, 0), 20)
    // Those of others are gone with the reset, its own after a minute.
    assert.strictEqual(room(limit, 15_000), 40)
    assert.strictEqual(room(limit, 60_001), 20)
  })

  it("takes no more than what remains until the reset", () => {
    const limit = RateLimit.makeUnsafe({ tokensPerMinute: 1_000 })
    limit.learnUnsafe("k", { tokens: { remaining: 30, resetMillis: 20_000 } }, 0)
    assert.isUndefined(admit(limit, 0, 31))
    assert.isDefined(admit(limit, 0, 30))
    assert.strictEqual(limit.waitUnsafe("k", 1, 5_000), 15_000)
    assert.isDefined(admit(limit, 20_000, 900))
  })

  it("counts the calls that went out after the one that is answered", () => {
    const limit = RateLimit.makeUnsafe()
    const first = admit(limit, 0)
    const later = Array.from({ length: 5 }, () => admit(limit, 10))
    limit.learnUnsafe("k", { requests: { remaining: 8, resetMillis: 30_000 } }, 100, first)
    assert.strictEqual(room(limit, 100), 3)
    // One of them was never sent: the provider has not counted it.
    later[0]?.refund(200)
    assert.strictEqual(room(limit, 200), 1)
  })

  it("keeps a pause, the longest one, for its key alone", () => {
    const limit = RateLimit.makeUnsafe()
    limit.pauseUnsafe("k", 30_000, 0)
    limit.pauseUnsafe("k", 10_000, 0)
    assert.strictEqual(limit.admitUnsafe("k", {}, 12_000), 18_000)
    assert.strictEqual(limit.admitUnsafe("other", {}, 12_000), 0)
    assert.strictEqual(limit.admitUnsafe("k", {}, 30_000), 0)
  })

  it("believes nobody for longer than maxPause", () => {
    const limit = RateLimit.makeUnsafe({ maxPause: "2 minutes" })
    limit.pauseUnsafe("a", 86_400_000, 0)
    limit.learnUnsafe("b", { requests: { remaining: 0, resetMillis: 86_400_000 } }, 0)
    assert.strictEqual(limit.waitUnsafe("a", 1, 0), 120_000)
    assert.strictEqual(limit.waitUnsafe("b", 1, 0), 120_000)
  })

  it("hears nothing when it is told so", () => {
    const limit = RateLimit.makeUnsafe({ learn: false, pause: false })
    limit.learnUnsafe("k", { requests: { limit: 1, remaining: 0, resetMillis: 60_000 } }, 0)
    limit.pauseUnsafe("k", 60_000, 0)
    assert.strictEqual(room(limit, 0), 1000)
  })

  it("reads nothing from nonsense", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 3 })
    limit.learnUnsafe("k", { requests: { limit: 0 }, tokens: { limit: Number.NaN, remaining: 5 } }, 0)
    assert.strictEqual(room(limit, 0), 3)
  })
})
