/** The figures as the charts take them. */
import type { Mark, PageData } from "./reportAxes.ts"
import type { Figures } from "./reportFigures.ts"
import { duration } from "./reportFormat.ts"
import type { Bar, Timelines } from "./reportKept.ts"
import type { Bin } from "./reportSample.ts"
import { type Slice, type Times, workedMillis } from "./reportTime.ts"

/** An outcome as charts, legends and stories show it. */
export interface Shade {
  readonly name: string
  readonly tone: string
  readonly count: number
}

const tones = ["a", "b", "c", "d", "e"] as const
/** More reasons than this are one bar less each; all of them are in the table. */
const maxReasons = 10

/** Colours for what may become of an attempt: one for success, five for the most frequent failures, one for the rest. */
export const shadesOf = ({ outcomes }: Timelines): ReadonlyArray<Shade> => {
  const ok = outcomes.filter(({ name }) => name === "ok").map((outcome) => ({ ...outcome, tone: "ok" }))
  const failures = outcomes.filter(({ name }) => name !== "ok")
  const named = failures.slice(0, tones.length).map((outcome, index) => ({ ...outcome, tone: tones[index] ?? "rest" }))
  const rest = failures.slice(tones.length)
  const count = rest.reduce((sum, outcome) => sum + outcome.count, 0)
  return [
    ...ok,
    ...named,
    ...(rest.length === 0 ? [] : [{ name: `${rest.length} other reasons`, tone: "rest", count }])
  ]
}

/** Where a time stands in a histogram, counted in bins; within a bin as the logarithm goes. */
const binAt = (bins: ReadonlyArray<Bin>, millis: number): number => {
  const found = bins.findIndex(({ toMillis }) => millis < toMillis)
  const index = found === -1 ? bins.length - 1 : found
  const { fromMillis = 0, toMillis = 1 } = bins[index] ?? {}
  const share =
    fromMillis === 0
      ? millis / toMillis
      : Math.log(Math.max(millis, fromMillis) / fromMillis) / Math.log(toMillis / fromMillis)
  return index + Math.min(1, share)
}

const histogramOf = ({ histogram, itemLatency }: Figures): PageData["histogram"] => ({
  edges: [...histogram.map(({ fromMillis }) => fromMillis), histogram.at(-1)?.toMillis ?? 0],
  done: histogram.map(({ counts: [done = 0] }) => done),
  failed: histogram.map(({ counts: [, failed = 0] }) => failed),
  marks: (["p50", "p95", "p99"] as const).map((name) => ({
    at: binAt(histogram, itemLatency[name]),
    label: `${name} ${duration(itemLatency[name])}`
  }))
})

/** The sums up to the end of each slice. */
export const spendingOf = ({ spending, times }: Figures): PageData["spending"] => {
  const sums = [0, 0, 0]
  const points = spending.slices.map(({ startMillis, values }) => {
    for (const column of sums.keys()) sums[column] = (sums[column] ?? 0) + (values[column] ?? 0)
    const [input = 0, output = 0, cost = 0] = sums
    const endMillis = Math.min(times.endMillis, startMillis + spending.widthMillis)
    return { at: workedMillis(times, endMillis), input, output, cost: Number(cost.toPrecision(9)) }
  })
  const all = [{ at: 0, input: 0, output: 0, cost: 0 }, ...points]
  return {
    atMillis: all.map(({ at }) => at),
    input: all.map(({ input }) => input),
    output: all.map(({ output }) => output),
    cost: all.map(({ cost }) => cost)
  }
}

/** A row for each shade: `values` are in the order of the outcomes, of which the last shade may be several. */
const merged = (values: ReadonlyArray<number>, shades: number, timeline: Timelines): ReadonlyArray<number> => {
  const row = Array.from({ length: shades }, () => 0)
  for (const outcome of timeline.outcomes.keys()) {
    const shade = Math.min(outcome, shades - 1)
    row[shade] = (row[shade] ?? 0) + (values[outcome] ?? 0)
  }
  return row
}

/** Slices that touch are steps of one line; between others it lies at zero. */
const flightOf = (timeline: Timelines, shades: number, times: Times): PageData["flight"] => {
  if (timeline.flight === undefined) return undefined
  const { slices, widthMillis } = timeline.flight
  const points: Array<{ at: number; row: ReadonlyArray<number> }> = []
  const none = Array.from({ length: shades }, () => 0)
  const place = (atMillis: number, row: ReadonlyArray<number>): void => {
    const bounded = Math.max(times.startMillis, Math.min(times.endMillis, atMillis))
    points.push({ at: workedMillis(times, bounded), row })
  }
  let before: Slice | undefined
  for (const slice of slices) {
    if (before === undefined || before.startMillis + widthMillis < slice.startMillis) place(slice.startMillis, none)
    const row = merged(slice.values, shades, timeline).map((sum) => Number((sum / widthMillis).toFixed(3)))
    // A step ends where its slice does: `stepped: "before"`.
    place(slice.startMillis + widthMillis, row)
    before = slice
  }
  return {
    atMillis: points.map(({ at }) => at),
    values: none.map((_, shade) => points.map(({ row }) => row[shade] ?? 0))
  }
}

const pauseMarks = (times: Times): ReadonlyArray<Mark> =>
  times.pauses.map(({ startMillis, endMillis }) => ({
    at: workedMillis(times, startMillis),
    label: `paused ${duration(endMillis - startMillis)}`
  }))

const round = (millis: number): number => Math.round(millis * 10) / 10

/** What the page's script draws. */
export const dataOf = (figures: Figures): PageData => {
  const { reasons, timeline, times } = figures
  const shades = shadesOf(timeline)
  const toBar = ({ fromMillis, toMillis, lane, outcome, item }: Bar): PageData["bars"][number] => {
    const shade = Math.min(outcome, shades.length - 1)
    return [round(fromMillis), round(toMillis), lane, shade, item]
  }
  return {
    endMillis: workedMillis(times, times.endMillis),
    pauses: pauseMarks(times),
    outcomes: shades.map(({ name, tone }) => ({ name, tone })),
    bars: timeline.bars.map(toBar),
    lanes: timeline.lanes,
    flight: flightOf(timeline, shades.length, times),
    histogram: histogramOf(figures),
    reasons: reasons.slice(0, maxReasons),
    spending: spendingOf(figures)
  }
}
