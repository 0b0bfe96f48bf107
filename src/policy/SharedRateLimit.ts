/**
 * Requests and tokens per window for several processes, by key, over Effect's own `RateLimiter` and its store in Redis.
 *
 * It promises less than `RateLimit`: the windows are fixed, so up to twice the limit can pass around the end of one, and
 * the store knows no refund and no settling, so an estimate counts as it is. Within a process the first come are the
 * first served; between processes there is no order.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RateLimiter } from "effect/persistence/RateLimiter"
import * as Concurrency from "./Concurrency.ts"
import * as Deadline from "./Deadline.ts"
import { type Cap, capOf } from "./internal/allowance.ts"
import { wholeTokens } from "./internal/ledger.ts"
import { DeadlineExceeded, Shed } from "./PolicyError.ts"

export interface Options {
  /** Requests a minute of all processes together, for each key. Default: none. */
  readonly requestsPerMinute?: number | undefined
  /** Tokens a minute of all processes together, for each key. Default: none. */
  readonly tokensPerMinute?: number | undefined
  /** The fixed window over which the rates hold. Default: `"1 minute"`, the time that providers count over. */
  readonly window?: Duration.Input | undefined
  /** Tokens of a call that names none. Default: `1000`, a short prompt with a short answer. */
  readonly tokensPerCall?: number | undefined
  /** Calls of this process that may wait for each key; one more is `Shed`. Default: 100 000, as for slots. */
  readonly maxQueue?: number | undefined
  /** The longest wait; a longer one is `Shed`. Default: `"Infinity"`, the deadline decides. */
  readonly maxWait?: Duration.Input | undefined
  /** The longest time for an answer of the store. Default: `"1 second"`, a thousand times what Redis needs. */
  readonly storeTimeout?: Duration.Input | undefined
  /**
   * What becomes of calls while the store fails. Default: `"allow"`: the provider still refuses what is too much, and a
   * counter that is down must not stop what it counts. `"shed"` refuses them.
   */
  readonly onStoreError?: "allow" | "shed" | undefined
}

/** Who shares, and how much the call may use. */
export interface Call {
  /** For a model its provider, account and name. The store sees a hash of it. */
  readonly key: string
  /** Tokens that the call may use, input and output. Default: `tokensPerCall`. */
  readonly tokens?: number | undefined
}

export interface SharedRateLimit {
  /**
   * Takes one request and its tokens, waiting for the windows that have room. Interruption while it waits takes no
   * tokens, and one request at most. A wait that the deadline around cannot hold fails at once.
   */
  readonly take: (key: string, tokens?: number) => Effect.Effect<void, Shed | DeadlineExceeded>
  /** Runs an effect after taking for it. */
  readonly withLimit: (
    call: Call
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Shed | DeadlineExceeded, R>
}

/** The store says when a window ends in whole milliseconds; asking sooner than this is of no use. */
const minPauseMillis = 10

/** A store that failed is left alone for so long, or each call would wait for its timeout after the one before it. */
const restMillis = 10_000

// More keys than that are hashed again.
const maxHashes = 1024

/** What is asked of the store for one call. */
interface Demand {
  readonly name: string
  readonly amount: number
  readonly cap: Cap
}

class StoredRateLimit implements SharedRateLimit {
  private readonly limiter: RateLimiter
  private readonly options: Options
  private readonly requests: Cap | undefined
  private readonly tokens: Cap | undefined
  /** Of each key only one call asks the store: the first that came. */
  private readonly line: Concurrency.Concurrency
  private readonly maxWaitMillis: number
  private readonly hashes = new Map<string, string>()
  private isFailing = false
  private restsUntil = -Infinity

  constructor(limiter: RateLimiter, options: Options) {
    const { maxQueue, maxWait, requestsPerMinute, tokensPerMinute } = options
    const window = Duration.toMillis(options.window ?? "1 minute")
    const cap = (rate: number | undefined): Cap | undefined =>
      rate === undefined ? undefined : capOf(rate, 60_000, window)
    this.limiter = limiter
    this.options = options
    this.requests = cap(requestsPerMinute)
    this.tokens = cap(tokensPerMinute)
    this.maxWaitMillis = Duration.toMillis(maxWait ?? Duration.infinity)
    this.line = Concurrency.makeUnsafe({ maxConcurrency: 1, maxQueue, maxWait })
  }

  withLimit: SharedRateLimit["withLimit"] =
    ({ key, tokens }) =>
    (self) =>
      Effect.andThen(this.take(key, tokens), self)

