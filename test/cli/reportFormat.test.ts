import { describe, expect, it } from "vitest"
import { clock, count, duration, edge, money, percent, short } from "../../src/cli/internal/reportFormat.ts"

describe("numbers of a report", () => {
  it.each([
    [0, "0 ms"],
    [999.4, "999 ms"],
    [999.6, "1.00 s"],
    [9994, "9.99 s"],
    [9996, "10.0 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min 00 s"],
    [3_599_400, "59 min 59 s"],
    [3_599_600, "1 h 00 min"],
    [86_399_000, "1 d 00 h"],
    [90_000_000_000, "1,041 d 16 h"]
  ])("writes %d ms as %s", (millis, text) => {
    expect(duration(millis)).toBe(text)
  })

  it("writes sums of money so that small ones say something", () => {
    expect([0, 0.000184, 0.2345, 0.996, 1234.5].map(money)).toEqual([
      "$0.00",
      "$0.000184",
      "$0.235",
      "$1.00",
      "$1,234.50"
    ])
  })

  it("never rounds a share to all or nothing", () => {
    expect([
      percent(0, 5),
      percent(1, 100_000),
      percent(99_999, 100_000),
      percent(5, 5),
      percent(1, 3),
      percent(0, 0)
    ]).toEqual(["0 %", "0.1 %", "99.9 %", "100 %", "33.3 %", "0 %"])
  })

  it("writes axes short", () => {
    expect([clock(500, 500), clock(12_000, 1000), clock(90_000, 15_000), clock(7_500_000, 1_800_000)]).toEqual([
      "0.5 s",
      "12 s",
      "1:30",
      "2:05:00"
    ])
    expect([110, 1200, 120_000, 3_900_000].map(edge)).toEqual(["110 ms", "1.2 s", "2 min 00 s", "1.08 h"])
    expect([short(950), short(12_000), short(1_500_000), count(12_431.4)]).toEqual(["950", "12k", "1.5M", "12,431"])
  })
})
