/** When a client tries again, in plain values: hooks are plain functions. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { outcomeOf } from "../policy/internal/outcome.ts"
import type * as Effectful from "../policy/Retry.ts"
import { classify as classifyError, type Phase, type Retryable } from "../policy/Retryable.ts"
import { atLeast, durations, onlyKnown, type Time } from "./Time.ts"

/** What is known of a failure. */
export interface Classified {
  /** Whether the same request may succeed later. */
  readonly isRetryable: boolean
  /** The wait that the server asked for. Default: none. */
  readonly retryAfter?: Time | undefined
  /** How far the request came. Default: `"maybeSent"`, the careful answer. */
  readonly phase?: Phase | undefined
  /** The server was the one to slow us down: nobody comes back at once. Default: `false`. */
  readonly isThrottle?: boolean | undefined
  /** The send timed out; a model is asked once more at most after it. Default: `false`. */
  readonly isTimeout?: boolean | undefined
}

/** What `onRetry` is told before each wait. */
export interface RetryEvent {
  /** What is called. */
  readonly key: string
  /** The number of the retry that follows, starting at 1. */
  readonly retry: number
  /** Why: `RateLimited`, `Overloaded`... */
  readonly error: unknown
  /** How long the call waits now, in milliseconds. */
  readonly waitMs: number
  /** Who decided the wait: `"backoff"`, the options; `"retryAfter"`, the server. */
  readonly cause: Effectful.RetryEvent["cause"]
}

/** When to try again. Defaults and meanings are those of `Retry.Options`. */
export interface RetryOptions {
  readonly retries?: number | undefined
  readonly base?: Time | undefined
  readonly factor?: number | undefined
  readonly maxDelay?: Time | undefined
  readonly minDelay?: Time | undefined
  readonly jitter?: Effectful.Jitter | undefined
  readonly maxRetryAfter?: Time | undefined
  readonly resend?: "safe" | "always" | undefined
  /** Which failures to try again. It is given the reason (`RateLimited`...). Default: those that say so themselves. */
  readonly retryIf?: ((error: unknown) => boolean) | undefined
  /** Results to try again, such as an empty answer. The last one is returned when the retries are used up. */
  readonly retryWhen?: ((value: unknown) => boolean) | undefined
  /** Reads a failure; `undefined` leaves it to the failure itself. */
  readonly classify?: ((error: unknown) => Classified | undefined) | undefined
  /** Runs before each wait and is waited for; the client goes on when it fails. */
  readonly onRetry?: ((event: RetryEvent) => void | Promise<void>) | undefined
}

const times = ["base", "maxDelay", "minDelay", "maxRetryAfter"]
const hooks = ["retryIf", "retryWhen", "classify", "onRetry"] as const
const choices = { jitter: ["full", "equal", "none"], resend: ["safe", "always"] } as const
const names = ["retries", "factor", ...times, ...hooks, ...Object.keys(choices)]

const check = (options: RetryOptions): void => {
  onlyKnown(options, names, "retry")
  atLeast(options.retries, 0, "retry.retries")
  atLeast(options.factor, 1, "retry.factor")
  for (const name of hooks) {
    if (options[name] !== undefined && typeof options[name] !== "function")
      throw new TypeError(`retry.${name}: ${JSON.stringify(options[name])} is not a function`)
  }
  for (const name of ["jitter", "resend"] as const) {
    const allowed: ReadonlyArray<unknown> = choices[name]
    if (options[name] !== undefined && !allowed.includes(options[name]))
      throw new TypeError(`retry.${name}: ${JSON.stringify(options[name])} is not one of ${allowed.join(", ")}`)
  }
}

const toClassify =
  (classify: NonNullable<RetryOptions["classify"]>) =>
  (error: unknown): Retryable => {
    const read = classify(error)
    if (read === undefined) return classifyError(error)
    const { retryAfter, ...rest } = read
    return { ...rest, ...durations({ retryAfter }, ["retryAfter"], "retry.classify") }
  }

/**
 * Effect's own error holds the request, with the URL and the headers that were given. It is told by its shape: its
 * module is not loaded here.
 */
const withoutRequest = (error: unknown): unknown => {
  if (!hasProperty(error, "_tag") || error._tag !== "HttpClientError" || !hasProperty(error, "reason")) return error
  const { reason } = error
  return hasProperty(reason, "cause") && reason.cause !== undefined ? reason.cause : error
}

/** Says that a call is tried again. */
const retrying = (event: Effectful.RetryEvent): Effect.Effect<void> => {
  const { cause, error, key, retry } = event
  const reason = outcomeOf(error, "result")
  const waitMs = Math.round(Duration.toMillis(event.wait))
  const fields = { event: "retry", key, retry, waitMs, cause, reason }
  return Effect.logWarning(`retry ${retry} of ${key} in ${waitMs} ms: ${reason}`, fields)
}

const toHook =
  (onRetry: RetryOptions["onRetry"], isLogged: boolean) =>
  (event: Effectful.RetryEvent): Effect.Effect<void> => {
    const { wait, ...rest } = event
    const logged = isLogged ? retrying(event) : Effect.void
    if (onRetry === undefined) return logged
    const error = withoutRequest(rest.error)
    const told = Effect.tryPromise(async () => onRetry({ ...rest, error, waitMs: Duration.toMillis(wait) }))
    return Effect.andThen(logged, Effect.ignore(told))
  }

/** Reads the options. Throws a `TypeError` that names the one that is wrong. */
export const toRetry = (options: RetryOptions, isLogged: boolean): Effectful.Options => {
  check(options)
  const { base, classify, maxDelay, maxRetryAfter, minDelay, onRetry, ...rest } = options
  return {
    ...rest,
    ...durations({ base, maxDelay, maxRetryAfter, minDelay }, times, "retry"),
    ...(classify && { classify: toClassify(classify) }),
    ...((onRetry !== undefined || isLogged) && { onRetry: toHook(onRetry, isLogged) })
  }
}
