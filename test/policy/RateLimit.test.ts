import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { type Concurrency, RateLimit } from "holdfast/policy"

const minute = 60_000

interface Start {
  readonly at: number
  readonly tokens: number
}

/** Asks for each claim until it is admitted, one after another, and tells when each began. */
const inOrder = (limit: RateLimit.RateLimit, sizes: ReadonlyArray<number>): ReadonlyArray<Start> => {
  let now = 0
  return sizes.map((tokens) => {
    let wait = limit.admitUnsafe("k", { tokens }, now)
    while (wait > 0) {
      now += wait
      wait = limit.admitUnsafe("k", { tokens }, now)
    }
    return { at: now, tokens }
  })
}

/** The most that any 60 s hold, both ends counted. */
const fullest = (starts: ReadonlyArray<Start>, of: (start: Start) => number): number => {
  let most = 0
  let sum = 0
  let tail = 0
  for (const start of starts) {
    sum += of(start)
    for (; (starts[tail]?.at ?? 0) < start.at - minute; tail++) sum -= of(starts[tail] ?? start)
    most = Math.max(most, sum)
  }
  return most
}

const sizes = (count: number, most: number) =>
  Effect.forEach(Array.from({ length: count }), () => Random.nextIntBetween(1, most))

const admitted = (limit: RateLimit.RateLimit, tokens: number, now: number): RateLimit.Reservation => {
  const claim: Concurrency.Claim = { tokens }
  assert.strictEqual(limit.admitUnsafe("k", claim, now), 0)
  const reservation = RateLimit.reservationOf(claim)
  if (reservation === undefined) return assert.fail("an admitted claim has a reservation")
  return reservation
}