  take = (key: string, tokens?: number): Effect.Effect<void, Shed | DeadlineExceeded> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const since = yield* Clock.currentTimeMillis
        const deadlineAt = yield* Deadline.Current
        const exceeded = (): DeadlineExceeded =>
          new DeadlineExceeded({ key, totalMillis: Math.max(0, deadlineAt - since), phase: "notSent" })
        if (deadlineAt <= since) return yield* Effect.fail(exceeded())
        const entered = this.line.acquire(key, deadlineAt - since, restore)
        yield* Effect.catch(entered, (shed) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(now >= deadlineAt ? exceeded() : shed))
        )
        yield* Effect.ensuring(
          restore(this.ask(key, tokens, since, deadlineAt, exceeded)),
          Effect.sync(() => this.line.releaseUnsafe(key))
        )
      })
    )

  /** Takes of each window in turn. The request that is taken is kept while the tokens are waited for. */
  private ask(
    key: string,
    tokens: number | undefined,
    since: number,
    deadlineAt: number,
    exceeded: () => DeadlineExceeded
  ): Effect.Effect<void, Shed | DeadlineExceeded> {
    return Effect.gen({ self: this }, function* () {
      const hash = yield* this.hash(key)
      for (const demand of this.demands(hash, tokens)) {
        while (true) {
          const wait = yield* this.consume(key, demand)
          if (wait === 0) break
          const now = yield* Clock.currentTimeMillis
          if (now + wait > deadlineAt) return yield* Effect.fail(exceeded())
          if (now + wait - since > this.maxWaitMillis) return yield* Effect.fail(this.shed(key, wait))
          yield* Effect.sleep(wait)
        }
      }
    })
  }

  private demands(hash: string, tokens: number | undefined): ReadonlyArray<Demand> {
    const demands: Array<Demand> = []
    if (this.requests !== undefined) demands.push({ name: `${hash}:requests`, amount: 1, cap: this.requests })
    const amount = wholeTokens(tokens, this.options.tokensPerCall ?? 1000)
    // A call larger than a window takes a whole one.
    const { tokens: cap } = this
    if (cap !== undefined) demands.push({ name: `${hash}:tokens`, amount: Math.min(amount, cap.limit), cap })
    return demands
  }

  /** Milliseconds until asking again is of use; 0 when the store has counted the call, or fails and may be ignored. */
  private consume(key: string, { amount, cap, name }: Demand): Effect.Effect<number, Shed> {
    const { limit, millis } = cap
    return Effect.clockWith((clock) => {
      if (clock.currentTimeMillisUnsafe() < this.restsUntil) return this.unanswered(key)
      return this.limiter.consume({ key: name, limit, window: millis, tokens: amount, onExceeded: "fail" }).pipe(
        Effect.timeout(this.options.storeTimeout ?? "1 second"),
        Effect.matchEffect({
          onSuccess: () => {
            this.isFailing = false
            return Effect.succeed(0)
          },
          onFailure: (error) => {
            if (error._tag === "RateLimiterError" && error.reason._tag === "RateLimitExceeded") {
              this.isFailing = false
              return Effect.succeed(Math.max(minPauseMillis, Duration.toMillis(error.reason.retryAfter)))
            }
            this.restsUntil = clock.currentTimeMillisUnsafe() + restMillis
            return Effect.andThen(this.warn(error), this.unanswered(key))
          }
        })
      )
    })
  }

  private unanswered(key: string): Effect.Effect<number, Shed> {
    return this.options.onStoreError === "shed" ? Effect.fail(this.shed(key)) : Effect.succeed(0)
  }

  /** Once for each time that the store goes down. */
  private warn(error: unknown): Effect.Effect<void> {
    if (this.isFailing) return Effect.void
    this.isFailing = true
    return Effect.logWarning("The shared rate limit's store fails", error)
  }

  private shed(key: string, wait?: number): Shed {
    const retryAfter = wait === undefined ? undefined : Duration.millis(wait)
    return new Shed({ key, waiting: this.line.waiting(key), retryAfter })
  }

  /** A key may name an account or a tenant, and the store is read by others. */
  private hash(key: string): Effect.Effect<string> {
    return Effect.suspend(() => {
      const known = this.hashes.get(key)
      if (known !== undefined) return Effect.succeed(known)
      return Effect.map(
        Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(key))),
        (digest) => {
          const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
          if (this.hashes.size >= maxHashes) this.hashes.clear()
          this.hashes.set(key, hash)
          return hash
        }
      )
    })
  }
}

/** A limit that all processes share whose `limiter` counts in the same store. */
export const make = (limiter: RateLimiter, options: Options): SharedRateLimit => new StoredRateLimit(limiter, options)
