/** Those who wait for a rate limit by themselves: first come, first served, each for its reservation. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Concurrency from "../Concurrency.ts"
import * as Deadline from "../Deadline.ts"
import { DeadlineExceeded, Shed } from "../PolicyError.ts"
import type { Call, RateLimit, Used } from "../RateLimit.ts"
import { classify } from "../Retryable.ts"
import { Current, Taken, wholeTokens } from "./ledger.ts"

interface Ahead extends Used {
  requests: number
  tokens: number
}

/** One call: what it asks for, and until when. */
interface Turn {
  readonly key: string
  readonly claim: Concurrency.Claim
  readonly clock: Clock.Clock
  readonly deadlineAt: number
  readonly sinceMillis: number
}

type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const takenBy = ({ reservation }: Concurrency.Claim): Taken | undefined =>
  reservation instanceof Taken ? reservation : undefined

export class Turns {
  private readonly limit: RateLimit
  private readonly line: Concurrency.Concurrency
  private readonly maxWaitMillis: number
  /** What the calls in the line wait for, by key. */
  private readonly ahead = new Map<string, Ahead>()

  constructor(limit: RateLimit) {
    const { maxQueue, maxWait } = limit.options
    this.limit = limit
    this.maxWaitMillis = Duration.toMillis(maxWait ?? Duration.infinity)
    // The slots of a line whose only condition is the gate.
    this.line = Concurrency.makeUnsafe({ maxConcurrency: Infinity, maxQueue, maxWait }, limit)
  }

  run<B, A extends B, E, R>(
    call: Call<B>,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | Shed | DeadlineExceeded, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const turn = this.turn(call, fiber)
        let isStarted = false
        const started = Effect.suspend(() => {
          isStarted = true
          return Effect.provideService(self, Current, takenBy(turn.claim))
        })
        const ended = (exit: Exit.Exit<A, E>): Effect.Effect<void> =>
          Effect.sync(() => {
            this.settle(turn, isStarted, exit, call.tokensOf)
            this.line.releaseUnsafe(turn.key)
          })
        return Effect.andThen(this.enter(turn, restore), Effect.onExit(restore(started), ended))
      })
    )
  }

  private turn({ key, tokens }: Call<never>, fiber: Fiber.Fiber<unknown, unknown>): Turn {
    const clock = fiber.getRef(Clock.Clock)
    const claim = { tokens: wholeTokens(tokens, this.limit.tokensPerCall) }
    const sinceMillis = clock.currentTimeMillisUnsafe()
    return { key, claim, clock, sinceMillis, deadlineAt: fiber.getRef(Deadline.Current) }
  }

  private enter(turn: Turn, restore: Restore): Effect.Effect<void, Shed | DeadlineExceeded> {
    const { claim, deadlineAt, key, sinceMillis } = turn
    const left = deadlineAt - sinceMillis
    if (left <= 0) return Effect.fail(this.exceeded(turn))
    if (this.line.takeUnsafe(key, claim, sinceMillis)) return Effect.void
    const tokens = claim.tokens ?? 0
    const wait = this.limit.waitUnsafe(key, tokens, sinceMillis, this.ahead.get(key))
    if (wait > left && wait < Infinity) return Effect.fail(this.exceeded(turn))
    if (wait > this.maxWaitMillis || wait === Infinity) return Effect.fail(this.shed(turn, wait))
    this.count(key, 1, tokens)
    const waited = Effect.ensuring(
      this.line.acquire(key, left, restore, claim),
      Effect.sync(() => this.count(key, -1, -tokens))
    )
    return Effect.catch(waited, (shed) =>
      Effect.fail(turn.clock.currentTimeMillisUnsafe() >= deadlineAt ? this.exceeded(turn) : shed)
    )
  }

  private count(key: string, requests: number, tokens: number): void {
    const ahead = this.ahead.get(key)
    if (ahead === undefined) this.ahead.set(key, { requests, tokens })
    else if (ahead.requests + requests === 0) this.ahead.delete(key)
    else {
      ahead.requests += requests
      ahead.tokens += tokens
    }
  }

  private exceeded({ deadlineAt, key, sinceMillis }: Turn): DeadlineExceeded {
    return new DeadlineExceeded({ key, totalMillis: Math.max(0, deadlineAt - sinceMillis), phase: "notSent" })
  }

  private shed({ key }: Turn, wait: number): Shed {
    const retryAfter = wait === Infinity ? undefined : Duration.millis(wait)
    return new Shed({ key, waiting: this.line.waiting(key), retryAfter })
  }

  private settle<A, E>(
    turn: Turn,
    isStarted: boolean,
    exit: Exit.Exit<A, E>,
    tokensOf: ((result: A) => number | undefined) | undefined
  ): void {
    const { claim, clock, key } = turn
    const reservation = takenBy(claim)
    if (reservation === undefined) return
    const now = clock.currentTimeMillisUnsafe()
    if (!isStarted) return reservation.refund()
    if (Exit.isSuccess(exit)) {
      // The call is over: what reads its tokens must not break it.
      const tokens = Result.try(() => tokensOf?.(exit.value))
      return reservation.settle(
        Result.getOrElse(tokens, () => undefined),
        now
      )
    }
    const error = Cause.findErrorOption(exit.cause)
    const { isThrottle, phase, retryAfter } = classify(error._tag === "Some" ? error.value : undefined)
    if (isThrottle === true && retryAfter !== undefined) {
      this.limit.pauseUnsafe(key, now + Duration.toMillis(retryAfter), now)
    }
    if (phase === "notSent") return reservation.refund()
    reservation.settle(undefined, now)
  }
}
