/** A percentile of the latest latencies, in fixed memory. */

/** Latencies that are kept: enough that the 95th percentile rests on a dozen of them. */
const size = 256
/** Measurements between two sorts, fewer while there are few: a sort of 256 costs 10 µs, so a send pays 0.3. */
const stride = 32

export class Latencies {
  private readonly percentile: number
  private readonly minSamples: number
  private readonly ring = new Float64Array(size)
  private count = 0
  private sortedAt = 0
  private current: number | undefined

  constructor(percentile: number, minSamples: number) {
    this.percentile = percentile
    this.minSamples = Math.max(1, Math.min(size, minSamples))
  }

  record(millis: number): void {
    this.ring[this.count++ % size] = millis
  }

  /** `undefined` until enough is measured. */
  get percentileMillis(): number | undefined {
    if (this.count < this.minSamples) return undefined
    if (this.current === undefined || this.count - this.sortedAt >= Math.min(stride, this.count >> 2)) {
      const sorted = this.ring.slice(0, Math.min(this.count, size)).sort()
      this.current = sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * this.percentile) - 1)]
      this.sortedAt = this.count
    }
    return this.current
  }
}
