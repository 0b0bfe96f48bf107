import { assert, describe, it } from "vitest"
import { Busy, Slices, workedMillis } from "../../src/cli/internal/reportTime.ts"

const start = 1_796_061_600_000

describe("time of a report", () => {
  it("finds the pauses whatever the order, and counts the work between them", () => {
    const busy = new Busy()
    for (const [from, to] of [
      [500_000, 510_000],
      [0, 4000],
      [3000, 10_000],
      [505_000, 520_000],
      [100_000, 130_000]
    ] as const)
      busy.add(start + from, start + to)
    const times = busy.toTimes()
    assert.deepStrictEqual(times, {
      startMillis: start,
      endMillis: start + 520_000,
      pauses: [
        { startMillis: start + 10_000, endMillis: start + 100_000 },
        { startMillis: start + 130_000, endMillis: start + 500_000 }
      ]
    })
    const worked = [0, 5000, 10_000, 50_000, 100_000, 110_000, 130_000, 400_000, 500_000, 520_000]
    assert.deepStrictEqual(
      worked.map((at) => workedMillis(times, start + at)),
      [0, 5000, 10_000, 10_000, 10_000, 20_000, 40_000, 40_000, 40_000, 60_000]
    )
  })

  it("takes a short silence for work", () => {
    const busy = new Busy()
    busy.add(start, start + 1000)
    busy.add(start + 10_000, start + 11_000)
    assert.deepStrictEqual(busy.toTimes().pauses, [])
  })

  it("keeps few spans and few pauses of a batch that was stopped ten thousand times", () => {
    const busy = new Busy()
    for (let n = 0; n < 10_000; n++) busy.add(start + n * 60_000, start + n * 60_000 + 1000)
    const { pauses, startMillis, endMillis } = busy.toTimes()
    assert.isAtMost(pauses.length, 20)
    assert.deepStrictEqual([startMillis, endMillis], [start, start + 9999 * 60_000 + 1000])
  })

  it("has few slices of any length of time, and loses nothing", () => {
    const slices = new Slices()
    for (let n = 0; n < 5000; n++) slices.add(start + n * 977, [1, 2])
    slices.spread(start - 10_000_000_000, start, 0)
    const sorted = slices.sorted()
    assert.isAtMost(sorted.length, 400)
    const sum = (column: number): number => sorted.reduce((all, { values }) => all + (values[column] ?? 0), 0)
    assert.deepStrictEqual([sum(0), sum(1)], [10_000_005_000, 10_000])
    for (const [index, { startMillis }] of sorted.entries())
      assert.isAbove(startMillis, sorted[index - 1]?.startMillis ?? -Infinity)
  })

  it("ends with a time that has no end in sight", () => {
    const slices = new Slices()
    slices.spread(0, 8.64e15, 0)
    slices.add(8.64e15, [1])
    assert.isAtMost(slices.sorted().length, 401)
  })
})
