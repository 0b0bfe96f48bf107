/** Adds up the records of a batch: for its progress, and for the table at its end. */
import * as Usage from "../../llm/Usage.ts"
import type { BatchRecord } from "../../work/BatchRecord.ts"

// More failures than this are in the output, not on the screen.
const maxFailures = 20

export class Tally {
  done = 0
  failed = 0
  duplicates = 0
  retries = 0
  usage = Usage.empty
  /** US dollars; `undefined` until an answer had a price. */
  cost: number | undefined
  /** Records of this run. */
  fresh = 0
  readonly reasons = new Map<string, number>()
  /** The first ones, in the order in which they came. */
  readonly failures: Array<string> = []
  /** Milliseconds of each item that was asked: eight bytes for each. */
  private readonly durations: Array<number> = []

  add(record: BatchRecord, isEarlier: boolean): void {
    if (!isEarlier) this.fresh += 1
    if (record.outcome === "done") this.done += 1
    else this.fail(record)
    if (record.duplicateOf !== undefined) this.duplicates += 1
    if (record.attempts.length > 0) this.durations.push(record.durationMillis)
    this.retries += Math.max(0, record.attempts.length - 1)
    if (record.usage !== undefined) this.usage = Usage.add(this.usage, record.usage)
    if (record.cost !== undefined) this.cost = (this.cost ?? 0) + record.cost
  }

  private fail({ error, id, index }: Extract<BatchRecord, { outcome: "failed" }>): void {
    this.failed += 1
    this.reasons.set(error.code, (this.reasons.get(error.code) ?? 0) + 1)
    if (this.failures.length < maxFailures)
      this.failures.push(`${id ?? `item ${index}`}: ${error.message.split("\n", 1)[0] ?? ""}`)
  }

  /** The cost for a person to read. */
  get money(): string {
    return this.cost === undefined ? "-" : `$${this.cost.toFixed(this.cost < 1 ? 4 : 2)}`
  }

  get records(): number {
    return this.done + this.failed
  }

  /** Milliseconds that `share` of the items took at most; `undefined` before the first one. */
  percentiles(shares: ReadonlyArray<number>): ReadonlyArray<number | undefined> {
    const sorted = Float64Array.from(this.durations).sort()
    return shares.map((share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)])
  }
}
