/**
 * Requests and tokens per window, by key: one reservation for both, made before the send and settled after it.
 *
 * The windows slide and are exact: none of them, wherever it begins, holds more than its limit. What a provider says of
 * its own limits is taken as one more limit, so it makes ours smaller and never larger.
 *
 * Written again instead of Effect's `RateLimiter` because that one wants the cost up front, lets twice the limit pass
 * at a window's boundary, and cannot give anything back.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Claim, Gate } from "./Concurrency.ts"
import { type Allowance, type Cap, capOf } from "./internal/allowance.ts"
import { Current, Ledger, Taken, wholeTokens } from "./internal/ledger.ts"
import { Turns } from "./internal/turns.ts"
import type { DeadlineExceeded, Shed } from "./PolicyError.ts"

export { Current } from "./internal/ledger.ts"

export interface Options {
  /** Requests a minute, for each key. Default: none but what the provider says. */
  readonly requestsPerMinute?: number | undefined
  /** Tokens a minute, input and output, for each key. Default: none but what the provider says. */
  readonly tokensPerMinute?: number | undefined
  /** Requests in any 24 hours, for each key. Default: none. */
  readonly requestsPerDay?: number | undefined
  /** Tokens in any 24 hours, for each key. Default: none. */
  readonly tokensPerDay?: number | undefined
  /**
   * The time over which the rates per minute hold. A shorter one spreads the calls over the minute, which it keeps
   * beside it; a longer one allows larger bursts. Default: `"1 minute"`, the time that providers count over.
   */
  readonly window?: Duration.Input | undefined
  /** Tokens reserved for a call that names none. Default: `1000`, a short prompt with a short answer. */
  readonly tokensPerCall?: number | undefined
  /**
   * What becomes of a call larger than a whole window: `"alone"` lets it go when the window is empty, `"refuse"` never.
   * Default: `"alone"`, because the tokens of a call are an estimate, and the largest one.
   */
  readonly oversize?: "alone" | "refuse" | undefined
  /** Whether what the provider says of its limits is obeyed. Default: `true`; it can only make ours smaller. */
  readonly learn?: boolean | undefined
  /** Whether a wait that the provider asked one call for holds the others of its key. Default: `true`; it meant all. */
  readonly pause?: boolean | undefined
  /**
   * The longest time for which a provider's word is believed; then a call may try. Default: `"1 hour"`, the longest
   * window of an API that we know (GitHub's).
   */
  readonly maxPause?: Duration.Input | undefined
  /** Calls that may wait in `withLimit` for each key; one more is `Shed`. Default: 100 000, as for slots. */
  readonly maxQueue?: number | undefined
  /** The longest wait in `withLimit`; a longer one is `Shed` at once. Default: `"Infinity"`, the deadline decides. */
  readonly maxWait?: Duration.Input | undefined
}

/** One request and its tokens, taken out of the windows. It ends once: what is called second does nothing. */
export interface Reservation {
  /** The tokens that were reserved. */
  readonly tokens: number
  /** Gives everything back: nothing was sent. */
  readonly refund: (nowMillis: number) => void
  /**
   * Takes the real usage instead of the estimate; `undefined` keeps the estimate. Fewer tokens make room at once. More
   * of them count from now on, because nobody knows when they were used.
   */
  readonly settle: (actualTokens: number | undefined, nowMillis: number) => void
}

/** What a provider says of one of its limits. */
export interface Quota {
  /** The whole limit. */
  readonly limit?: number | undefined
  /** The time that `limit` is counted over, in milliseconds. Default: the option `window`. */
  readonly windowMillis?: number | undefined
  /** What is left. It holds until `resetMillis`, and says nothing without it. */
  readonly remaining?: number | undefined
  /** Milliseconds from now until all of `limit` is there again. */
  readonly resetMillis?: number | undefined
}

/** What a response says of the limits that it was counted against. */
export interface Hint {
  readonly requests?: Quota | undefined
  readonly tokens?: Quota | undefined
}

/** Requests and their tokens: what a key has used of its windows, or what others wait for. */
export interface Used {
  readonly requests: number
  readonly tokens: number
}

