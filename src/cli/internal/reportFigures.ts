/** The figures of a report, counted record by record: what is kept does not grow with the batch. */
import * as Usage from "../../llm/Usage.ts"
import type { Attempt, BatchRecord } from "../../work/BatchRecord.ts"
import { Names, Rows, type Row, Timeline, type Timelines } from "./reportKept.ts"
import { type Bin, Histogram, Sample } from "./reportSample.ts"
import { Busy, type Slice, Slices, type Times } from "./reportTime.ts"

/** How long something took, in milliseconds. */
export interface Latency {
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
  /** There were so many that the quantiles are those of a sample. */
  readonly isSampled: boolean
}

/** A reason of failures. */
export interface Reason {
  readonly name: string
  /** Attempts that failed for it, whatever became of their item. */
  readonly attempts: number
  /** Items that failed for it in the end. */
  readonly items: number
}

/** What was called. */
export interface EndpointRow {
  readonly name: string
  readonly attempts: number
  readonly ok: number
}

/** Where an item's time goes besides its attempts, summed over all items, in milliseconds. */
export interface Waits {
  readonly backoff: number
  readonly retryAfter: number
  readonly hedge: number
  readonly queued: number
}

/** Everything that the page says. */
export interface Figures {
  readonly items: number
  readonly done: number
  readonly failed: number
  /** Of the items, those that an earlier, equal one has answered. */
  readonly duplicates: number
  readonly attempts: number
  /** Attempts beyond the first of each item, hedges not among them. */
  readonly retries: number
  readonly hedges: number
  /** Absent when no record has it. */
  readonly usage: Usage.Usage | undefined
  /** Items whose tokens are known. */
  readonly counted: number
  /** US dollars. Absent when no record has a cost. */
  readonly cost: number | undefined
  /** Items whose cost is known. */
  readonly priced: number
  readonly times: Times
  readonly itemLatency: Latency
  readonly attemptLatency: Latency
  readonly waits: Waits
  readonly reasons: ReadonlyArray<Reason>
  readonly endpoints: ReadonlyArray<EndpointRow>
  /** Of the items by their duration; done, failed. */
  readonly histogram: ReadonlyArray<Bin>
  readonly timeline: Timelines
  /** Input tokens, output tokens, cost and items by the time of their end. */
  readonly spending: { readonly widthMillis: number; readonly slices: ReadonlyArray<Slice> }
  readonly slowest: ReadonlyArray<Row>
  /** The first ones; `failed` says how many there are. */
  readonly failures: ReadonlyArray<Row>
}

// As many as a person reads; all of them are in the records.
const maxFailures = 50
const maxSlowest = 20

/** Counts the records of one batch. */
export class Tally {
  private readonly counts = {
    items: 0,
    done: 0,
    failed: 0,
    duplicates: 0,
    attempts: 0,
    retries: 0,
    hedges: 0,
    counted: 0,
    priced: 0,
    cost: 0
  }
  private usage: Usage.Usage | undefined
  private readonly waits = { none: 0, backoff: 0, retryAfter: 0, hedge: 0, queued: 0 }
  private readonly reasons = new Names(2)
  private readonly endpoints = new Names(2)
  private readonly itemTimes = new Sample()
  private readonly attemptTimes = new Sample()
  private readonly histogram = new Histogram(2)
  private readonly spending = new Slices()
  private readonly busy = new Busy()
  private readonly attemptLine = new Timeline("attempts")
  private readonly itemLine = new Timeline("items")
  private readonly rows = new Rows(maxFailures, maxSlowest)

  add(record: BatchRecord): void {
    const isDone = record.outcome === "done"
    this.counts.items++
    this.counts[isDone ? "done" : "failed"]++
    if (!isDone) this.reasons.add(record.error.code, 1)
    if (record.duplicateOf === undefined) this.addAsked(record)
    // A copy of a failure is told of by the failure itself.
    else this.counts.duplicates++
  }

  private addAsked(record: BatchRecord): void {
    const { attempts, durationMillis, startMillis } = record
    const isDone = record.outcome === "done"
    this.rows.add(record)
    this.itemTimes.add(durationMillis)
    this.histogram.add(durationMillis, isDone ? 0 : 1)
    this.busy.add(startMillis, startMillis + durationMillis)
    this.itemLine.add({ ...record, outcome: isDone ? "ok" : record.error.code }, record)
    this.addSpending(record)
    for (const [index, attempt] of attempts.entries()) this.addAttempt(record, attempt, index > 0)
  }

  private addSpending({ usage, cost, startMillis, durationMillis }: BatchRecord): void {
    const { counts } = this
    if (usage !== undefined) {
      counts.counted++
      this.usage = Usage.add(this.usage ?? Usage.empty, usage)
    }
    if (cost !== undefined) {
      counts.priced++
      counts.cost += cost
    }
    const spent = [usage?.inputTokens ?? 0, usage?.outputTokens ?? 0, cost ?? 0, 1]
    this.spending.add(startMillis + durationMillis, spent)
  }

  private addAttempt(record: BatchRecord, attempt: Attempt, isLater: boolean): void {
    const { durationMillis, endpoint, outcome, startMillis, waitCause = "none", waitMillis = 0 } = attempt
    const isOk = outcome === "ok"
    this.counts.attempts++
    if (waitCause === "hedge") this.counts.hedges++
    else if (isLater) this.counts.retries++
    this.waits[waitCause] += waitMillis
    this.waits.queued += attempt.queuedMillis ?? 0
    this.busy.add(startMillis, startMillis + durationMillis)
    this.attemptTimes.add(durationMillis)
    this.attemptLine.add(attempt, record)
    this.endpoints.add(endpoint, 0)
    if (isOk) this.endpoints.add(endpoint, 1)
    else this.reasons.add(outcome, 0)
  }

  toFigures(): Figures {
    const times = this.busy.toTimes()
    const { cost, priced, ...counts } = this.counts
    const { none: _, ...waits } = this.waits
    return {
      ...counts,
      priced,
      cost: priced === 0 ? undefined : cost,
      usage: this.usage,
      times,
      itemLatency: latencyOf(this.itemTimes),
      attemptLatency: latencyOf(this.attemptTimes),
      waits,
      reasons: this.reasons.sorted().map(({ name, counts: [attempts = 0, items = 0] }) => ({ name, attempts, items })),
      endpoints: this.endpoints.sorted().map(({ name, counts: [attempts = 0, ok = 0] }) => ({ name, attempts, ok })),
      histogram: this.histogram.toBins(),
      // Whoever works without a policy records no attempts: then the items themselves are shown.
      timeline: (counts.attempts > 0 ? this.attemptLine : this.itemLine).toTimelines(times),
      spending: { widthMillis: this.spending.widthMillis, slices: this.spending.sorted() },
      slowest: this.rows.slowest(),
      failures: this.rows.failures
    }
  }
}

const latencyOf = (sample: Sample): Latency => {
  const [p50 = 0, p95 = 0, p99 = 0] = sample.quantiles([0.5, 0.95, 0.99])
  return { count: sample.seen, p50, p95, p99, max: sample.max, isSampled: sample.isSampled }
}
