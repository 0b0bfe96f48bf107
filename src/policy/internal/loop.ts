/** The loop of every call: sends, and after a failure decides, waits and sends again. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { Recorder, Stop, WaitCause } from "../Attempt.ts"
import { DeadlineExceeded, isPolicyError, type PolicyError, Shed } from "../PolicyError.ts"
import type { Retry, Safety } from "../Retry.ts"
import type { RetryBudget } from "../RetryBudget.ts"
import type { Phase, Retryable } from "../Retryable.ts"
import * as Timer from "../Timer.ts"
import { delayMillis, mayResend } from "./backoff.ts"

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
  /** What retries are paid from; a throttle whose wait the server named is free. */
  readonly budget: RetryBudget | undefined
  /** Whether somebody else would serve this failure now, so that nobody need wait for the server. */
  readonly isServedElsewhere: (error: unknown) => boolean
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
 * What a retry fails with that its budget does not pay. Nothing was sent, so it is a refusal to all that stands between
 * the send and the loop, and it never leaves the loop: the call ends with the failure or the result that it has.
 */
export const unpaid = new Shed({ key: "the budget of retries", waiting: 0 })

/** A loop that can be asked for one more send after what it succeeded with has broken. */
export interface Loop<A, E, R> {
  readonly first: Effect.Effect<A, E | PolicyError, R>
  /** The next send after this failure, read as `failure`: as many retries as are left, the same deadline and budgets. */
  readonly after: (error: E, failure: Retryable) => Effect.Effect<A, E | PolicyError, R>
}

/**
 * The loop: sends, and after a failure decides, waits and sends again. Nothing of it is built before the first
 * failure. `send` is told what the call waited for it, and whether its budget of retries has to pay for it.
 */
