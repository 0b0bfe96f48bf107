/**
 * The page's own script, which draws its charts. It runs in a browser, from the text of these functions: they use one
 * another, the axes, the formats, Chart.js and the page, and import nothing.
 */
import type * as Axes from "./reportAxes.ts"
import type { Drawing, PageData } from "./reportAxes.ts"
import type * as Format from "./reportFormat.ts"

interface Drawn {
  readonly destroy: () => void
}

/** A point under the pointer, as far as our tooltips look at it. */
interface Hit {
  readonly dataIndex: number
  readonly dataset: { readonly label: string }
  readonly parsed: { readonly x: number; readonly y: number }
  readonly raw: { readonly x: readonly [number, number]; readonly item: string }
}

declare const Chart: new (canvas: HTMLCanvasElement, config: object) => Drawn
declare const axes: typeof Axes
declare const format: typeof Format

interface Picture {
  /** Of the canvas. */
  readonly id: string
  readonly heightPixels?: number
  readonly config: object
}

/** Each attempt a bar from its start to its end, in lanes. */
const barsPicture = (drawing: Drawing): Picture => {
  const { data, color } = drawing
  const lanes = Array.from({ length: data.lanes }, (_, lane) => String(lane + 1))
  const datasets = data.outcomes.map(({ name, tone }, outcome) => ({
    label: name,
    data: data.bars
      .filter((bar) => bar[3] === outcome)
      .map(([from, to, lane, , item]) => ({ x: [from, to], y: lanes[lane], item })),
    backgroundColor: color(tone),
    grouped: false,
    minBarLength: 1.5,
    barPercentage: 1,
    categoryPercentage: data.lanes > 60 ? 1 : 0.82
  }))
  const isCloseUp = data.flight !== undefined
  const endMillis = isCloseUp ? data.bars.reduce((end, [, to]) => Math.max(end, to), 0) : data.endMillis
  const callbacks = {
    title: ([hit]: ReadonlyArray<Hit>) => hit?.raw.item ?? "",
    label: ({ dataset, raw }: Hit) =>
      `${dataset.label}, ${format.duration(raw.x[1] - raw.x[0])}, from ${format.clock(raw.x[0], 1)}`
  }
  const y = {
    grid: { display: false },
    border: { color: color("line") },
    ticks: { color: color("muted"), maxTicksLimit: 9, autoSkipPadding: 8 }
  }
  return {
    id: "bars",
    heightPixels: 48 + data.lanes * Math.max(2, Math.min(18, 460 / Math.max(1, data.lanes))),
    config: {
      type: "bar",
      data: { labels: lanes, datasets },
      plugins: [axes.marks(drawing, isCloseUp ? data.pauses.filter(({ at }) => at < endMillis) : data.pauses)],
      options: axes.options(drawing, { mode: "nearest", intersect: true }, callbacks, {
        indexAxis: "y",
        scales: { x: axes.time(drawing, endMillis, 10), y: axes.titled(drawing, y, "at once") }
      })
    }
  }
}

/** How many attempts were in flight, on average of each slice of time. */
const flightPicture = (drawing: Drawing): Picture => {
  const { data, color } = drawing
  const { atMillis = [], values = [] } = data.flight ?? {}
  const datasets = data.outcomes.map(({ name, tone }, outcome) => ({
    label: name,
    data: atMillis.map((x, index) => ({ x, y: values[outcome]?.[index] ?? 0 })),
    backgroundColor: color(tone),
    borderWidth: 0,
    fill: outcome === 0 ? "origin" : "-1",
    stepped: "before",
    pointRadius: 0,
    pointHitRadius: 0
  }))
  const callbacks = {
    title: ([hit]: ReadonlyArray<Hit>) => (hit === undefined ? "" : format.clock(hit.parsed.x, 1)),
    label: ({ dataset, parsed }: Hit) => `${dataset.label}: ${parsed.y.toFixed(1)}`
  }
  return {
    id: "flight",
    config: {
      type: "line",
      data: { datasets },
      plugins: [axes.marks(drawing, data.pauses)],
      options: axes.options(drawing, { mode: "index", intersect: false }, callbacks, {
        scales: {
          x: axes.time(drawing, data.endMillis, 10),
          y: { ...axes.titled(drawing, axes.amount(drawing, format.short), "in flight"), stacked: true }
        }
      })
    }
  }
}

/** How many items took how long, in logarithmic bins. */
const histogramPicture = (drawing: Drawing): Picture => {
  const { data, color } = drawing
  const { edges, done, failed } = data.histogram
  const dataset = (label: string, tone: string, counts: ReadonlyArray<number>): object => ({
    label,
    data: counts.map((y, index) => ({ x: index + 0.5, y })),
    backgroundColor: color(tone),
    barPercentage: 1,
    categoryPercentage: 0.94
  })
  const edge = (bin: number): string => format.edge(edges[bin] ?? 0)
  const callbacks = {
    title: ([hit]: ReadonlyArray<Hit>) =>
      hit === undefined ? "" : `${edge(hit.dataIndex)} to ${edge(hit.dataIndex + 1)}`,
    label: ({ dataset, parsed }: Hit) => `${dataset.label}: ${format.count(parsed.y)}`
  }
  const x = {
    type: "linear",
    min: 0,
    max: done.length,
    offset: false,
    stacked: true,
    grid: { display: false },
    border: { color: color("line") },
    ticks: { color: color("muted"), stepSize: 1, maxRotation: 0, autoSkipPadding: 14, callback: edge }
  }
  return {
    id: "histogram",
    config: {
      type: "bar",
      data: { datasets: [dataset("done", "ok", done), dataset("failed", "a", failed)] },
      plugins: [axes.marks(drawing, data.histogram.marks)],
      options: axes.options(drawing, { mode: "index", intersect: false }, callbacks, {
        scales: {
          x,
          y: { ...axes.titled(drawing, axes.amount(drawing, format.short, { precision: 0 }), "items"), stacked: true }
        }
      })
    }
  }
}

