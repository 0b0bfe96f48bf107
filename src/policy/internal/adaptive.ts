/**
 * A limit that finds the capacity of what is called: it grows while growing helps and steps back when it does not.
 *
 * Up: halfway to the last limit that was too high, then past it in doubling steps (binary increase, as BIC does).
 * Down: at once on a throttle, by `backoffRatio`; on timeouts by their share; on latency where power, calls in flight
 * ÷ latency², falls below its best: at most as many calls as capacity serves at the latency of that best (Little's
 * law). Power peaks at the knee, where more calls only wait longer (Kleinrock, "Power and deterministic rules of thumb
 * for probabilistic problems in computer communications", ICC 1979). The best is measured again after each step back,
 * so calls that become longer for reasons of their own cost one dip.
 */
import type { Sample } from "../Concurrency.ts"

export interface Settings {
  readonly min: number
  readonly max: number
  readonly initial: number
  readonly backoffRatio: number
}

// A window of fewer calls says too little about latency, even at a limit of 1.
const leastWindow = 5

// Timeouts happen to single calls too; more than one in twenty is the server.
const timeoutShare = 0.05

// A window is up to four times as long where latencies scatter, until their mean is known to 5 %.
const longestWindow = 4
const sureError = 0.05

// How far power falls below its best before that is taken for congestion: 4 % past the knee.
const tolerance = Math.log(0.96)

/** The mean logarithm of a window's latencies and its standard error: one answer ten times as long moves it little. */
class Latency {
  count = 0
  private sum = 0
  private squares = 0

  add(millis: number): void {
    const logarithm = Math.log(Math.max(1, millis))
    this.count++
    this.sum += logarithm
    this.squares += logarithm ** 2
  }

  get mean(): number {
    return this.sum / this.count
  }

  get error(): number {
    const variance = Math.max(0, this.squares / this.count - this.mean ** 2)
    return Math.sqrt(variance / this.count)
  }
}

/** The logarithms of the best power and of the latency there. */
interface Best {
  readonly power: number
  readonly latency: number
}

export class AdaptiveLimit {
  limit: number
  private readonly min: number
  private max: number
  private readonly backoffRatio: number
  /** The last limit that was too high. */
  private ceiling = Infinity
  private step = 1
  /** Calls in flight since before the last change: what they say is about the limit before. */
  private stale = 0
  private isGrowing = false
  private latency = new Latency()
  private timeouts = 0
  private full = 0
  private best: Best | undefined = undefined

  constructor({ backoffRatio, initial, max, min }: Settings) {
    this.min = min
    this.max = max
    this.backoffRatio = backoffRatio
    this.limit = this.clamp(initial)
  }

  private clamp(limit: number): number {
    return Math.max(Math.min(this.min, this.max), Math.min(this.max, Math.floor(limit)))
  }

  /** Sets the largest limit. */
  bound(max: number): void {
    this.max = max
    this.limit = this.clamp(this.limit)
  }

  /** Takes in how a call ended. `inFlight` counts that call. */
  observe({ durationMillis, outcome }: Sample, inFlight: number): void {
    // A throttle right after a step up is news; after a step back it speaks of the limit before.
    const isNews = this.stale === 0 || this.isGrowing
    if (outcome === "throttled" && isNews) return this.backOff(this.halfOr(inFlight), this.backoffRatio, inFlight)
    if (this.stale > 0) {
      this.stale--
      return
    }
    if (outcome === "ok") this.latency.add(durationMillis)
    else if (outcome === "timeout") this.timeouts++
    else return
    if (inFlight >= this.limit * 0.9) this.full++
    const count = this.latency.count + this.timeouts
    const wanted = Math.max(this.limit, leastWindow)
    if (count >= wanted && (this.latency.error <= sureError || count >= wanted * longestWindow)) {
      this.decide(count, inFlight)
    }
  }

  private decide(count: number, inFlight: number): void {
    const { latency, timeouts } = this
    // Where fewer calls are made than the limit allows, they say nothing about it.
    const isUsed = this.full * 2 > count
    this.begin()
    if (timeouts > 1 && timeouts > count * timeoutShare) {
      const ratio = Math.max(0.5, Math.min(this.backoffRatio, 1 - timeouts / count))
      return this.backOff(this.halfOr(inFlight), ratio, inFlight)
    }
    if (!isUsed || latency.count === 0) return
    const { best, limit } = this
    const { error, mean } = latency
    if (best !== undefined && Math.log(limit) - 2 * (mean - error) < best.power + tolerance) {
      return this.backOff(limit * Math.exp(Math.min(0, best.latency - mean + error)), this.backoffRatio, inFlight)
    }
    const power = Math.log(limit) - 2 * (mean + error)
    if (best === undefined || power > best.power) this.best = { power, latency: mean }
    this.grow(inFlight)
  }

  private grow(inFlight: number): void {
    const before = this.limit
    if (before < this.ceiling && this.ceiling !== Infinity) {
      this.limit = this.clamp(before + Math.ceil((this.ceiling - before) / 2))
    } else {
      this.limit = this.clamp(before + this.step)
      // In steps of a quarter at most, so that the first one that is too large is not much too large.
      this.step = Math.min(this.step * 2, Math.max(1, before >> 2))
    }
    if (this.limit === before) return
    this.isGrowing = true
    this.stale = inFlight - 1
  }

  /** Steps back from `capacity`, which is also how far it goes up again in large steps. */
  private backOff(capacity: number, ratio: number, inFlight: number): void {
    this.ceiling = Math.max(this.min, Math.min(this.limit, Math.ceil(capacity)))
    this.limit = this.clamp(Math.min(this.limit - 1, capacity * ratio))
    this.isGrowing = false
    this.step = 1
    this.best = undefined
    this.stale = inFlight - 1
    this.begin()
  }

  /** What was in flight was too much, but a throttle of a quiet hour is no reason to forget more than half. */
  private halfOr(inFlight: number): number {
    return Math.min(this.limit, Math.max(this.limit / 2, inFlight))
  }

  private begin(): void {
    this.latency = new Latency()
    this.timeouts = 0
    this.full = 0
  }
}
