/**
 * What an error says about itself, so that policies hold no lists of providers.
 *
 * Any error that has these members can be retried, waited for and fallen back from by every policy.
 */
import type * as Duration from "effect/Duration"

/**
 * How far the request came before it failed.
 *
 * - `notSent`: no byte left this machine (refused, DNS, connect timeout, a policy refused).
 * - `rejected`: the server answered that it did not do the work (4xx, 429, 503, 529).
 * - `maybeSent`: bytes left and nobody knows (500, 502, 504, reset, timeout).
 * - `answered`: a 2xx or some content arrived.
 */
export type Phase = "notSent" | "rejected" | "maybeSent" | "answered"

/** The members that a policy reads of an error. */
export interface Retryable {
  /** Whether the same request may succeed later. */
  readonly isRetryable: boolean
  /** The wait that the server asked for. */
  readonly retryAfter?: Duration.Duration | undefined
  /** How far the request came. Absent reads as `"maybeSent"`, the careful answer. */
  readonly phase?: Phase | undefined
  /** The server was the one to slow us down (429, 529): waits get `"equal"` jitter. Default: `false`. */
  readonly isThrottle?: boolean | undefined
  /** The send timed out; a `costly` call is re-sent once at most after it. Default: `false`. */
  readonly isTimeout?: boolean | undefined
  /**
   * Who else may serve the call: anybody (`"next"`), only who takes longer inputs (`"longer"`), or nobody. Default:
   * `"next"` for what is retryable or a throttle, else `"none"`: a wrong request is wrong everywhere.
   */
  readonly fallback?: "next" | "longer" | "none" | undefined
}

/** An error of an unknown kind: never retried. */
export const unknown: Retryable = { isRetryable: false, phase: "maybeSent" }

/** Whether `u` carries the members of `Retryable`. */
export const isRetryable = (u: unknown): u is Retryable =>
  typeof u === "object" && u !== null && "isRetryable" in u && typeof u.isRetryable === "boolean"

/** Reads an error's own words; an error without them is `unknown`. */
export const classify = (error: unknown): Retryable => (isRetryable(error) ? error : unknown)
