/**
 * When to try again: `wait(n) = min(maxDelay, base * factor^n)` with jitter, at least what the server asked for, and
 * never more than `retries` times over all kinds of failure together.
 *
 * Full jitter draws from `[0, wait]`, equal jitter from `[wait/2, wait]`
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { Recorder, Stop, WaitCause } from "./Attempt.ts"
import { Story } from "./Attempt.ts"
import * as Deadline from "./Deadline.ts"
import { DeadlineExceeded, Draining, type PolicyError } from "./PolicyError.ts"
import { classify as classifyError, type Phase, type Retryable } from "./Retryable.ts"

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

/** The computed wait before retry `n` (from 0), with `random` from `[0, 1)`, in milliseconds. */
export const delayMillis = (retry: Retry, n: number, random: number, isThrottle = false): number => {
  const full = Math.min(retry.maxDelayMillis, retry.baseMillis * retry.factor ** n)
  const jitter = retry.jitter === "full" && isThrottle ? "equal" : retry.jitter
  const wait = jitter === "none" ? full : jitter === "full" ? full * random : full / 2 + (full / 2) * random
  return Math.max(retry.minDelayMillis, wait)
}

/** Whether a second send is allowed after this failure, whatever the number of retries. */
export const mayResend = (retry: Retry, safety: Safety, failure: Retryable, timeouts: number): boolean => {
  if (failure.phase === "notSent" || failure.phase === "rejected" || retry.resend === "always") return true
  if (safety === "unsafe") return false
  return safety === "idempotent" || timeouts <= 1
}

/** One logical call on its way through the loop. */
export interface Call {
  readonly key: string
  readonly safety: Safety
  readonly retry: Retry
  /** Milliseconds since the epoch; `Infinity` when there is none. */
  readonly deadlineAt: number
  /** What the deadline was in all, for its error. */
  readonly totalMillis: number
  readonly recorder: Recorder | undefined
  /** Told of a failure that does not become the call's result, to release what it holds. */
  readonly onDiscard: ((error: unknown) => void) | undefined
  /** Sleeps before a retry. */
  readonly sleep: (millis: number) => Effect.Effect<void, PolicyError>
}

/** What the loop keeps between two sends. */
export interface Wait {
  readonly millis: number
  readonly cause: WaitCause
}

/** No wait: the first send. */
export const noWait: Wait = { millis: 0, cause: "none" }

/**
 * The loop: sends, and after a failure decides, waits and sends again. Nothing of it is built before the first
 * failure. `send` is told what the call waited for it.
 */