describe("RateLimit", () => {
  it.effect("fills no minute over either limit, and needs at most a tenth more time than the best order", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        const all = yield* sizes(500, 500)
        const starts = inOrder(RateLimit.makeUnsafe({ requestsPerMinute: 60, tokensPerMinute: 10_000 }), all)
        assert.isAtMost(
          fullest(starts, () => 1),
          60
        )
        assert.isAtMost(
          fullest(starts, ({ tokens }) => tokens),
          10_000
        )
        const total = all.reduce((sum, tokens) => sum + tokens, 0)
        const best = minute * (Math.max(Math.ceil(500 / 60), Math.ceil(total / 10_000)) - 1)
        assert.isAtMost(starts.at(-1)?.at ?? Infinity, best * 1.1)
      }
    }).pipe(Random.withSeed("minutes"))
  )

  it.effect("fills no minute over either limit when calls come and end at random", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 60, tokensPerMinute: 10_000 })
      const starts: Array<{ readonly at: number; tokens: number }> = []
      const open: Array<{ readonly reservation: RateLimit.Reservation; readonly start: { tokens: number } }> = []
      for (let now = 0; now < 30 * minute; now += yield* Random.nextIntBetween(1, 400)) {
        const claim: Concurrency.Claim = { tokens: yield* Random.nextIntBetween(1, 900) }
        if (limit.admitUnsafe("k", claim, now) === 0) {
          const start = { at: now, tokens: claim.tokens ?? 0 }
          const reservation = RateLimit.reservationOf(claim)
          if (reservation === undefined) return assert.fail("an admitted claim has a reservation")
          starts.push(start)
          open.push({ reservation, start })
        }
        if (open.length < 5) continue
        const [ended] = open.splice(yield* Random.nextIntBetween(0, open.length - 1), 1)
        if (ended === undefined) continue
        const actual = yield* Random.nextIntBetween(0, ended.start.tokens)
        ended.reservation.settle(actual, now)
        ended.start.tokens = actual
      }
      assert.isAtLeast(starts.length, 1000)
      assert.isAtMost(
        fullest(starts, () => 1),
        60
      )
      assert.isAtMost(
        fullest(starts, ({ tokens }) => tokens),
        10_000
      )
    }).pipe(Random.withSeed("calls"))
  )

  it.effect("stays exact and wastes under a hundredth when a minute holds thousands of calls", () =>
    Effect.gen(function* () {
      const limit = RateLimit.makeUnsafe({ requestsPerMinute: 3_000 })
      const starts: Array<Start> = []
      for (let now = 0; now < 10 * minute; now += yield* Random.nextIntBetween(1, 20)) {
        if (limit.admitUnsafe("k", {}, now) === 0) starts.push({ at: now, tokens: 1 })
      }
      assert.isAtMost(
        fullest(starts, () => 1),
        3_000
      )
      assert.isAtLeast(starts.length, 0.99 * 30_000)
    }).pipe(Random.withSeed("thousands"))
  )

  it("takes both or nothing", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 2, tokensPerMinute: 100 })
    admitted(limit, 90, 0)
    assert.isAbove(limit.admitUnsafe("k", { tokens: 20 }, 0), 0)
    assert.deepStrictEqual(limit.usedUnsafe("k", 0), { requests: 1, tokens: 90 })
    admitted(limit, 5, 0)
    assert.isAbove(limit.admitUnsafe("k", { tokens: 1 }, 0), 0)
    assert.deepStrictEqual(limit.usedUnsafe("k", 0), { requests: 2, tokens: 95 })
  })

  it("says exactly when a call fits", () => {
    const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
    admitted(limit, 40, 0)
    admitted(limit, 40, 20_000)
    // A minute and the clock's millisecond after the first one.
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 50 }, 30_000), 30_001)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 70 }, 30_000), 50_001)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 50 }, 60_000), 1)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 50 }, 60_001), 0)
  })

  it("keeps keys apart", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 1 })
    assert.strictEqual(limit.admitUnsafe("a", {}, 0), 0)
    assert.strictEqual(limit.admitUnsafe("b", {}, 0), 0)
    assert.isAbove(limit.admitUnsafe("a", {}, 0), 0)
  })

  it("gives a cancelled reservation back, once", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 10, tokensPerMinute: 100 })
    const reservation = admitted(limit, 60, 0)
    admitted(limit, 40, 1_000)
    reservation.refund(2_000)
    reservation.refund(2_000)
    reservation.settle(90, 2_000)
    assert.deepStrictEqual(limit.usedUnsafe("k", 2_000), { requests: 1, tokens: 40 })
    admitted(limit, 60, 2_000)
  })

  it("makes room at once when a call used less, and less room when it used more", () => {
    const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
    const small = admitted(limit, 80, 0)
    assert.isAbove(limit.admitUnsafe("k", { tokens: 50 }, 10_000), 0)
    small.settle(10, 10_000)
    const large = admitted(limit, 50, 10_000)
    large.settle(90, 20_000)
    // 10 of the first call, 50 of the second, and 40 that count from the time when it ended.
    assert.strictEqual(limit.usedUnsafe("k", 20_000).tokens, 100)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 60 }, 20_000), 50_001)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 61 }, 20_000), 60_001)
  })

  it("keeps the estimate of a call that ends without a count", () => {
    const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100, tokensPerCall: 70 })
    const claim: Concurrency.Claim = {}
    assert.strictEqual(limit.admitUnsafe("k", claim, 0), 0)
    RateLimit.reservationOf(claim)?.settle(undefined, 1_000)
    assert.strictEqual(limit.usedUnsafe("k", 1_000).tokens, 70)
  })

  it("lets a call larger than the window go alone, or never", () => {
    const limit = RateLimit.makeUnsafe({ tokensPerMinute: 100 })
    admitted(limit, 1, 0)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 500 }, 0), 60_001)
    const large = admitted(limit, 500, 60_001)
    assert.strictEqual(limit.admitUnsafe("k", { tokens: 1 }, 60_001), 60_001)
    large.settle(30, 61_000)
    admitted(limit, 70, 61_000)
    const strict = RateLimit.makeUnsafe({ tokensPerMinute: 100, oversize: "refuse" })
    assert.strictEqual(strict.admitUnsafe("k", { tokens: 101 }, 0), Infinity)
    assert.strictEqual(strict.admitUnsafe("k", { tokens: 100 }, 0), 0)
  })

  it("spreads calls over the minute by a shorter window, and still keeps the minute", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 60, tokensPerMinute: 6_000, window: "1 second" })
    const starts = inOrder(
      limit,
      Array.from({ length: 120 }, () => 300)
    )
    assert.strictEqual(starts.filter(({ at }) => at < 1_000).length, 1)
    assert.isAtMost(
      fullest(starts, ({ tokens }) => tokens),
      6_000
    )
  })

  it("takes as long as one request needs when a minute has less than one", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 0.5 })
    admitted(limit, 1, 0)
    assert.strictEqual(limit.admitUnsafe("k", {}, 0), 120_001)
    assert.throws(() => RateLimit.makeUnsafe({ requestsPerMinute: 0 }), RangeError)
  })

  it("keeps a day beside the minute", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 2, requestsPerDay: 3 })
    const starts = inOrder(limit, [1, 1, 1, 1])
    assert.deepStrictEqual(
      starts.map(({ at }) => at),
      [0, 0, 60_001, 86_400_001]
    )
  })

  it("goes on when the clock is set back", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 1 })
    const late = 10_000_000
    admitted(limit, 1, late)
    assert.strictEqual(limit.admitUnsafe("k", {}, 5_000), 60_001)
    assert.strictEqual(limit.admitUnsafe("k", {}, 65_001), 0)
    // A small step back is waited for: what was admitted counts from then.
    assert.strictEqual(limit.admitUnsafe("k", {}, 64_000), 60_001)
  })

  it("forgets keys that nobody uses", () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 1 })
    for (let n = 0; n < 20_000; n++) assert.strictEqual(limit.admitUnsafe(`k${n}`, {}, n * 100), 0)
    assert.isAtMost(limit.keysUnsafe(), 2_048)
  })
})
