/**
 * One limit over a sliding window, exactly: whatever window one looks at, what was added within it is at most `limit`.
 *
 * A log of what was added when. Past a thousand entries, those within a thousandth of the window are one that stands at
 * the latest time: the log stays under two thousand and errs only towards too strict (by up to 60 ms of a minute).
 */
const grains = 1000

export class Window {
  limit: number
  readonly millis: number
  /** What the window holds at the moment, expired entries included until `wait` or `isEmpty` looks. */
  used = 0
  private readonly grainMillis: number
  private firsts: Array<number> = []
  private lasts: Array<number> = []
  private amounts: Array<number> = []
  private head = 0

  constructor(limit: number, millis: number) {
    this.limit = limit
    this.millis = millis
    this.grainMillis = millis / grains
  }

  /**
   * Milliseconds until `amount` fits: 0 when it does now. More than the whole limit fits an empty window, alone. Behind
   * others who wait for `ahead` in all it is the least that it can be.
   */
  wait(amount: number, now: number, ahead = 0): number {
    this.expire(now)
    const excess = this.used + ahead + Math.min(amount, this.limit) - this.limit
    if (excess <= 0) return 0
    // A window's length after what is held has left, what came in its place leaves, and so on.
    const perWindow = Math.max(this.limit, this.used)
    const windows = Math.ceil(excess / perWindow) - 1
    return windows * this.millis + this.untilFreed(excess - windows * perWindow, now)
  }

  /** Milliseconds until so many of the oldest have left. */
  private untilFreed(amount: number, now: number): number {
    if (amount > this.used) return this.millis
    let index = this.head
    let left = amount - (this.amounts[index] ?? amount)
    while (left > 0) left -= this.amounts[++index] ?? left
    return this.leavesAt(index) - now
  }

  /** Adds `amount` at `now`, which is not before anything that was added. */
  add(amount: number, now: number): void {
    const last = this.lasts.length - 1
    const grain = last - this.head < grains ? 0 : this.grainMillis
    this.used += amount
    if (last >= this.head && now - (this.firsts[last] ?? -Infinity) <= grain) {
      this.lasts[last] = now
      this.amounts[last] = (this.amounts[last] ?? 0) + amount
      return
    }
    this.firsts.push(now)
    this.lasts.push(now)
    this.amounts.push(amount)
  }

  /** Takes back what was added at `at`. What has left the window already is gone. */
  remove(amount: number, at: number): void {
    const index = this.indexOf(at)
    const held = this.amounts[index]
    if (held === undefined) return
    const taken = Math.min(held, amount)
    this.amounts[index] = held - taken
    this.used -= taken
  }

  isEmpty(now: number): boolean {
    this.expire(now)
    return this.head === this.lasts.length
  }

  /** When an entry has left. The clock counts whole milliseconds, so a window that is full is over one later. */
  private leavesAt(index: number): number {
    return (this.lasts[index] ?? 0) + this.millis + 1
  }

  /** The first entry that ends at `at` or later: the one that `at` was added to. */
  private indexOf(at: number): number {
    let low = this.head
    let high = this.lasts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.lasts[middle] ?? 0) < at) low = middle + 1
      else high = middle
    }
    return low
  }

  private expire(now: number): void {
    const { lasts } = this
    while (this.head < lasts.length && this.leavesAt(this.head) <= now) this.used -= this.amounts[this.head++] ?? 0
    if (this.head === 0) return
    if (this.head === lasts.length) {
      this.used = 0
      this.firsts.length = this.lasts.length = this.amounts.length = this.head = 0
    } else if (this.head > 64 && this.head * 2 > lasts.length) {
      this.firsts = this.firsts.slice(this.head)
      this.lasts = lasts.slice(this.head)
      this.amounts = this.amounts.slice(this.head)
      this.head = 0
    }
  }
}
