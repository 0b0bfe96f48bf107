/** The figures against values that were computed by hand. */
import { assert, describe, it } from "vitest"
import { Tally } from "../../src/cli/internal/reportFigures.ts"
import { four, many, startMillis } from "../fixtures/batchRecords.ts"

const figuresOf = (records: Iterable<(typeof four)[number]>) => {
  const tally = new Tally()
  for (const record of records) tally.add(record)
  return tally.toFigures()
}

describe("figures of a report", () => {
  it("counts items, attempts, retries, tokens and cost", () => {
    const { items, done, failed, duplicates, attempts, retries, hedges, usage, counted, cost, priced } = figuresOf(four)
    assert.deepStrictEqual(
      { items, done, failed, duplicates, attempts, retries, hedges, counted, cost, priced },
      {
        items: 4,
        done: 3,
        failed: 1,
        duplicates: 1,
        attempts: 5,
        retries: 1,
        hedges: 1,
        counted: 2,
        cost: 0.75,
        priced: 2
      }
    )
    assert.deepInclude(usage, { inputTokens: 30, outputTokens: 15, cachedInputTokens: 4 })
  })

  it("tells how long items and attempts took, and what they waited for", () => {
    const { itemLatency, attemptLatency, times, waits } = figuresOf(four)
    // 200, 1000 and 3000 ms; 100, 100, 200, 500 and 3000 ms.
    assert.deepStrictEqual(itemLatency, { count: 3, p50: 1000, p95: 3000, p99: 3000, max: 3000, isSampled: false })
    assert.deepInclude(attemptLatency, { count: 5, p50: 200, p95: 3000, max: 3000 })
    assert.deepStrictEqual(times, { startMillis, endMillis: startMillis + 3000, pauses: [] })
    assert.deepStrictEqual(waits, { backoff: 0, retryAfter: 400, hedge: 100, queued: 7 })
  })

  it("names the reasons and the endpoints", () => {
    const { endpoints, reasons } = figuresOf(four)
    assert.deepStrictEqual(reasons, [
      { name: "Timeout", attempts: 1, items: 1 },
      { name: "RateLimited", attempts: 1, items: 0 },
      { name: "interrupted", attempts: 1, items: 0 }
    ])
    assert.deepStrictEqual(endpoints, [
      { name: "https://llm.example", attempts: 4, ok: 1 },
      { name: "https://other.example", attempts: 1, ok: 1 }
    ])
  })

  it("puts attempts that are under way at the same time on lanes of their own", () => {
    const { bars, flight, lanes, outcomes, unit } = figuresOf(four).timeline
    assert.strictEqual(unit, "attempts")
    assert.strictEqual(lanes, 3)
    assert.strictEqual(flight, undefined)
    assert.strictEqual(outcomes[0]?.name, "ok")
    assert.deepStrictEqual(
      bars.map(({ fromMillis, toMillis, lane, outcome, item }) => [
        fromMillis,
        toMillis,
        lane,
        outcomes[outcome]?.name,
        item
      ]),
      [
        [0, 100, 0, "RateLimited", "first"],
        [0, 3000, 1, "Timeout", "#1"],
        [500, 1000, 0, "ok", "first"],
        [1000, 1200, 0, "ok", "#3"],
        [1100, 1200, 2, "interrupted", "#3"]
      ]
    )
  })

  it("sums tokens and cost at the end of their items", () => {
    const { slices } = figuresOf(four).spending
    const [first] = slices
    assert.deepStrictEqual(first, { startMillis: startMillis + 1000, values: [10, 5, 0.25, 1] })
    assert.deepStrictEqual(
      slices.reduce((sum, { values }) => sum + (values[0] ?? 0), 0),
      30
    )
  })

  it("keeps the failures with their error, and the slowest of all first", () => {
    const { failures, slowest } = figuresOf(four)
    assert.deepStrictEqual(
      failures.map(({ index, error }) => [index, error]),
      [[1, { code: "Timeout", message: "no answer came in 3 s", requestId: "req-1" }]]
    )
    assert.deepStrictEqual(
      slowest.map(({ index, waitedMillis }) => [index, waitedMillis]),
      [
        [1, 0],
        [0, 407],
        [3, 100]
      ]
    )
  })

  it("keeps no more of twenty thousand items than the page shows, and no attempt is lost from what it draws", () => {
    const { attempts, failed, failures, histogram, slowest, spending, timeline } = figuresOf(many(20_000))
    assert.strictEqual(attempts, 22_000)
    assert.strictEqual(failed, 200)
    assert.strictEqual(failures.length, 50)
    assert.strictEqual(slowest.length, 20)
    assert.strictEqual(timeline.bars.length, 1000)
    assert.isAtMost(timeline.flight?.slices.length ?? Infinity, 400)
    assert.isAtMost(spending.slices.length, 400)
    assert.strictEqual(
      histogram.reduce((sum, { counts: [done = 0, failed = 0] }) => sum + done + failed, 0),
      20_000
    )
    // Time in flight: all that the slices hold is all that the attempts took.
    let took = 0
    for (const record of many(20_000)) for (const { durationMillis } of record.attempts) took += durationMillis
    const held = timeline.flight?.slices.flatMap(({ values }) => values).reduce((sum, value) => sum + value, 0)
    assert.strictEqual(held, took)
  })

  it("leaves the time out in which a batch was stopped", () => {
    const later = 3_600_000
    const resumed = four.map((record) => ({
      ...record,
      startMillis: record.startMillis + later,
      attempts: record.attempts.map((attempt) => ({ ...attempt, startMillis: attempt.startMillis + later }))
    }))
    const { timeline, times } = figuresOf([...resumed, ...four])
    assert.deepStrictEqual(times.pauses, [{ startMillis: startMillis + 3000, endMillis: startMillis + later }])
    assert.strictEqual(Math.max(...timeline.bars.map(({ toMillis }) => toMillis)), 6000)
  })

  it("shows the items where no attempts are recorded", () => {
    const { timeline } = figuresOf(four.map((record) => ({ ...record, attempts: [] })))
    assert.deepStrictEqual([timeline.unit, timeline.count, timeline.lanes], ["items", 3, 2])
  })
})
