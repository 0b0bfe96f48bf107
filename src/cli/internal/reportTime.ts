/** Time on the page: sums by slices of it, and the pauses that are left out. */

/** One slice that is not empty. */
export interface Slice {
  readonly startMillis: number
  readonly values: ReadonlyArray<number>
}

// A slice is then two to four pixels wide.
const maxSlices = 400

/**
 * Sums by slices of time. Only slices that are not empty are kept; when there are too many each two become one, so the
 * memory is bounded whatever comes, in whatever order.
 */
export class Slices {
  widthMillis = 1
  private cells = new Map<number, Array<number>>()

  /** What came at a moment. */
  add(atMillis: number, values: ReadonlyArray<number>): void {
    this.addTo(Math.floor(atMillis / this.widthMillis), values)
    while (this.cells.size > maxSlices) this.double()
  }

  /** What went on from one moment to another: each slice gets the milliseconds of it that are its own. */
  spread(startMillis: number, endMillis: number, column: number): void {
    while ((endMillis - startMillis) / this.widthMillis > maxSlices) this.double()
    const values = Array.from({ length: column + 1 }, () => 0)
    for (let key = Math.floor(startMillis / this.widthMillis); key * this.widthMillis < endMillis; key++) {
      const from = Math.max(startMillis, key * this.widthMillis)
      values[column] = Math.min(endMillis, (key + 1) * this.widthMillis) - from
      this.addTo(key, values)
    }
    while (this.cells.size > maxSlices) this.double()
  }

  sorted(): ReadonlyArray<Slice> {
    return [...this.cells]
      .sort(([a], [b]) => a - b)
      .map(([key, values]) => ({ startMillis: key * this.widthMillis, values }))
  }

  private addTo(key: number, values: ReadonlyArray<number>): void {
    const cell = this.cells.get(key) ?? []
    this.cells.set(key, cell)
    for (const [column, value] of values.entries()) {
      while (cell.length <= column) cell.push(0)
      cell[column] = (cell[column] ?? 0) + value
    }
  }

  private double(): void {
    this.widthMillis *= 2
    const cells = this.cells
    this.cells = new Map()
    for (const [key, values] of cells) this.addTo(Math.floor(key / 2), values)
  }
}

/** A time in which nothing was under way: the batch was stopped, and resumed later. */
export interface Pause {
  readonly startMillis: number
  readonly endMillis: number
}

type Span = [startMillis: number, endMillis: number]

// Kept spans; more become fewer by joining what is close.
const maxSpans = 1024
// A shorter silence is part of the work: a rate limit, a slow line.
const leastPauseMillis = 10_000
// A shorter one, measured by the time of work, does no harm to the charts.
const leastPauseShare = 0.1
// A batch that was stopped more often than this has its shorter pauses on the charts.
const maxPauses = 20

/** When anything was under way, whatever the order in which it is told. */
export class Busy {
  private spans: Array<Span> = []
  private slackMillis = 1000

  add(startMillis: number, endMillis: number): void {
    let at = this.spans.length
    while (at > 0 && (this.spans[at - 1]?.[0] ?? 0) > startMillis) at--
    this.spans.splice(at, 0, [startMillis, endMillis])
    this.join(at)
    if (at > 0) this.join(at - 1)
    while (this.spans.length > maxSpans) {
      this.slackMillis *= 2
      for (let from = this.spans.length - 1; from >= 0; from--) this.join(from)
    }
  }

  /** From the first start to the last end. */
  toTimes(): Times {
    const pauses = this.spans
      .slice(1)
      .map(([endMillis], index) => ({ startMillis: this.spans[index]?.[1] ?? endMillis, endMillis }))
    const busyMillis = this.spans.reduce((sum, [start, end]) => sum + end - start, 0)
    const least = Math.max(leastPauseMillis, busyMillis * leastPauseShare)
    return {
      startMillis: this.spans[0]?.[0] ?? 0,
      endMillis: this.spans.at(-1)?.[1] ?? 0,
      pauses: pauses
        .filter(({ startMillis, endMillis }) => endMillis - startMillis >= least)
        .sort((a, b) => length(b) - length(a))
        .slice(0, maxPauses)
        .sort((a, b) => a.startMillis - b.startMillis)
    }
  }

  /** Joins a span with those behind it that begin before it has ended, or soon after. */
  private join(at: number): void {
    const span = this.spans[at]
    if (span === undefined) return
    let next = at + 1
    for (let other = this.spans[next]; other !== undefined; other = this.spans[++next]) {
      if (other[0] > span[1] + this.slackMillis) break
      span[1] = Math.max(span[1], other[1])
    }
    this.spans.splice(at + 1, next - at - 1)
  }
}

const length = ({ startMillis, endMillis }: Pause): number => endMillis - startMillis

/** When the work began and ended, and its pauses in order. */
export interface Times {
  readonly startMillis: number
  readonly endMillis: number
  readonly pauses: ReadonlyArray<Pause>
}

/** Milliseconds of work up to a moment: those since the start, without the pauses. */
export const workedMillis = ({ startMillis, pauses }: Times, atMillis: number): number =>
  pauses.reduce(
    (worked, pause) => worked - Math.max(0, Math.min(atMillis, pause.endMillis) - pause.startMillis),
    atMillis - startMillis
  )