export const make = <A, E, R>(
  call: Call,
  send: (wait: Wait, mustPay: boolean) => Effect.Effect<A, E | PolicyError, R>
): Loop<A, E, R> => {
  const retryWhen = call.retry.retryWhen
  let begun: LoopState | undefined
  const again = (wait: Wait, otherwise?: Effect.Effect<A, E | PolicyError>): Effect.Effect<A, E | PolicyError, R> => {
    const sent = send(wait, otherwise !== undefined)
    const failed = otherwise === undefined ? onFailure : onUnpaid(otherwise)
    return retryWhen === undefined
      ? Effect.catchCause(sent, failed)
      : Effect.matchCauseEffect(sent, { onFailure: failed, onSuccess: (value) => onValue(value, retryWhen) })
  }
  const onUnpaid =
    (otherwise: Effect.Effect<A, E | PolicyError>) =>
    (cause: Cause.Cause<E | PolicyError>): Effect.Effect<A, E | PolicyError, R> => {
      const error = Cause.findError(cause)
      if (Result.isFailure(error) || error.success !== unpaid) return onFailure(cause)
      if (call.recorder !== undefined) call.recorder.stop = "retryBudget"
      return otherwise
    }
  const onFailure = (cause: Cause.Cause<E | PolicyError>): Effect.Effect<A, E | PolicyError, R> => {
    const error = Cause.findError(cause)
    // A defect or an interruption is nobody's failure to retry.
    if (Result.isFailure(error) || Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.failCause(cause)
    return failedWith(error.success, cause)
  }
  const failedWith = (
    error: E | PolicyError,
    cause: Cause.Cause<E | PolicyError>,
    failure?: Retryable
  ): Effect.Effect<A, E | PolicyError, R> => {
    const state = (begun ??= new LoopState(call))
    return Effect.flatMap(state.decide(error, failure), (decision) =>
      decision._tag === "Wait"
        ? Effect.flatMap(state.wait(decision, error), (wait) =>
            again(wait, decision.isFree ? undefined : Effect.failCause(cause))
          )
        : decision.fail(cause)
    )
  }
  const onValue = (value: A, isUnwanted: (value: unknown) => boolean): Effect.Effect<A, E | PolicyError, R> => {
    if (!isUnwanted(value)) return Effect.succeed(value)
    const state = (begun ??= new LoopState(call))
    return Effect.flatMap(state.decide(unwanted), (decision) =>
      decision._tag === "Wait"
        ? Effect.flatMap(state.wait(decision, value), (wait) => again(wait, Effect.succeed(value)))
        : Effect.succeed(value)
    )
  }
  return {
    // Where nobody is told why there is no second send, nothing is left to decide.
    first: call.retry.retries <= 0 && call.recorder === undefined ? send(noWait, false) : again(noWait),
    after: (error, failure) => {
      begun ??= new LoopState(call)
      // What has begun to answer stays with who began.
      begun.isDelivered = true
      return failedWith(error, Cause.fail(error), failure)
    }
  }
}

/** The same for a call whose success is its end. */
export const loop = <A, E, R>(
  call: Call,
  send: (wait: Wait, mustPay: boolean) => Effect.Effect<A, E | PolicyError, R>
): Effect.Effect<A, E | PolicyError, R> => make(call, send).first

const unwanted: Retryable = { isRetryable: true, phase: "answered" }

type Decision =
  | (Wait & { readonly _tag: "Wait"; readonly isFree: boolean; readonly phase: Phase | undefined })
  | { readonly _tag: "Stop"; readonly fail: <E>(cause: Cause.Cause<E>) => Effect.Effect<never, E | PolicyError> }

class LoopState {
  private readonly call: Call
  private retried = 0
  private timeouts = 0
  /** Somebody has read a part of the answer, and nobody else can go on with it. */
  isDelivered = false
  private step: ((now: number, input: unknown) => Effect.Effect<Duration.Duration | undefined>) | undefined

  constructor(call: Call) {
    this.call = call
  }

  /** `given` is how to read the error where somebody has decided that already. */
  decide(error: unknown, given?: Retryable): Effect.Effect<Decision> {
    const { retry } = this.call
    // The policy's own last words; no predicate of a user's turns them into another try.
    if (isPolicyError(error) && !error.isRetryable) return this.stop("notRetryable")
    const read = error === unwanted ? unwanted : given
    const failure = read ?? retry.classify(error)
    const isWanted = read === undefined && retry.retryIf !== undefined ? retry.retryIf(error) : failure.isRetryable
    if (failure.isTimeout === true) this.timeouts++
    if (!isWanted) return this.stop("notRetryable")
    if (!mayResend(retry, this.call.safety, failure, this.timeouts)) return this.stop("unsafe")
    if (this.retried >= retry.retries) return this.stop("exhausted")
    const isFree = failure.isThrottle === true && failure.retryAfter !== undefined
    if (!isFree && this.call.budget !== undefined && this.call.budget.available < 1) return this.stop("retryBudget")
    const isElsewhere = failure.retryAfter !== undefined && !this.isDelivered && this.call.isServedElsewhere(error)
    if (isElsewhere) return this.stop("fallback")
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
      const cause = asked >= computed && asked > 0 ? "retryAfter" : "backoff"
      const isFree = asked > 0 && failure.isThrottle === true
      return Effect.succeed({ _tag: "Wait", millis, cause, isFree, phase: failure.phase })
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
  wait(wait: Extract<Decision, Wait>, error: unknown): Effect.Effect<Wait, PolicyError> {
    this.retried++
    this.call.onDiscard?.(error)
    const sleep = Effect.as(this.call.sleep(wait.millis), wait)
    const hook = this.call.retry.onRetry
    if (hook === undefined) return sleep
    const { deadlineAt, key, totalMillis } = this.call
    const event = { key, retry: this.retried, error, wait: Duration.millis(wait.millis), cause: wait.cause }
    const late = (): DeadlineExceeded => {
      if (this.call.recorder !== undefined) this.call.recorder.stop = "deadline"
      return new DeadlineExceeded({ key, totalMillis, phase: wait.phase ?? "maybeSent", cause: error })
    }
    // The hook's time is the call's: it ends, and so does the wait after it, with the deadline.
    return Effect.clockWith((clock) =>
      Timer.within(Effect.andThen(hook(event), sleep), deadlineAt - clock.currentTimeMillisUnsafe(), late)
    )
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
