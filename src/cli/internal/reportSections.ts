/** The sections of the page, from its head to its foot. */
import * as DateTime from "effect/DateTime"
import type { Shade } from "./reportData.ts"
import type { Figures } from "./reportFigures.ts"
import { count, duration, money, percent } from "./reportFormat.ts"
import { html, type Html } from "./reportHtml.ts"
import { cut } from "./reportKept.ts"
import type { About } from "./reportPage.ts"
import * as Tables from "./reportTables.ts"
import { type Times, workedMillis } from "./reportTime.ts"

const many = (n: number, one: string, more = `${one}s`): string => `${count(n)} ${n === 1 ? one : more}`

const lengthOf = (times: Times): number => workedMillis(times, times.endMillis)

const day = { locale: "en-GB", day: "numeric", month: "short", year: "numeric" } as const
const time = { locale: "en-GB", hour: "2-digit", minute: "2-digit", second: "2-digit" } as const

/** `30 Nov 2026, 18:02:11 to 18:14:50 UTC`. */
const when = ({ startMillis, endMillis }: Times): string => {
  const write = (millis: number, how: typeof day | typeof time): string =>
    DateTime.formatUtc(DateTime.makeUnsafe(millis), how)
  const isOneDay = write(startMillis, day) === write(endMillis, day)
  const end = isOneDay ? write(endMillis, time) : `${write(endMillis, day)}, ${write(endMillis, time)}`
  return `${write(startMillis, day)}, ${write(startMillis, time)} to ${end} UTC`
}

const square = (tone: string): Html =>
  html`<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="t-${tone}" width="10" height="10" /></svg>`

const legend = (
  entries: ReadonlyArray<{ readonly name: string; readonly tone: string; readonly count?: number }>
): Html =>
  html`<ul class="legend">
    ${entries.map(
      ({ name, tone, count: n }) =>
        html`<li>${square(tone)}${name}${n === undefined ? undefined : html` <b>${count(n)}</b>`}</li>`
    )}
  </ul>`

/** What it is, when it was, what came of it. */
export const header = (figures: Figures, { name }: About): Html => {
  const { done, duplicates, endpoints, failed, items, times } = figures
  const hosts = endpoints.slice(0, 3).map((endpoint) => endpoint.name)
  const more = endpoints.length > 3 ? ` and ${endpoints.length - 3} more` : ""
  const share = (1000 * done) / items
  const copies = duplicates === 0 ? "" : `, ${count(duplicates)} of them answered by an equal item before`
  return html`<header>
      <p class="kicker">Batch report</p>
      <h1>${cut(name, 120)}</h1>
      <p class="about">
        ${times.endMillis === 0 ? undefined : html`<span>${when(times)}</span>`}${hosts.length === 0 ? undefined : html`<span>${hosts.join(", ")}${more}</span>`}
      </p>
    </header>
    <section class="card" aria-label="Result">
      <p class="result">
        <strong>${percent(done, items)} done</strong><span>${count(done)} of ${many(items, "item")}${copies}</span>
      </p>
      <svg
        class="share"
        viewBox="0 0 1000 10"
        preserveAspectRatio="none"
        role="img"
        aria-label="${count(done)} done, ${count(failed)} failed"
      >
        <rect class="t-a" width="1000" height="10" />
        <rect class="t-ok" width="${share.toFixed(1)}" height="10" />
      </svg>
      ${legend([
        { name: "done", tone: "ok", count: done },
        { name: "failed", tone: "a", count: failed }
      ])}
    </section>
    ${tiles(figures)}`
}

