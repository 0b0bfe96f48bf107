/** What may be used of one kind, requests or tokens, of one key: the windows that were set, and what the provider said. */
import type { Quota } from "../RateLimit.ts"
import { Window } from "./window.ts"

/** A limit that was set: how much in which time. */
export interface Cap {
  readonly limit: number
  readonly millis: number
}

/** A rate over a window: at least one unit, in as long as that takes. */
export const capOf = (rate: number, perMillis: number, windowMillis: number): Cap => {
  if (!(rate > 0)) throw new RangeError(`a rate limit of ${rate} lets nothing pass; leave it out or give more than 0`)
  const limit = Math.floor((rate * windowMillis) / perMillis)
  return limit >= 1 ? { limit, millis: windowMillis } : { limit: 1, millis: Math.ceil(perMillis / rate) }
}

/** What the provider has left for us until a time, counted against `taken`. */
interface Fence {
  readonly untilMillis: number
  /** What was taken in all when the provider counted. */
  readonly mark: number
  /** What may have been taken in all before `untilMillis`. */
  end: number
}

export class Allowance {
  /** Everything taken so far; grows only. */
  taken = 0
  private readonly windows: Array<Window>
  private learned: Window | undefined
  private fence: Fence | undefined

  constructor(caps: ReadonlyArray<Cap>) {
    this.windows = caps.map(({ limit, millis }) => new Window(limit, millis))
  }

  /** Milliseconds until `amount` may be taken: 0 when it may now. Behind `ahead` it is the least that it can be. */
  wait(amount: number, now: number, ahead: number): number {
    let longest = this.learned?.wait(amount, now, ahead) ?? 0
    for (const window of this.windows) longest = Math.max(longest, window.wait(amount, now, ahead))
    const { fence } = this
    if (fence === undefined) return longest
    if (fence.untilMillis <= now) this.fence = undefined
    else if (this.taken + ahead + amount > fence.end) return Math.max(longest, fence.untilMillis - now)
    return longest
  }

  take(amount: number, now: number): void {
    this.taken += amount
    this.learned?.add(amount, now)
    for (const window of this.windows) window.add(amount, now)
  }

  /** Frees a part of what was taken at `at`. */
  free(amount: number, at: number): void {
    this.learned?.remove(amount, at)
    for (const window of this.windows) window.remove(amount, at)
  }

  /** Frees what was taken at `at` and has not reached the provider. `mark` is what had been taken in all by then. */
  giveBack(amount: number, at: number, mark: number): void {
    this.free(amount, at)
    // The provider's own count did not have it, so its remainder is as large as it said.
    if (this.fence !== undefined && mark > this.fence.mark) this.fence.end += amount
  }

  /** Whether `amount` is more than a limit that was set. What is learned may change. */
  exceeds(amount: number): boolean {
    return this.windows.some((window) => amount > window.limit)
  }

  /** Takes a provider's word. `mark` is what had been taken in all when the request that it answers was admitted. */
  learn(quota: Quota, millis: number, now: number, maxMillis: number, mark: number): void {
    const { limit, remaining, resetMillis } = quota
    if (remaining !== undefined && resetMillis !== undefined) {
      const untilMillis = now + Math.min(resetMillis, maxMillis)
      this.fence = { untilMillis, mark, end: mark + remaining }
    }
    if (limit === undefined || !(limit >= 1)) return
    const { learned } = this
    if (learned !== undefined && learned.millis === millis) {
      learned.limit = limit
      return
    }
    this.learned = new Window(limit, millis)
    const used = limit - (remaining ?? limit)
    // What was used before we listened leaves the window when the provider resets.
    if (used > 0) this.learned.add(used, Math.min(now, now - millis + (resetMillis ?? millis) - 1))
    if (this.taken > mark) this.learned.add(this.taken - mark, now)
  }

  /** What was taken within the first window that was set or learned. */
  used(now: number): number {
    const window = this.windows[0] ?? this.learned
    return window === undefined || window.isEmpty(now) ? 0 : window.used
  }

  isIdle(now: number): boolean {
    if (this.fence !== undefined && this.fence.untilMillis > now) return false
    return (this.learned?.isEmpty(now) ?? true) && this.windows.every((window) => window.isEmpty(now))
  }
}
