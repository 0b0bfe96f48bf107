/** The windows of one key, and what is reserved in them. */
import * as Context from "effect/Context"
import type { Reservation, Used } from "../RateLimit.ts"
import { Allowance, type Cap } from "./allowance.ts"

/** The reservation that the send around runs with, for who reads its response. Default: none. */
export const Current: Context.Reference<Reservation | undefined> = Context.Reference<Reservation | undefined>(
  "holdfast/policy/RateLimit/Current",
  { defaultValue: () => undefined }
)

/** A clock that was set back by less is waited for. */
const toleranceMillis = 60_000

/** The state of one key. */
export class Ledger {
  readonly requests: Allowance
  readonly tokens: Allowance
  pausedUntil = -Infinity
  private latest = -Infinity
  private shift = 0

  constructor(requests: ReadonlyArray<Cap>, tokens: ReadonlyArray<Cap>) {
    this.requests = new Allowance(requests)
    this.tokens = new Allowance(tokens)
  }

  /** A time that never goes back. A clock that was set back by more than a minute goes on from where it was. */
  time(nowMillis: number): number {
    const time = nowMillis + this.shift
    if (time >= this.latest) this.latest = time
    else if (this.latest - time > toleranceMillis) this.shift = this.latest - nowMillis
    return this.latest
  }

  /** Milliseconds until one request of `tokens` fits behind those that wait already. */
  wait(tokens: number, now: number, ahead: Used): number {
    const requests = this.requests.wait(1, now, ahead.requests)
    return Math.max(0, this.pausedUntil - now, requests, this.tokens.wait(tokens, now, ahead.tokens))
  }

  isIdle(nowMillis: number): boolean {
    const now = this.time(nowMillis)
    return this.pausedUntil <= now && this.requests.isIdle(now) && this.tokens.isIdle(now)
  }
}

/** A reservation, as the windows of its key keep it. */
export class Taken implements Reservation {
  readonly tokens: number
  readonly requestMark: number
  readonly tokenMark: number
  readonly ledger: Ledger
  private readonly at: number
  private isOpen = true

  constructor(ledger: Ledger, tokens: number, now: number) {
    this.ledger = ledger
    this.tokens = tokens
    this.at = now
    ledger.requests.take(1, now)
    ledger.tokens.take(tokens, now)
    this.requestMark = ledger.requests.taken
    this.tokenMark = ledger.tokens.taken
  }

  refund(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.ledger.requests.giveBack(1, this.at, this.requestMark)
    this.ledger.tokens.giveBack(this.tokens, this.at, this.tokenMark)
  }

  settle(actualTokens: number | undefined, nowMillis: number): void {
    if (!this.isOpen) return
    this.isOpen = false
    const excess = wholeTokens(actualTokens, this.tokens) - this.tokens
    if (excess < 0) this.ledger.tokens.free(-excess, this.at)
    if (excess > 0) this.ledger.tokens.take(excess, this.ledger.time(nowMillis))
  }
}

/** Tokens as the windows count them: whole ones, `other` where nothing sensible was said. */
export const wholeTokens = (tokens: number | undefined, other: number): number =>
  tokens === undefined || !(tokens >= 0 && tokens < Infinity) ? other : Math.ceil(tokens)