const tile = (name: string, value: string, more: string): Html =>
  html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
    <dd>${more}</dd>
  </div>`

const tiles = (figures: Figures): Html => {
  const { attempts, hedges, items, retries, times } = figures
  const { p50, p95, p99 } = figures.itemLatency
  const millis = lengthOf(times)
  const paused = times.endMillis - times.startMillis - millis
  const perSecond = millis === 0 ? undefined : items / (millis / 1000)
  const extra = `${many(retries, "retry", "retries")}${hedges === 0 ? "" : `, ${many(hedges, "hedge")}`}`
  const rated = perSecond === undefined ? "no time passed" : `${count(perSecond * 3600)} items an hour`
  return html`<dl class="tiles">
    ${tile("Attempts", count(attempts), extra)}
    ${tile("Wall time", duration(millis), paused === 0 ? "first start to last end" : `and ${duration(paused)} of pause`)}
    ${tile("Rate", perSecond === undefined ? "-" : rate(perSecond), rated)}
    ${tile("Time of an item (p50)", duration(p50), `p95 ${duration(p95)}, p99 ${duration(p99)}`)} ${tokensTile(figures)}
    ${costTile(figures)}
  </dl>`
}

/** Of how many items a sum is, where some of those that were done have no part in it. */
const partOf = ({ done, duplicates, items }: Figures, known: number): string =>
  known < done - duplicates ? `, of ${count(known)} of ${many(items, "item")}` : ""

const tokensTile = (figures: Figures): Html => {
  const { counted, usage } = figures
  if (usage === undefined) return tile("Tokens", "not known", "the records have none")
  const { inputTokens, isEstimate, outputTokens } = usage
  const sum = `${isEstimate === true ? "≈ " : ""}${count(inputTokens + outputTokens)}`
  return tile("Tokens", sum, `${count(inputTokens)} in, ${count(outputTokens)} out${partOf(figures, counted)}`)
}

const costTile = (figures: Figures): Html => {
  const { cost, priced } = figures
  if (cost === undefined) return tile("Cost", "not known", "no price was given")
  return tile("Cost", money(cost), `${money(cost / priced)} an item${partOf(figures, priced)}`)
}

const rate = (perSecond: number): string =>
  perSecond >= 1
    ? `${perSecond.toLocaleString("en-US", { maximumSignificantDigits: 3 })} / s`
    : `${(perSecond * 60).toLocaleString("en-US", { maximumSignificantDigits: 3 })} / min`

/** What a reader must know before the figures. */
export const notes = ({ items, itemLatency, times }: Figures, { isTorn, total }: About): Html | undefined => {
  const said = [
    total !== undefined && total > items
      ? `The batch is not at its end: ${many(total - items, "item")} of ${count(total)} have no record yet.`
      : "",
    isTorn ? "The last line of the file was cut off and is left out." : "",
    times.pauses.length > 0
      ? `${many(times.pauses.length, "pause is", "pauses are")} left out of the charts, and marked there: nothing was under way, as between a stop and its resumption.`
      : "",
    itemLatency.isSampled ? "There are so many items that the quantiles are those of an even sample." : ""
  ].filter((note) => note !== "")
  return said.length === 0
    ? undefined
    : html`<ul class="notes">
        ${said.map((note) => html`<li>${note}</li>`)}
      </ul>`
}

interface Chart {
  readonly title: string
  readonly summary: string
  readonly id: string
  readonly label?: string
  readonly before?: Html
  readonly after?: Html | undefined
}

const canvas = (id: string, label: string): Html =>
  html`<div class="box"><canvas id="${id}" role="img" aria-label="${label}"></canvas></div>`

const chart = ({ after, before, id, label, summary, title }: Chart): Html =>
  html`<figure class="card">
    <figcaption>
      <h2>${title}</h2>
      <p class="summary">${summary}</p>
    </figcaption>
    ${before}${canvas(id, label ?? `${title}. ${summary}`)}${after}
  </figure>`

const empty = (title: string, summary: string): Html =>
  html`<section class="card">
    <h2>${title}</h2>
    <p class="summary">${summary}</p>
  </section>`

/** Charts and tables. */
export const sections = (figures: Figures, shades: ReadonlyArray<Shade>): Html =>
  html` <noscript
      ><p class="notes">The charts need JavaScript; the tables below them have the same figures.</p></noscript
    >
    ${timeline(figures, shades)}
    <div class="two">${latency(figures)}${reasons(figures)}</div>
    <div class="two">${tokens(figures)}${cost(figures)}</div>
    ${failures(figures, shades)} ${slowest(figures, shades)}
    <div class="two">${endpoints(figures)}${waits(figures)}</div>
    ${footer}`

const timeline = (figures: Figures, shades: ReadonlyArray<Shade>): Html => {
  const { bars, count: n, flight, lanes, unit } = figures.timeline
  const title = unit === "attempts" ? "Attempts over time" : "Items over time"
  const of = unit === "attempts" ? "attempt" : "item, as no attempts are recorded"
  if (n === 0) return empty(title, "Nothing was asked.")
  const before = legend(shades)
  const after = Tables.outcomeTable(figures)
  const each = `Each bar is an ${of}, from its start to its end; each line holds those that follow one another.`
  if (flight === undefined)
    return chart({
      title,
      summary: `${many(n, unit.slice(0, -1))}, ${count(lanes)} at once at the most. ${each}`,
      id: "bars",
      before,
      after
    })
  const why = bars.length === 0 ? "too many at once" : "too many"
  const summary = `${count(n)} ${unit} are ${why} to draw each: this is how many were under way, on average of each slice of ${duration(flight.widthMillis)}.`
  const closeUp = `The first ${count(bars.length)} ${unit}, one by one. ${each}`
  const second = html`<p class="summary closeup">${closeUp}</p>
    ${canvas("bars", closeUp)}`
  return chart({ title, summary, id: "flight", before, after: html`${bars.length === 0 ? undefined : second}${after}` })
}

const latency = (figures: Figures): Html => {
  const { count: n, p50, p95 } = figures.itemLatency
  const title = "Time of an item"
  if (n === 0) return empty(title, "Nothing was asked.")
  const summary = `Half of ${many(n, "item")} took at most ${duration(p50)}, all but 5 % at most ${duration(p95)}. The axis is logarithmic.`
  const before = legend([
    { name: "done", tone: "ok" },
    { name: "failed", tone: "a" }
  ])
  const after = html`${Tables.latencyTable(figures)}${Tables.histogramTable(figures)}`
  return chart({ title, summary, id: "histogram", before, after })
}

const reasons = (figures: Figures): Html => {
  const { failed, reasons, retries } = figures
  const title = "Failures by reason"
  const attempts = reasons.reduce((sum, reason) => sum + reason.attempts, 0)
  if (reasons.length === 0) return empty(title, "No attempt and no item has failed.")
  const summary = `${many(attempts, "attempt")} failed and ${many(retries, "retry was", "retries were")} made; ${many(failed, "item")} failed in the end.${
    reasons.length > 10 ? " The ten most frequent reasons are drawn." : ""
  }`
  const before = legend([
    { name: "failed attempts", tone: "b" },
    { name: "failed items", tone: "a" }
  ])
  return chart({ title, summary, id: "reasons", before, after: Tables.reasonTable(figures) })
}

const tokens = (figures: Figures): Html => {
  const { usage } = figures
  const title = "Tokens over time"
  if (usage === undefined) return empty(title, "The records have no tokens.")
  const { cachedInputTokens: cached = 0, reasoningTokens: thought = 0 } = usage
  const parts = [
    cached > 0 ? `${count(cached)} of the input came from a cache` : "",
    thought > 0 ? `${count(thought)} of the output was reasoning` : "",
    usage.isEstimate === true ? "some are estimates, where the provider did not say" : ""
  ].filter((part) => part !== "")
  const summary = `${count(usage.inputTokens)} in and ${count(usage.outputTokens)} out, summed up as items ended.${
    parts.length === 0 ? "" : ` ${parts.join("; ").replace(/^s/, "S")}.`
  }`
  const before = legend([
    { name: "input", tone: "ok", count: usage.inputTokens },
    { name: "output", tone: "d", count: usage.outputTokens }
  ])
  return chart({ title, summary, id: "tokens", before, after: Tables.spendingTable(figures, "tokens") })
}

const cost = (figures: Figures): Html => {
  const { cost, priced } = figures
  const title = "Cost over time"
  if (cost === undefined) return empty(title, "The records have no cost: no price was given for the model.")
  const summary = `${money(cost)} for ${many(priced, "item")}, summed up as items ended.`
  const before = legend([{ name: "cost in US dollars", tone: "c" }])
  return chart({ title, summary, id: "cost", before, after: Tables.spendingTable(figures, "cost") })
}

// More are a click away.
const openFailures = 10

const failures = (figures: Figures, shades: ReadonlyArray<Shade>): Html | undefined => {
  const { failed, failures } = figures
  if (failures.length === 0) return undefined
  const rest = failures.slice(openFailures)
  const more = failed - failures.length
  return html`<section class="card long">
    <h2>Failed items</h2>
    <p class="summary">In the order of the input; the bars are the attempts of each item.</p>
    ${Tables.itemTable(failures.slice(0, openFailures), shades)}
    ${rest.length === 0 ? undefined : Tables.folded(`The next ${count(rest.length)}`, Tables.itemTable(rest, shades))}
    ${more > 0 ? html`<p class="more">and ${count(more)} more, which are in the records</p>` : undefined}
  </section>`
}

const slowest = ({ slowest }: Figures, shades: ReadonlyArray<Shade>): Html | undefined =>
  slowest.length === 0
    ? undefined
    : html`<section class="card long">
        <h2>Slowest items</h2>
        <p class="summary">The ${count(slowest.length)} that took the longest, waits included.</p>
        ${Tables.itemTable(slowest, shades)}
      </section>`

const endpoints = (figures: Figures): Html | undefined =>
  figures.endpoints.length === 0
    ? undefined
    : html`<section class="card">
        <h2>Endpoints</h2>
        ${Tables.endpointTable(figures)}
      </section>`

const waits = (figures: Figures): Html | undefined =>
  Tables.waitRows(figures).length === 0
    ? undefined
    : html`<section class="card">
        <h2>Waits</h2>
        ${Tables.waitTable(figures)}
      </section>`

const footer = html`<footer>
  An item is a line of the input, #0 the first. Its time goes from the start of its work to its end, with all attempts
  and all waits between them; items that an equal one has answered have none. Retries are attempts beyond an item's
  first, hedges not among them. Quantiles are exact up to a million (nearest rank). Made by holdfast from the records
  alone, with Chart.js; this file asks for nothing from the network.
</footer>`
