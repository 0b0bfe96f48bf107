/** Numbers of which quantiles are asked, and how they are spread. */

/** Kept one by one up to this many, 8 bytes each; a larger file has an even sample of them. */
const maxKept = 1_000_000

/** All numbers up to a bound, above it an even sample (Vitter's algorithm R), the same for the same file. */
export class Sample {
  seen = 0
  max = 0
  private kept = new Float64Array(1024)
  private state = 0x9e3779b9
  private readonly limit: number

  constructor(limit = maxKept) {
    this.limit = limit
  }

  add(value: number): void {
    this.seen++
    this.max = Math.max(this.max, value)
    const at = this.seen <= this.limit ? this.seen - 1 : Math.floor(this.random() * this.seen)
    if (at >= this.limit) return
    if (at >= this.kept.length) {
      const larger = new Float64Array(Math.min(this.limit, this.kept.length * 2))
      larger.set(this.kept)
      this.kept = larger
    }
    this.kept[at] = value
  }

  get isSampled(): boolean {
    return this.seen > this.limit
  }

  /** The smallest number that at least this share of the numbers does not exceed (nearest rank). */
  quantiles(shares: ReadonlyArray<number>): ReadonlyArray<number> {
    const count = Math.min(this.seen, this.limit)
    const sorted = this.kept.slice(0, count).sort()
    return shares.map((share) => sorted[Math.max(0, Math.ceil(share * count) - 1)] ?? 0)
  }

  /** From 0 up to 1, by xorshift32: no page needs more than evenness. */
  private random(): number {
    this.state ^= this.state << 13
    this.state ^= this.state >>> 17
    this.state ^= this.state << 5
    return (this.state >>> 0) / 2 ** 32
  }
}

/** One bar of a histogram, from its lower edge up to its upper one, which is not in it. */
export interface Bin {
  readonly fromMillis: number
  readonly toMillis: number
  readonly counts: ReadonlyArray<number>
}

// IEC 60063, series E24: round numbers, each about a tenth more than the one before; every other one is E12, and so on.
const e24 = [
  1, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2, 2.2, 2.4, 2.7, 3, 3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1
] as const

/** At most as many bars as are told apart on a page, and few enough that a bar is more than one or two of its numbers. */
const maxBins = (seen: number): number => Math.min(40, Math.max(8, Math.floor(2 * Math.sqrt(seen))))

/** Counts by logarithmic bins with round edges; everything under a millisecond is in the first. */
export class Histogram {
  private readonly bins = new Map<number, Array<number>>()
  private seen = 0
  private readonly columns: number

  constructor(columns: number) {
    this.columns = columns
  }

  add(millis: number, column: number): void {
    this.seen++
    const key = keyOf(millis)
    const counts = this.bins.get(key) ?? Array.from({ length: this.columns }, () => 0)
    counts[column] = (counts[column] ?? 0) + 1
    this.bins.set(key, counts)
  }

  /** The bins from the lowest to the highest that is not empty, as fine as the page can show them. */
  toBins(): ReadonlyArray<Bin> {
    const keys = [...this.bins.keys()].sort((a, b) => a - b)
    const low = keys[0] ?? 0
    const high = keys.at(-1) ?? -1
    let step = 1
    while (Math.floor(high / step) - Math.floor(low / step) >= maxBins(this.seen) && step < 8) step *= 2
    const bins: Array<Bin> = []
    for (let key = Math.floor(low / step); key <= Math.floor(high / step); key++) {
      const counts = Array.from({ length: this.columns }, () => 0)
      for (let part = key * step; part < (key + 1) * step; part++)
        this.bins.get(part)?.forEach((count, column) => (counts[column] = (counts[column] ?? 0) + count))
      bins.push({ fromMillis: edgeOf(key * step), toMillis: edgeOf((key + 1) * step), counts })
    }
    return bins
  }
}

// The first bin has the key 0 and starts at 0; that of 1 ms has the key 8, so that coarser bins start with it too.
const firstKey = 8

const keyOf = (millis: number): number => {
  if (!(millis >= 1)) return firstKey - 1
  const decade = Math.floor(Math.log10(millis) + 1e-12)
  const mantissa = millis / 10 ** decade
  const index = e24.findLastIndex((edge) => edge <= mantissa * (1 + 1e-12))
  return firstKey + decade * e24.length + Math.max(0, index)
}

const edgeOf = (key: number): number => {
  if (key < firstKey) return 0
  const decade = Math.floor((key - firstKey) / e24.length)
  return Number(`${e24[(key - firstKey) % e24.length] ?? 1}e${decade}`)
}
