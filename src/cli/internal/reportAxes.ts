/**
 * What the charts of the page have in common. It runs in a browser, from the text of these functions: they use one
 * another and the formats, and import nothing.
 */
import type * as Format from "./reportFormat.ts"

/** What the charts show; times are milliseconds of work since the start. */
export interface PageData {
  readonly endMillis: number
  readonly pauses: ReadonlyArray<Mark>
  /** What may become of an attempt, with the name of its colour. */
  readonly outcomes: ReadonlyArray<{ readonly name: string; readonly tone: string }>
  /** Start, end, lane, place in `outcomes`, item. */
  readonly bars: ReadonlyArray<readonly [number, number, number, number, string]>
  readonly lanes: number
  /** How many were in flight; a row of `values` for each of `outcomes`. */
  readonly flight:
    | { readonly atMillis: ReadonlyArray<number>; readonly values: ReadonlyArray<ReadonlyArray<number>> }
    | undefined
  /** `marks` are quantiles, whose `at` counts bins. */
  readonly histogram: {
    readonly edges: ReadonlyArray<number>
    readonly done: ReadonlyArray<number>
    readonly failed: ReadonlyArray<number>
    readonly marks: ReadonlyArray<Mark>
  }
  readonly reasons: ReadonlyArray<{ readonly name: string; readonly attempts: number; readonly items: number }>
  /** Sums up to each moment. */
  readonly spending: {
    readonly atMillis: ReadonlyArray<number>
    readonly input: ReadonlyArray<number>
    readonly output: ReadonlyArray<number>
    readonly cost: ReadonlyArray<number>
  }
}

/** A line across a chart, with a word. */
export interface Mark {
  readonly at: number
  readonly label: string
}

export interface Canvas {
  readonly ctx: CanvasRenderingContext2D
  readonly chartArea: { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number }
  readonly scales: { readonly x: { readonly getPixelForValue: (value: number) => number } }
  readonly getDatasetMeta: (index: number) => {
    readonly data: ReadonlyArray<{ readonly x: number; readonly y: number }>
  }
}

export interface Drawing {
  readonly data: PageData
  /** A colour of the style sheet, light or dark as the page is. */
  readonly color: (name: string) => string
}

declare const format: typeof Format

/** A step of a time axis: whole seconds, minutes or hours, so that there are at most `count`. */
export const stepOf = (rangeMillis: number, count: number): number => {
  const seconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((minute) => minute * 60)
  const step = [...seconds, ...minutes].find((step) => rangeMillis <= step * 1000 * count)
  return 1000 * (step ?? 86_400 * Math.ceil(rangeMillis / count / 86_400_000))
}

export const time = ({ color }: Drawing, endMillis: number, count: number): object => {
  const stepSize = stepOf(endMillis, count)
  return {
    type: "linear",
    min: 0,
    max: Math.max(1, endMillis),
    grid: { color: color("grid") },
    border: { color: color("line") },
    ticks: {
      color: color("muted"),
      maxRotation: 0,
      autoSkipPadding: 12,
      callback: (value: number) => format.clock(value, stepSize)
    },
    // Chart.js would divide the axis into equal parts, which are no whole seconds.
    afterBuildTicks: (axis: { ticks: ReadonlyArray<{ readonly value: number }> }) => {
      axis.ticks = Array.from({ length: Math.floor(endMillis / stepSize) + 1 }, (_, n) => ({ value: n * stepSize }))
    }
  }
}

export const amount = ({ color }: Drawing, label: (value: number) => string, more: object = {}): object => ({
  beginAtZero: true,
  grid: { color: color("grid") },
  border: { display: false },
  ticks: { color: color("muted"), maxTicksLimit: 6, callback: label, ...more }
})

export const titled = ({ color }: Drawing, axis: object, text: string): object => ({
  ...axis,
  title: { display: true, text, color: color("muted") }
})

/** What all charts have. The page's own legends are text, and have the numbers too. */
export const options = ({ color }: Drawing, interaction: object, callbacks: object, more: object): object => ({
  animation: false,
  responsive: true,
  maintainAspectRatio: false,
  layout: { padding: { top: 2, right: 6 } },
  interaction,
  plugins: {
    legend: { display: false },
    tooltip: {
      backgroundColor: color("ink"),
      titleColor: color("card"),
      bodyColor: color("card"),
      cornerRadius: 6,
      padding: 10,
      boxPadding: 4,
      callbacks
    }
  },
  ...more
})

/** Lines across a chart, and over them their words; words that would lie on one another stand one under the other. */
export const marks = ({ color }: Drawing, lines: ReadonlyArray<Mark>): object => ({
  id: "marks",
  afterDatasetsDraw: ({ ctx, chartArea, scales }: Canvas) => {
    ctx.save()
    ctx.font = "11px system-ui, sans-serif"
    ctx.textBaseline = "middle"
    ctx.setLineDash([3, 3])
    ctx.strokeStyle = color("ink")
    ctx.globalAlpha = 0.55
    const places = lines.map(({ at, label }) => ({ label, left: Math.round(scales.x.getPixelForValue(at)) + 0.5 }))
    for (const { left } of places) {
      ctx.beginPath()
      ctx.moveTo(left, chartArea.top)
      ctx.lineTo(left, chartArea.bottom)
      ctx.stroke()
    }
    let free = -Infinity
    let row = 0
    for (const { label, left } of places) {
      const { width } = ctx.measureText(label)
      const from = left + 5 + width <= chartArea.right ? left + 5 : left - 5 - width
      row = from < free ? row + 1 : 0
      free = Math.max(free, from + width + 6)
      const top = chartArea.top + 10 + 16 * row
      ctx.globalAlpha = 0.9
      ctx.fillStyle = color("card")
      ctx.fillRect(from - 3, top - 8, width + 6, 16)
      ctx.globalAlpha = 1
      ctx.fillStyle = color("ink")
      ctx.fillText(label, from, top)
    }
    ctx.restore()
  }
})

/** The number of each bar at its end; a row for each dataset. */
export const numbers = ({ color }: Drawing, rows: ReadonlyArray<ReadonlyArray<number>>): object => ({
  id: "numbers",
  afterDatasetsDraw: (canvas: Canvas) => {
    const { ctx } = canvas
    ctx.save()
    ctx.font = "11px system-ui, sans-serif"
    ctx.textBaseline = "middle"
    ctx.fillStyle = color("muted")
    for (const [index, row] of rows.entries())
      for (const [at, { x, y }] of canvas.getDatasetMeta(index).data.entries())
        ctx.fillText(format.count(row[at] ?? 0), x + 5, y + 0.5)
    ctx.restore()
  }
})
