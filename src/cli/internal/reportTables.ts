/** The tables of the page: what the charts show, and the items that a person looks for. */
import { type Shade, spendingOf } from "./reportData.ts"
import type { Figures } from "./reportFigures.ts"
import { clock, count, duration, edge, money, percent } from "./reportFormat.ts"
import { html, type Html } from "./reportHtml.ts"
import type { Row, Step } from "./reportKept.ts"

type Cell = string | number | Html

/** Numbers stand on the right: those are the columns from `firstNumber` on. */
const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>, firstNumber = 1): Html => {
  const kind = (index: number): string => (index >= firstNumber ? "n" : "")
  return html`<table>
    <thead>
      <tr>
        ${head.map((text, index) => html`<th scope="col" class="${kind(index)}">${text}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            ${row.map((cell, index) => html`<td class="${kind(index)}">${cell}</td>`)}
          </tr> `
      )}
    </tbody>
  </table>`
}

/** A table that is there for who asks. */
export const folded = (title: string, content: Html): Html =>
  html`<details>
    <summary>${title}</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="${title}">${content}</div>
  </details>`

/** What became of the attempts. */
export const outcomeTable = (figures: Figures): Html => {
  const { count: all, outcomes } = figures.timeline
  const rows = outcomes.map(({ name, count: n }) => [name, count(n), percent(n, all)])
  return folded("The outcomes as a table", table(["outcome", figures.timeline.unit, "share"], rows))
}

/** The bars of the histogram that are not empty. */
export const histogramTable = ({ histogram }: Figures): Html => {
  const rows = histogram
    .filter(({ counts }) => counts.some((n) => n > 0))
    .map(({ fromMillis, toMillis, counts: [done = 0, failed = 0] }) => [
      `${edge(fromMillis)} to ${edge(toMillis)}`,
      count(done),
      count(failed)
    ])
  return folded("The bars as a table", table(["time of an item", "done", "failed"], rows))
}

/** How long items and attempts took. */
export const latencyTable = ({ itemLatency, attemptLatency }: Figures): Html => {
  const rows = [
    { name: "an item, waits included", ...itemLatency },
    { name: "an attempt", ...attemptLatency }
  ]
    .filter((latency) => latency.count > 0)
    .map(({ name, p50, p95, p99, max }) => [name, ...[p50, p95, p99, max].map(duration)])
  return html`<div class="scroll">${table(["", "p50", "p95", "p99", "longest"], rows)}</div>`
}

/** All reasons of failures. */
export const reasonTable = ({ reasons }: Figures): Html => {
  const rows = reasons.map(({ name, attempts, items }) => [name, count(attempts), count(items)])
  return folded("The reasons as a table", table(["reason", "failed attempts", "failed items"], rows))
}

// Enough to read the course of a sum.
const maxPoints = 12

/** Sums at moments that are evenly spread over the points of the charts. */
export const spendingTable = (figures: Figures, what: "tokens" | "cost"): Html => {
  const { atMillis, input, output, cost } = spendingOf(figures)
  const last = atMillis.length - 1
  const chosen = new Set(Array.from({ length: maxPoints + 1 }, (_, n) => Math.round((n * last) / maxPoints)))
  const rows = [...chosen].map((index) => {
    const sums = what === "cost" ? [money(cost[index] ?? 0)] : [count(input[index] ?? 0), count(output[index] ?? 0)]
    return [clock(atMillis[index] ?? 0, 1000), ...sums]
  })
  const head = what === "cost" ? ["time", "cost"] : ["time", "input tokens", "output tokens"]
  return folded(what === "cost" ? "The line as a table" : "The lines as a table", table(head, rows))
}

/** Where the time of the items went. */
export const waitRows = ({ waits }: Figures): ReadonlyArray<readonly [string, number]> =>
  (
    [
      ["in the queue for a slot", waits.queued],
      ["backing off after a failure", waits.backoff],
      ["as long as the server asked", waits.retryAfter],
      ["for a slow attempt, before its hedge", waits.hedge]
    ] as const
  ).filter(([, millis]) => millis > 0)

