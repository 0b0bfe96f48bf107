/**
 * How much retrying a client may do in all: a bucket of retries that each call fills by a tenth.
 *
 * While nothing succeeds, `retries sent <= ratio * calls + what the bucket held`, whatever the calls ask for. A retry that
 * succeeds was no burden to a dead server and gives its token back, so that a server that fails 30 % of its calls once
 * never empties the bucket. There is no refill by time (Finagle's `minRetriesPerSec`): it would let a slow client retry
 * without end, and what a small client needs of it is in the floor.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

export interface Options {
  /** Retries that each call adds. Default: `0.1`: a dead server gets a tenth more than the calls. */
  readonly ratio?: number | undefined
  /**
   * Retries in the bucket at the start: what a client has that has made few calls. Default: `250`: of 1 000 calls that
   * begin together and fail at 30 %, 300 ± 45 want a retry, and only 100 are deposited by then.
   */
  readonly floor?: number | undefined
  /** The most that the bucket holds. Default: twice the floor, what a server that dies in good times gets at most on top. */
  readonly max?: number | undefined
}

/** A bucket that the calls of one client share. Every method is synchronous and allocates nothing. */
export interface RetryBudget {
  /** A call begins. Once for each call, never for its retries. */
  readonly depositUnsafe: () => void
  /**
   * Takes one retry; `false` when there is none and the call must end with the failure that it has.
   *
   * Call it when the retry is about to be sent, its wait over and its slot granted: a token that is held through a queue
   * is missed by everybody else in it. A throttle whose wait the server named needs none: it says when to come back.
   */
  readonly takeUnsafe: () => boolean
  /** A retry that took a token succeeded: the token goes back. */
  readonly refundUnsafe: () => void
  /** Retries that may be taken now. Below 1 a failed call need not wait: ask before the wait, take after it. */
  readonly available: number
}

// The bucket counts in millionths, since ten times 0.1 is less than 1.
const one = 1_000_000

class Bucket implements RetryBudget {
  private level: number
  private readonly deposit: number
  private readonly max: number

  constructor(options: Options) {
    const floor = options.floor ?? 250
    this.deposit = Math.round((options.ratio ?? 0.1) * one)
    this.max = Math.round((options.max ?? 2 * floor) * one)
    this.level = Math.min(this.max, Math.round(floor * one))
  }

  get available(): number {
    return this.level / one
  }

  depositUnsafe = (): void => {
    this.level = Math.min(this.max, this.level + this.deposit)
  }

  takeUnsafe = (): boolean => {
    if (this.level < one) return false
    this.level -= one
    return true
  }

  refundUnsafe = (): void => {
    this.level = Math.min(this.max, this.level + one)
  }
}

/** A bucket with a state of its own: make one for each server that a client calls. */
export const makeUnsafe = (options: Options = {}): RetryBudget => new Bucket(options)

/** A bucket with a state of its own: make one for each server that a client calls. */
export const make = (options: Options = {}): Effect.Effect<RetryBudget> => Effect.sync(() => makeUnsafe(options))

/**
 * `Effect.retry` within a budget, for an effect that stands alone: the schedule says when and how often, the budget
 * whether there is still a retry to spend. Without one the effect fails with the error that it has.
 */
export const retry =
  <Input>(budget: RetryBudget, schedule: Schedule.Schedule<unknown, Input>) =>
  <A, E extends Input, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      budget.depositUnsafe()
      let failed: { readonly error: E } | undefined
      const refunded = Effect.tap(self, () => Effect.sync(budget.refundUnsafe))
      const send = Effect.suspend(() => {
        if (failed === undefined) return self
        return budget.takeUnsafe() ? refunded : Effect.fail(failed.error)
      })
      const remembered = Effect.tapError(send, (error) => Effect.sync(() => void (failed = { error })))
      return Effect.retry(
        remembered,
        Schedule.while(schedule, () => budget.available >= 1)
      )
    })
