/** What a report keeps of single records: bounded, however many there are. */
import type { BatchRecord } from "../../work/BatchRecord.ts"
import { plain } from "./plain.ts"
import { type Slice, Slices, type Times, workedMillis } from "./reportTime.ts"

// More names than this are a mistake of whoever gives them, or malice.
const maxNames = 32

/** The name of all that come when there is no place for more. */
const otherName = "(other)"

/** Counts by name, for a bounded number of names. */
export class Names {
  private readonly counts = new Map<string, Array<number>>()
  private readonly columns: number

  constructor(columns: number) {
    this.columns = columns
  }

  add(name: string, column: number): void {
    const key = this.keyOf(name)
    const counts = this.counts.get(key) ?? Array.from({ length: this.columns }, () => 0)
    counts[column] = (counts[column] ?? 0) + 1
    this.counts.set(key, counts)
  }

  /** The place of a name, in the order in which they have come. */
  indexOf(name: string): number {
    const key = this.keyOf(name)
    return [...this.counts.keys()].indexOf(key)
  }

  /** In the order in which they have come. */
  all(): ReadonlyArray<{ readonly name: string; readonly counts: ReadonlyArray<number> }> {
    return [...this.counts].map(([name, counts]) => ({ name, counts }))
  }

  /** Those with the largest sums first. */
  sorted(): ReturnType<Names["all"]> {
    const sum = (counts: ReadonlyArray<number>): number => counts.reduce((a, b) => a + b, 0)
    return [...this.all()].sort((a, b) => sum(b.counts) - sum(a.counts))
  }

  private keyOf(name: string): string {
    const key = cut(name, 80)
    return this.counts.has(key) || this.counts.size < maxNames - 1 ? key : otherName
  }
}

/** Text as the page may show it: without control characters, and not longer than this many letters. */
export const cut = (text: string, maxLength: number): string => {
  // Only the head is looked at: the text may be the whole answer of a server.
  const head = plain(text.slice(0, maxLength * 2)).trim()
  return head.length > maxLength || text.length > maxLength * 2 ? `${head.slice(0, maxLength)}…` : head
}

/** One send of an item's story, in milliseconds since the item began. */
export interface Step {
  readonly fromMillis: number
  readonly durationMillis: number
  readonly outcome: string
}

/** An item in a table. */
export interface Row {
  readonly index: number
  readonly id: string | undefined
  readonly durationMillis: number
  readonly attempts: number
  readonly waitedMillis: number
  /** Of the first attempts. */
  readonly steps: ReadonlyArray<Step>
  /** Absent when the item succeeded. */
  readonly error:
    | { readonly code: string; readonly message: string; readonly requestId: string | undefined }
    | undefined
}

// Of one item; a policy tries far less often.
const maxSteps = 50
const maxMessage = 500

const rowOf = (record: BatchRecord): Row => {
  const { attempts, durationMillis, id, index, startMillis } = record
  const error = record.outcome === "failed" ? record.error : undefined
  return {
    index,
    id: id === undefined ? undefined : cut(id, 120),
    durationMillis,
    attempts: attempts.length,
    waitedMillis: attempts.reduce((sum, { waitMillis = 0, queuedMillis = 0 }) => sum + waitMillis + queuedMillis, 0),
    steps: attempts.slice(0, maxSteps).map((attempt) => ({
      fromMillis: attempt.startMillis - startMillis,
      durationMillis: attempt.durationMillis,
      outcome: cut(attempt.outcome, 80)
    })),
    error: error && {
      code: cut(error.status === undefined ? error.code : `${error.code} (${error.status})`, 80),
      message: cut(error.message, maxMessage),
      requestId: error.requestId === undefined ? undefined : cut(error.requestId, 80)
    }
  }
}

/** The first items that failed and the slowest of all. */
export class Rows {
  readonly failures: Array<Row> = []
  private slow: Array<Row> = []
  private readonly maxFailures: number
  private readonly maxSlowest: number

  constructor(maxFailures: number, maxSlowest: number) {
    this.maxFailures = maxFailures
    this.maxSlowest = maxSlowest
  }

  add(record: BatchRecord): void {
    const isShown = record.outcome === "failed" && this.failures.length < this.maxFailures
    if (isShown) this.failures.push(rowOf(record))
    const least = this.slow.length < this.maxSlowest ? -1 : (this.slow.at(-1)?.durationMillis ?? -1)
    if (record.durationMillis <= least) return
    this.slow.push(rowOf(record))
    this.slow.sort((a, b) => b.durationMillis - a.durationMillis)
    this.slow.length = Math.min(this.slow.length, this.maxSlowest)
  }