/** What was called, and how long items waited. */
export const endpointTable = ({ endpoints }: Figures): Html => {
  const rows = endpoints.map(({ name, attempts, ok }) => [name, count(attempts), count(ok), percent(ok, attempts)])
  return html`<div class="scroll">${table(["endpoint", "attempts", "ok", "share"], rows)}</div>`
}

/** The sum of each kind of wait over all items. */
export const waitTable = (figures: Figures): Html =>
  html`<div class="scroll">
    ${table(
      ["items waited", "in all"],
      waitRows(figures).map(([name, millis]) => [name, duration(millis)])
    )}
  </div>`

/** The attempts of one item on a line of its own. */
const story = ({ durationMillis, steps }: Row, shades: ReadonlyArray<Shade>): Html => {
  const width = 160
  const scale = width / Math.max(1, durationMillis)
  const tone = (outcome: string): string => shades.find(({ name }) => name === outcome)?.tone ?? "rest"
  const bar = ({ fromMillis, durationMillis, outcome }: Step): Html => {
    const wide = Math.min(width, Math.max(2, durationMillis * scale))
    const from = Math.max(0, Math.min(width - wide, fromMillis * scale))
    return html`<rect
      class="t-${tone(outcome)}"
      x="${from.toFixed(1)}"
      y="0"
      width="${wide.toFixed(1)}"
      height="12"
      rx="1"
      ><title>${outcome}, ${duration(durationMillis)}</title></rect
    >`
  }
  const label = steps.map(({ outcome, durationMillis }) => `${outcome} ${duration(durationMillis)}`).join(", ")
  return html`<svg viewBox="0 0 ${width} 12" preserveAspectRatio="none" role="img" aria-label="${label}">
    <rect class="t-line" x="0" y="5" width="${width}" height="2" />
    ${steps.map(bar)}
  </svg>`
}

/** Items with their story, and with their error where there is one. */
export const itemTable = (rows: ReadonlyArray<Row>, shades: ReadonlyArray<Shade>): Html => {
  const hasErrors = rows.some(({ error }) => error !== undefined)
  const hasIds = rows.some(({ id }) => id !== undefined)
  const item = (row: Row): Html =>
    html`<tr>
      <td class="n">#${row.index}</td>
      ${hasIds ? html`<td class="id">${row.id}</td>` : undefined}
      <td class="n">${duration(row.durationMillis)}</td>
      <td class="n">${duration(row.waitedMillis)}</td>
      <td class="n">${count(row.attempts)}</td>
      <td class="story">${row.steps.length === 0 ? undefined : story(row, shades)}</td>
      ${hasErrors ? reason(row) : undefined}
    </tr> `
  return html`<div class="${hasErrors ? "scroll" : "scroll wide"}">
    <table>
      <thead>
        <tr>
          <th scope="col" class="n">item</th>
          ${hasIds ? html`<th scope="col">id</th>` : undefined}
          <th scope="col" class="n">time</th>
          <th scope="col" class="n">waited</th>
          <th scope="col" class="n">attempts</th>
          <th scope="col">from start to end</th>
          ${
            hasErrors
              ? html`<th scope="col">reason</th>
                  <th scope="col">error</th>`
              : undefined
          }
        </tr>
      </thead>
      <tbody>
        ${rows.map(item)}
      </tbody>
    </table>
  </div>`
}

const reason = ({ error }: Row): Html =>
  error === undefined
    ? html`<td class="code">done</td>
        <td></td>`
    : html`<td class="code">${error.code}</td>
        <td class="text">
          ${html`<p>${error.message}</p>`}
          ${error.requestId === undefined ? undefined : html`<small>request ${error.requestId}</small>`}
        </td>`