/** Which reasons made attempts fail, and which of them items. */
const reasonsPicture = (drawing: Drawing): Picture => {
  const { data, color } = drawing
  const { reasons } = data
  const dataset = (label: string, tone: string, counts: ReadonlyArray<number>): object => ({
    label,
    data: counts,
    backgroundColor: color(tone),
    maxBarThickness: 16,
    categoryPercentage: 0.72,
    barPercentage: 0.92
  })
  const short = (name: string): string => (name.length > 22 ? `${name.slice(0, 21)}…` : name)
  const attempts = reasons.map(({ attempts }) => attempts)
  const items = reasons.map(({ items }) => items)
  const callbacks = { title: ([hit]: ReadonlyArray<Hit>) => reasons[hit?.dataIndex ?? -1]?.name ?? "" }
  return {
    id: "reasons",
    heightPixels: 40 + 46 * Math.max(1, reasons.length),
    config: {
      type: "bar",
      data: {
        labels: reasons.map(({ name }) => short(name)),
        datasets: [dataset("failed attempts", "b", attempts), dataset("failed items", "a", items)]
      },
      plugins: [axes.numbers(drawing, [attempts, items])],
      options: axes.options(drawing, { mode: "index", axis: "y", intersect: false }, callbacks, {
        indexAxis: "y",
        layout: { padding: { right: 44 } },
        scales: {
          x: axes.amount(drawing, format.short, { precision: 0, maxTicksLimit: 5, maxRotation: 0 }),
          y: { grid: { display: false }, border: { color: color("line") }, ticks: { color: color("ink") } }
        }
      })
    }
  }
}

/** Sums that grow with time. */
const sumsPicture = (
  drawing: Drawing,
  id: string,
  label: (value: number) => string,
  lines: ReadonlyArray<{ readonly name: string; readonly tone: string; readonly sums: ReadonlyArray<number> }>
): Picture => {
  const { data, color } = drawing
  const datasets = lines.map(({ name, tone, sums }) => ({
    label: name,
    data: sums.map((y, index) => ({ x: data.spending.atMillis[index] ?? 0, y })),
    borderColor: color(tone),
    backgroundColor: color(tone),
    borderWidth: 2,
    pointRadius: 0,
    pointHitRadius: 6
  }))
  const callbacks = {
    title: ([hit]: ReadonlyArray<Hit>) => (hit === undefined ? "" : format.clock(hit.parsed.x, 1)),
    label: ({ dataset, parsed }: Hit) => `${dataset.label}: ${label(parsed.y)}`
  }
  const axisLabel = id === "cost" ? label : format.short
  return {
    id,
    config: {
      type: "line",
      data: { datasets },
      plugins: [axes.marks(drawing, data.pauses)],
      options: axes.options(drawing, { mode: "index", intersect: false }, callbacks, {
        scales: { x: axes.time(drawing, data.endMillis, 6), y: axes.amount(drawing, axisLabel) }
      })
    }
  }
}

const pictures = (drawing: Drawing): ReadonlyArray<Picture> => {
  const { input, output, cost } = drawing.data.spending
  return [
    flightPicture(drawing),
    barsPicture(drawing),
    histogramPicture(drawing),
    reasonsPicture(drawing),
    sumsPicture(drawing, "tokens", format.count, [
      { name: "input", tone: "ok", sums: input },
      { name: "output", tone: "d", sums: output }
    ]),
    sumsPicture(drawing, "cost", format.money, [{ name: "cost", tone: "c", sums: cost }])
  ]
}

/** Draws what the page has a canvas for. */
const draw = (data: PageData): ReadonlyArray<Drawn> => {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return pictures({ data, color }).flatMap(({ config, heightPixels, id }) => {
    const canvas = document.querySelector(`canvas#${id}`)
    if (!(canvas instanceof HTMLCanvasElement)) return []
    if (heightPixels !== undefined && canvas.parentElement !== null)
      canvas.parentElement.style.height = `${Math.round(heightPixels)}px`
    return [new Chart(canvas, config)]
  })
}

/** Draws, and draws again where the page becomes light, dark or paper. */
const start = (): void => {
  const data: PageData = JSON.parse(document.querySelector("#data")?.textContent ?? "")
  const root = document.documentElement
  let drawn = draw(data)
  const again = (): void => {
    for (const chart of drawn) chart.destroy()
    drawn = draw(data)
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again)
  addEventListener("beforeprint", () => {
    root.dataset["paper"] = ""
    again()
  })
  addEventListener("afterprint", () => {
    delete root.dataset["paper"]
    again()
  })
  root.dataset["drawn"] = String(drawn.length)
}

const functions = {
  barsPicture,
  flightPicture,
  histogramPicture,
  reasonsPicture,
  sumsPicture,
  pictures,
  draw,
  start
}

const constants = (named: object): ReadonlyArray<string> =>
  Object.entries(named).map(([name, value]) => `const ${name} = ${String(value)}`)

/** A module of functions that need no other one. */
const moduleOf = (name: string, module: object): string =>
  `const ${name} = (() => {\n${constants(module).join("\n")}\nreturn { ${Object.keys(module).join(", ")} }\n})()`

/** The script's text, made of these modules. */
export const scriptOf = (format: typeof Format, axes: typeof Axes): string =>
  ['"use strict"', moduleOf("format", format), moduleOf("axes", axes), ...constants(functions), "start()", ""].join(
    "\n"
  )