  slowest(): ReadonlyArray<Row> {
    return this.slow
  }
}

/** One bar of the timeline. */
export interface Bar {
  /** Milliseconds of work since the start: pauses are left out. */
  readonly fromMillis: number
  readonly toMillis: number
  /** From 0; two bars of one lane are never at the same time. */
  readonly lane: number
  /** The place in `outcomes`. */
  readonly outcome: number
  /** The item's own name or its place in the input. */
  readonly item: string
}

/** The attempts over time. */
export interface Timelines {
  /** What a bar is. */
  readonly unit: "attempts" | "items"
  readonly count: number
  /** What became of them, with how many each, `"ok"` first, then the most frequent. */
  readonly outcomes: ReadonlyArray<{ readonly name: string; readonly count: number }>
  /** All of them, or the first by their start. */
  readonly bars: ReadonlyArray<Bar>
  /** At once, at the most, of those that have a bar. */
  readonly lanes: number
  /** Present when not each has a bar: how many were in flight, by slices of time and by outcome. */
  readonly flight: { readonly widthMillis: number; readonly slices: ReadonlyArray<Slice> } | undefined
}

// A bar is then, on the whole, wider than the gap beside it on a wide screen.
const maxBars = 3000
/** Of so many that not each has a bar, those that have one: enough to see how the work goes. */
const maxCloseUp = 1000
// More lanes are thinner than a line.
const maxLanes = 256

interface Kept {
  readonly startMillis: number
  readonly durationMillis: number
  readonly outcome: number
  readonly item: string
}

/** Attempts, or items where there are none, over time. */
export class Timeline {
  private readonly unit: "attempts" | "items"
  private readonly outcomes = new Names(1)
  private readonly flight = new Slices()
  private kept: Array<Kept> = []
  private count = 0

  constructor(unit: "attempts" | "items") {
    this.unit = unit
  }

  add(
    { startMillis, durationMillis, outcome }: { startMillis: number; durationMillis: number; outcome: string },
    { id, index }: BatchRecord
  ): void {
    this.count++
    this.outcomes.add(outcome, 0)
    const column = this.outcomes.indexOf(outcome)
    this.flight.spread(startMillis, startMillis + durationMillis, column)
    const item = id === undefined ? `#${index}` : cut(id, 40)
    this.kept.push({ startMillis, durationMillis, outcome: column, item })
    if (this.kept.length >= maxBars * 2) this.prune(maxBars)
  }

  toTimelines(times: Times): Timelines {
    const isWhole = this.count <= maxBars
    this.prune(isWhole ? maxBars : maxCloseUp)
    const names = this.outcomes.all()
    const order = [...names.keys()].sort((a, b) => rank(names[a]) - rank(names[b]))
    const { bars, lanes } = toBars(this.kept, order, times)
    const isDrawn = lanes <= maxLanes
    const slices = this.flight
      .sorted()
      .map(({ startMillis, values }) => ({ startMillis, values: order.map((place) => values[place] ?? 0) }))
    return {
      unit: this.unit,
      count: this.count,
      outcomes: order.map((place) => ({ name: names[place]?.name ?? "", count: names[place]?.counts[0] ?? 0 })),
      bars: isDrawn ? bars : [],
      lanes,
      flight: isWhole && isDrawn ? undefined : { widthMillis: this.flight.widthMillis, slices }
    }
  }

  /** Keeps the first by their start. */
  private prune(count: number): void {
    this.kept.sort((a, b) => a.startMillis - b.startMillis)
    this.kept.length = Math.min(this.kept.length, count)
  }
}

const rank = (row: { readonly name: string; readonly counts: ReadonlyArray<number> } | undefined): number =>
  row === undefined || row.name === "ok" ? -Infinity : -(row.counts[0] ?? 0)

/** Gives each bar the lowest lane that is free at its start. */
const toBars = (kept: ReadonlyArray<Kept>, order: ReadonlyArray<number>, times: Times) => {
  const ends: Array<number> = []
  const bars = kept.map(({ startMillis, durationMillis, outcome, item }): Bar => {
    const endMillis = startMillis + durationMillis
    const free = ends.findIndex((end) => end <= startMillis)
    const lane = free === -1 ? ends.length : free
    ends[lane] = endMillis
    return {
      fromMillis: workedMillis(times, startMillis),
      toMillis: workedMillis(times, endMillis),
      lane,
      outcome: order.indexOf(outcome),
      item
    }
  })
  return { bars, lanes: ends.length }
}
