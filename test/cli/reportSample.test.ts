import { assert, describe, it } from "vitest"
import { Histogram, Sample } from "../../src/cli/internal/reportSample.ts"

describe("sample", () => {
  it("has exact quantiles up to its bound", () => {
    const sample = new Sample(5000)
    for (let value = 5000; value > 0; value--) sample.add(value)
    assert.deepStrictEqual(sample.quantiles([0, 0.5, 0.95, 0.99, 1]), [1, 2500, 4750, 4950, 5000])
    assert.isFalse(sample.isSampled)
  })

  it("is an even sample above its bound", () => {
    const sample = new Sample(2000)
    for (let value = 1; value <= 100_000; value++) sample.add(value)
    assert.isTrue(sample.isSampled)
    const [p50 = 0, p95 = 0] = sample.quantiles([0.5, 0.95])
    // Five standard deviations of such a quantile: sqrt(q (1 - q) / 2000).
    assert.closeTo(p50, 50_000, 5600)
    assert.closeTo(p95, 95_000, 2500)
    assert.strictEqual(sample.max, 100_000)
  })

  it("has nothing to say of nothing", () => {
    assert.deepStrictEqual(new Sample().quantiles([0.5]), [0])
  })
})

describe("histogram", () => {
  it("counts what lies on an edge above it, and shows empty bins between others", () => {
    const histogram = new Histogram(2)
    for (const millis of [0, 0.5, 1, 1.05, 1.1, 1.3]) histogram.add(millis, 0)
    histogram.add(1.3, 1)
    assert.deepStrictEqual(histogram.toBins(), [
      { fromMillis: 0, toMillis: 1, counts: [2, 0] },
      { fromMillis: 1, toMillis: 1.1, counts: [2, 0] },
      { fromMillis: 1.1, toMillis: 1.2, counts: [1, 0] },
      { fromMillis: 1.2, toMillis: 1.3, counts: [0, 0] },
      { fromMillis: 1.3, toMillis: 1.5, counts: [1, 1] }
    ])
  })

  it("is coarser where times are far apart, and counts each of them", () => {
    const histogram = new Histogram(1)
    for (let millis = 1; millis <= 1e8; millis *= 10) histogram.add(millis, 0)
    const bins = histogram.toBins()
    assert.isAtMost(bins.length, 40)
    assert.strictEqual(
      bins.reduce((sum, { counts: [count = 0] }) => sum + count, 0),
      9
    )
    for (const { fromMillis, toMillis } of bins) assert.isBelow(fromMillis, toMillis)
  })

  it("is coarser where there are few numbers", () => {
    const histogram = new Histogram(1)
    for (let millis = 100; millis < 1000; millis += 90) histogram.add(millis, 0)
    assert.isAtMost(histogram.toBins().length, 8)
  })

  it("finds the bin of every edge of its own", () => {
    const edges = [100, 110, 120, 130, 150, 160, 180, 200, 220, 240, 270, 300, 330, 360, 390, 430, 470, 510, 560, 620]
    const histogram = new Histogram(1)
    for (const edge of edges) for (let n = 0; n < 10; n++) histogram.add(edge, 0)
    assert.deepStrictEqual(
      histogram.toBins().map(({ fromMillis, counts }) => [fromMillis, counts[0]]),
      edges.map((edge) => [edge, 10])
    )
  })
})
