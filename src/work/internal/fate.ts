/** What becomes of a job after a run that failed. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { isRetryable, type Retryable } from "../../policy/Retryable.ts"
import * as Retry from "../../policy/Retry.ts"
import type { Fate } from "../WorkStore.ts"

/** An error that says nothing of itself is tried again: a job is in a queue to be done. */
const silent: Retryable = { isRetryable: true, phase: "maybeSent" }

const classify = (error: unknown): Retryable => (isRetryable(error) ? error : silent)

/** The queue's retries with its own defaults. */
export const retryOf = (options: Retry.Options): Retry.Retry =>
  Retry.make({ retries: 4, base: "1 second", maxDelay: "5 minutes", classify, ...options })

/** The wait before retry `n` (from 1) by a Schedule, which is replayed: the tries may be those of several processes. */
const scheduled = (
  schedule: Schedule.Schedule<unknown, unknown>,
  n: number,
  error: unknown
): Effect.Effect<number | undefined> =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(schedule)
    let now = 0
    let wait = 0
    for (let i = 0; i < n; i++) {
      const next = yield* Pull.catchDone(step(now, error), () => Effect.undefined)
      if (next === undefined) return undefined
      wait = Duration.toMillis(next[1])
      now += wait
    }
    return wait
  })

/** A cause that no store takes for a job that was only given back. */
const told = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  Cause.hasInterruptsOnly(cause) ? Cause.fail("the job interrupted itself") : cause

/** Another try, at its time, or the end. */
export const fateOf = (retry: Retry.Retry, attempt: number, failure: Cause.Cause<unknown>): Effect.Effect<Fate> =>
  Effect.gen(function* () {
    const cause = told(failure)
    const dead: Fate = { _tag: "Dead", cause }
    if (attempt > retry.retries) return dead
    const error = Cause.squash(cause)
    const { isRetryable, isThrottle, retryAfter } = retry.classify(error)
    if (!(retry.retryIf?.(error) ?? isRetryable)) return dead
    const asked = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
    if (asked > retry.maxRetryAfterMillis) return dead
    const wait =
      retry.schedule === undefined
        ? Retry.delayMillis(retry, attempt - 1, yield* Random.next, isThrottle)
        : yield* scheduled(retry.schedule, attempt, error)
    return wait === undefined ? dead : { _tag: "Retry", delayMillis: Math.max(wait, asked), cause }
  })