export const loop = <A, E, R>(
  call: Call,
  send: (wait: Wait) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | PolicyError, R> => {
  const retryWhen = call.retry.retryWhen
  if (call.retry.retries <= 0) return send(noWait)
  const state = new LoopState(call)
  const again = (wait: Wait): Effect.Effect<A, E | PolicyError, R> =>
    retryWhen === undefined
      ? Effect.catchCause(send(wait), onFailure)
      : Effect.matchCauseEffect(send(wait), { onFailure, onSuccess: (value) => onValue(value, retryWhen) })
  const onFailure = (cause: Cause.Cause<E>): Effect.Effect<A, E | PolicyError, R> => {
    const error = Cause.findError(cause)
    // A defect or an interruption is nobody's failure to retry.
    if (Result.isFailure(error) || Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.failCause(cause)
    return Effect.flatMap(state.decide(error.success), (decision) =>
      decision._tag === "Wait" ? Effect.flatMap(state.wait(decision, error.success), again) : decision.fail(cause)
    )
  }
  const onValue = (value: A, isUnwanted: (value: unknown) => boolean): Effect.Effect<A, E | PolicyError, R> => {
    if (!isUnwanted(value)) return Effect.succeed(value)
    return Effect.flatMap(state.decide(unwanted), (decision) =>
      decision._tag === "Wait" ? Effect.flatMap(state.wait(decision, value), again) : Effect.succeed(value)
    )
  }
  return again(noWait)
}

const unwanted: Retryable = { isRetryable: true, phase: "answered" }

type Decision =
  | (Wait & { readonly _tag: "Wait" })
  | { readonly _tag: "Stop"; readonly fail: <E>(cause: Cause.Cause<E>) => Effect.Effect<never, E | PolicyError> }

class LoopState {
  private readonly call: Call
  private retried = 0
  private timeouts = 0
  private step: ((now: number, input: unknown) => Effect.Effect<Duration.Duration | undefined>) | undefined

  constructor(call: Call) {
    this.call = call
  }

  decide(error: unknown): Effect.Effect<Decision> {
    const { retry } = this.call
    // The policy's own last words; no predicate of a user's turns them into another try.
    if (error instanceof Draining || error instanceof DeadlineExceeded) return this.stop("notRetryable")
    const failure = error === unwanted ? unwanted : retry.classify(error)
    const isWanted = error !== unwanted && retry.retryIf !== undefined ? retry.retryIf(error) : failure.isRetryable
    if (failure.isTimeout === true) this.timeouts++
    if (!isWanted) return this.stop("notRetryable")
    if (!mayResend(retry, this.call.safety, failure, this.timeouts)) return this.stop("unsafe")
    if (this.retried >= retry.retries) return this.stop("exhausted")
    return Effect.withFiber((fiber) => {
      const random = fiber.getRef(Random.Random).nextDoubleUnsafe()
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      if (retry.schedule === undefined) {
        return this.fit(delayMillis(retry, this.retried, random, failure.isThrottle), failure, now)
      }
      return Effect.flatMap(this.scheduled(retry.schedule, now, error), (delay) =>
        delay === undefined ? this.stop("exhausted") : this.fit(Duration.toMillis(delay), failure, now)
      )
    })
  }

  /** Holds a computed wait against what the server asked for and what the deadline leaves. */
  private fit(computed: number, failure: Retryable, now: number): Effect.Effect<Decision> {
    const asked = failure.retryAfter === undefined ? 0 : Duration.toMillis(failure.retryAfter)
    if (asked > this.call.retry.maxRetryAfterMillis) return this.stop("retryAfterTooLong")
    const millis = Math.max(asked, computed)
    if (now + millis < this.call.deadlineAt) {
      return Effect.succeed({ _tag: "Wait", millis, cause: asked >= computed && asked > 0 ? "retryAfter" : "backoff" })
    }
    const isBeyond = asked > 0 && now + asked >= this.call.deadlineAt
    return this.stop(isBeyond ? "retryAfterBeyondDeadline" : "deadline", failure.phase)
  }

  private stop(why: Stop, phase: Phase = "maybeSent"): Effect.Effect<Decision> {
    if (this.call.recorder !== undefined) this.call.recorder.stop = why
    const { key, totalMillis } = this.call
    return Effect.succeed({
      _tag: "Stop",
      fail: (cause) => {
        if (why !== "deadline") return Effect.failCause(cause)
        const last = Cause.squash(cause)
        this.call.onDiscard?.(last)
        return Effect.fail(new DeadlineExceeded({ key, totalMillis, phase, cause: last }))
      }
    })
  }

  /** Tells the hook, then sleeps. */
  wait(wait: Wait, error: unknown): Effect.Effect<Wait, PolicyError> {
    this.retried++
    this.call.onDiscard?.(error)
    const sleep = Effect.as(this.call.sleep(wait.millis), wait)
    const hook = this.call.retry.onRetry
    if (hook === undefined) return sleep
    const { key } = this.call
    const event = { key, retry: this.retried, error, wait: Duration.millis(wait.millis), cause: wait.cause }
    return Effect.andThen(hook(event), sleep)
  }

  private scheduled(
    schedule: Schedule.Schedule<unknown, unknown>,
    now: number,
    error: unknown
  ): Effect.Effect<Duration.Duration | undefined> {
    if (this.step !== undefined) return this.step(now, error)
    return Effect.flatMap(Schedule.toStep(schedule), (step) => {
      this.step = (at, input) =>
        Effect.catchCause(
          Effect.map(step(at, input), ([, delay]): Duration.Duration | undefined => delay),
          () => Effect.succeed(undefined)
        )
      return this.step(now, error)
    })
  }
}

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
        sleep: (millis) => Effect.sleep(Duration.millis(millis))
      }
      return loop(call, () => self)
    })
}