/** A limit is a gate: `Concurrency.make(options, limit)` grants a slot and a reservation together. */
export interface RateLimit extends Gate {
  readonly options: Options
  /** Tokens reserved for a call that names none. */
  readonly tokensPerCall: number
  /**
   * Reserves one request and the claim's tokens, both or nothing, and puts the reservation on the claim. Returns 0 then;
   * otherwise the milliseconds until the same claim fits if nobody else takes anything, `Infinity` if it never does.
   */
  readonly admitUnsafe: (key: string, claim: Claim, nowMillis: number) => number
  /** What `admitUnsafe` would say, and nothing is taken. Behind others who wait it is the least that it can be. */
  readonly waitUnsafe: (key: string, tokens: number | undefined, nowMillis: number, ahead?: Used) => number
  /** Takes what a response said. With the reservation of its call, calls that went out meanwhile are counted too. */
  readonly learnUnsafe: (key: string, hint: Hint, nowMillis: number, reservation?: Reservation) => void
  /** Admits nobody for `key` before `untilMillis`: the provider asked for a wait. The longest one holds. */
  readonly pauseUnsafe: (key: string, untilMillis: number, nowMillis: number) => void
  /** What a key has used, reservations included. */
  readonly usedUnsafe: (key: string, nowMillis: number) => Used
  /** How many keys are remembered: those used within a window, and as many idle ones at most. */
  readonly keysUnsafe: () => number
}

/** What a call says when it runs under a limit. */
export interface Call<A> {
  /** Who shares: for a model its provider, account and name. */
  readonly key: string
  /** Tokens that the call may use, input and output. Default: `tokensPerCall`. */
  readonly tokens?: number | undefined
  /** Reads from the result how many it used. Default: as many as were reserved. */
  readonly tokensOf?: ((result: A) => number | undefined) | undefined
}

const minuteMillis = 60_000
const dayMillis = 86_400_000

/** Keys are looked over for idle ones when there are more than these, and again when they have doubled. */
const minKeys = 1024

const nobody: Used = { requests: 0, tokens: 0 }

const capsOf = (
  perMinute: number | undefined,
  perDay: number | undefined,
  windowMillis: number
): ReadonlyArray<Cap> => {
  const caps: Array<Cap> = []
  if (perMinute !== undefined) {
    // The minute is kept beside a shorter window, in which a call larger than it would go alone, and again and again.
    if (windowMillis < minuteMillis) caps.push(capOf(perMinute, minuteMillis, minuteMillis))
    caps.push(capOf(perMinute, minuteMillis, windowMillis))
  }
  if (perDay !== undefined) caps.push(capOf(perDay, dayMillis, dayMillis))
  return caps
}

class KeyedRateLimit implements RateLimit {
  readonly options: Options
  private readonly ledgers = new Map<string, Ledger>()
  private readonly requests: ReadonlyArray<Cap>
  private readonly tokens: ReadonlyArray<Cap>
  private readonly windowMillis: number
  private readonly maxPauseMillis: number
  readonly tokensPerCall: number
  private sweepAt = minKeys

  constructor(options: Options) {
    this.options = options
    this.windowMillis = Duration.toMillis(options.window ?? minuteMillis)
    this.maxPauseMillis = Duration.toMillis(options.maxPause ?? "1 hour")
    this.tokensPerCall = wholeTokens(options.tokensPerCall, 1000)
    this.requests = capsOf(options.requestsPerMinute, options.requestsPerDay, this.windowMillis)
    this.tokens = capsOf(options.tokensPerMinute, options.tokensPerDay, this.windowMillis)
  }

  admitUnsafe = (key: string, claim: Claim, nowMillis: number): number => {
    const wait = this.waitUnsafe(key, claim.tokens, nowMillis)
    if (wait > 0) return wait
    const ledger = this.ledger(key, nowMillis)
    claim.reservation = new Taken(ledger, wholeTokens(claim.tokens, this.tokensPerCall), ledger.time(nowMillis))
    return 0
  }

