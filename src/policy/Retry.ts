/**
 * When to try again: `wait(n) = min(maxDelay, base * factor^n)` with jitter, at least what the server asked for, and
 * never more than `retries` times over all kinds of failure together.
 *
 * Full jitter draws from `[0, wait]`, equal jitter from `[wait/2, wait]`
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import { Story, type WaitCause } from "./Attempt.ts"
import * as Deadline from "./Deadline.ts"
import * as Elsewhere from "./internal/elsewhere.ts"
import { type Call, loop } from "./internal/loop.ts"
import type { PolicyError } from "./PolicyError.ts"
import { classify as classifyError, type Retryable } from "./Retryable.ts"

export type Jitter = "full" | "equal" | "none"

/**
 * What a second send can do to the world.
 *
 * - `idempotent`: nothing (GET, a keyed POST): re-sent after anything retryable.
 * - `costly`: it is paid for twice and does no other harm (a model's answer): re-sent too, but once at most after a
 *   send that timed out.
 * - `unsafe`: it may happen twice: re-sent only when the first was `notSent` or `rejected`.
 */
export type Safety = "idempotent" | "costly" | "unsafe"

/** What `onRetry` is told before each wait. */
export interface RetryEvent {
  /** What is called. */
  readonly key: string
  /** The number of the retry that follows, starting at 1. */
  readonly retry: number
  readonly error: unknown
  /** How long the call waits now. */
  readonly wait: Duration.Duration
  readonly cause: WaitCause
}

export interface Options {
  /** Sends after the first. Default: `2`, as the providers' own clients. */
  readonly retries?: number | undefined
  /** The wait before the first retry, before jitter. Default: `"500 millis"`. */
  readonly base?: Duration.Input | undefined
  /** What each further wait is multiplied by. Default: `2`. */
  readonly factor?: number | undefined
  /** The longest computed wait. Default: `"8 seconds"`, as the providers' own clients. */
  readonly maxDelay?: Duration.Input | undefined
  /** The shortest computed wait, after jitter. Default: `0`. */
  readonly minDelay?: Duration.Input | undefined
  /** Default: `"full"`; a throttle (429, 529) then gets `"equal"`, so that nobody comes back at once. */
  readonly jitter?: Jitter | undefined
  /** The longest wait that a server may ask for; past it the call fails now. Default: `"60 seconds"`. */
  readonly maxRetryAfter?: Duration.Input | undefined
  /** `"always"` re-sends an `unsafe` call after `maybeSent` too. Default: `"safe"`. */
  readonly resend?: "safe" | "always" | undefined
  /** Which errors to try again. Default: those that say so themselves. */
  readonly retryIf?: ((error: unknown) => boolean) | undefined
  /** Results to try again, such as an empty answer. The last one is returned when the retries are used up. */
  readonly retryWhen?: ((value: unknown) => boolean) | undefined
  /** Reads an error of a foreign kind. Default: the error's own members. */
  readonly classify?: ((error: unknown) => Retryable) | undefined
  /** Waits by a Schedule instead of base, factor, maxDelay and jitter. Its end ends the retries. */
  readonly schedule?: Schedule.Schedule<unknown, unknown> | undefined
  /** Runs before each wait. Its failure is not possible; its time counts. */
  readonly onRetry?: ((event: RetryEvent) => Effect.Effect<void>) | undefined
}

/** Options with every default in place and every duration in milliseconds. */
export interface Retry {
  readonly retries: number
  readonly baseMillis: number
  readonly factor: number
  readonly maxDelayMillis: number
  readonly minDelayMillis: number
  readonly jitter: Jitter
  readonly maxRetryAfterMillis: number
  readonly resend: "safe" | "always"
  readonly retryIf: ((error: unknown) => boolean) | undefined
  readonly retryWhen: ((value: unknown) => boolean) | undefined
  readonly classify: (error: unknown) => Retryable
  readonly schedule: Schedule.Schedule<unknown, unknown> | undefined
  readonly onRetry: ((event: RetryEvent) => Effect.Effect<void>) | undefined
}

/** Puts the defaults in place. */
export const make = (options: Options = {}): Retry => ({
  retries: options.retries ?? 2,
  baseMillis: Duration.toMillis(options.base ?? "500 millis"),
  factor: options.factor ?? 2,
  maxDelayMillis: Duration.toMillis(options.maxDelay ?? "8 seconds"),
  minDelayMillis: Duration.toMillis(options.minDelay ?? 0),
  jitter: options.jitter ?? "full",
  maxRetryAfterMillis: Duration.toMillis(options.maxRetryAfter ?? "60 seconds"),
  resend: options.resend ?? "safe",
  retryIf: options.retryIf,
  retryWhen: options.retryWhen,
  classify: options.classify ?? classifyError,
  schedule: options.schedule,
  onRetry: options.onRetry
})

export { delayMillis, mayResend } from "./internal/backoff.ts"

/**
 * Tries an effect again by these options. For a whole client use a `Policy`, which owns the only loop; this is for one
 * effect that stands alone. An error without the members of `Retryable` needs `retryIf` or `classify`.
 */
export const retry = (options: Options & { readonly safety?: Safety; readonly key?: string } = {}) => {
  const resolved = make(options)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | PolicyError, R> =>
    Effect.withFiber((fiber) => {
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const deadlineAt = fiber.getRef(Deadline.Current)
      const call: Call = {
        key: options.key ?? "call",
        safety: options.safety ?? "idempotent",
        retry: resolved,
        deadlineAt,
        totalMillis: deadlineAt - now,
        recorder: fiber.getRef(Story),
        onDiscard: undefined,
        budget: undefined,
        isServedElsewhere: (error) => fiber.getRef(Elsewhere.Open)?.(error) ?? false,
        sleep: (millis) => Effect.sleep(Duration.millis(millis))
      }
      return loop(call, () => self)
    })
}