  waitUnsafe = (key: string, wanted: number | undefined, nowMillis: number, ahead = nobody): number => {
    const ledger = this.ledger(key, nowMillis)
    const tokens = wholeTokens(wanted, this.tokensPerCall)
    if (this.options.oversize === "refuse" && ledger.tokens.exceeds(tokens)) return Infinity
    return ledger.wait(tokens, ledger.time(nowMillis), ahead)
  }

  learnUnsafe = (key: string, hint: Hint, nowMillis: number, reservation?: Reservation): void => {
    if (this.options.learn === false) return
    const ledger = this.ledger(key, nowMillis)
    const now = ledger.time(nowMillis)
    const taken = reservation instanceof Taken && reservation.ledger === ledger ? reservation : undefined
    const teach = (allowance: Allowance, quota: Quota | undefined, mark = allowance.taken): void => {
      if (quota === undefined) return
      allowance.learn(quota, quota.windowMillis ?? this.windowMillis, now, this.maxPauseMillis, mark)
    }
    teach(ledger.requests, hint.requests, taken?.requestMark)
    teach(ledger.tokens, hint.tokens, taken?.tokenMark)
  }

  pauseUnsafe = (key: string, untilMillis: number, nowMillis: number): void => {
    if (this.options.pause === false) return
    const ledger = this.ledger(key, nowMillis)
    const until = ledger.time(nowMillis) + Math.min(untilMillis - nowMillis, this.maxPauseMillis)
    ledger.pausedUntil = Math.max(ledger.pausedUntil, until)
  }

  usedUnsafe = (key: string, nowMillis: number): Used => {
    const ledger = this.ledgers.get(key)
    if (ledger === undefined) return { requests: 0, tokens: 0 }
    const now = ledger.time(nowMillis)
    return { requests: ledger.requests.used(now), tokens: ledger.tokens.used(now) }
  }

  keysUnsafe = (): number => this.ledgers.size

  private ledger(key: string, nowMillis: number): Ledger {
    let ledger = this.ledgers.get(key)
    if (ledger === undefined) {
      if (this.ledgers.size >= this.sweepAt) this.sweep(nowMillis)
      ledger = new Ledger(this.requests, this.tokens)
      this.ledgers.set(key, ledger)
    }
    return ledger
  }

  /** Forgets keys whose windows are empty: a new key is the same. */
  private sweep(nowMillis: number): void {
    for (const [key, ledger] of this.ledgers) if (ledger.isIdle(nowMillis)) this.ledgers.delete(key)
    this.sweepAt = Math.max(minKeys, this.ledgers.size * 2)
  }
}

/** The reservation that a limit has put on a claim. */
export const reservationOf = (claim: { readonly reservation?: unknown }): Reservation | undefined =>
  claim.reservation instanceof Taken ? claim.reservation : undefined

/** Windows with a state of their own: make one for everybody who calls under the same limits. */
export const makeUnsafe = (options: Options = {}): RateLimit => new KeyedRateLimit(options)

/** Windows with a state of their own: make one for everybody who calls under the same limits. */
export const make = (options: Options = {}): Effect.Effect<RateLimit> => Effect.sync(() => makeUnsafe(options))

/** Takes what a response said, with the reservation of the send around, if there is one. */
export const learn = (limit: RateLimit, key: string, hint: Hint): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    limit.learnUnsafe(key, hint, fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(), fiber.getRef(Current))
    return Effect.void
  })

const turns = new WeakMap<RateLimit, Turns>()

/** Those who wait for a limit by themselves, without slots. */
const turnsOf = (limit: RateLimit): Turns => {
  let found = turns.get(limit)
  if (found === undefined) {
    found = new Turns(limit)
    turns.set(limit, found)
  }
  return found
}

/**
 * Runs an effect when the limit has room for it, in order of arrival. A wait that the deadline around cannot hold fails
 * at once. What ends before it was sent gives its reservation back; anything else settles it.
 */
export const withLimit =
  <B = unknown>(limit: RateLimit, call: Call<B>) =>
  <A extends B, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Shed | DeadlineExceeded, R> =>
    turnsOf(limit).run(call, self)
