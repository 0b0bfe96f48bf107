/**
 * What happened at each try of one call. The same records feed results, errors, logs, metrics, spans and tests.
 */
import * as Context from "effect/Context"
import type { Phase } from "./Retryable.ts"

/** Why a call waited before this attempt; `"hedge"` is the second send beside a slow one. */
export type WaitCause = "none" | "backoff" | "retryAfter" | "hedge"

/** One send. */
export interface Attempt {
  /** What was called: the policy key, e.g. `"https://api.openai.com"`. */
  readonly endpoint: string
  /** When the attempt began, milliseconds since the epoch, by the Clock. */
  readonly startMillis: number
  /** From the attempt's start (its slot granted) to its end, in milliseconds. */
  readonly durationMillis: number
  /** `"ok"`, `"interrupted"`, or the tag of the failure's reason, e.g. `"RateLimited"`. */
  readonly outcome: string
  /** How far a failed attempt came. Absent when it succeeded. */
  readonly phase?: Phase | undefined
  /** How long the call waited before this attempt because of the one before it, in milliseconds. */
  readonly waitMillis: number
  /** Why it waited. */
  readonly waitCause: WaitCause
  /** How long the attempt stood in the queue for a slot, in milliseconds. */
  readonly queuedMillis: number
}

/** The story of one call: an attempt for each send, in order. */
export interface Story {
  readonly attempts: ReadonlyArray<Attempt>
  /** Why a failed call was not tried again. Absent when it succeeded. */
  readonly stop: Stop | undefined
}

/** Why a call that failed was not tried again. */
export type Stop =
  | "notRetryable"
  | "exhausted"
  | "unsafe"
  | "retryAfterTooLong"
  | "retryAfterBeyondDeadline"
  | "deadline"
  | "retryBudget"
  | "fallback"

/** Writes a story while the call runs; `Policy` is the only writer. */
export class Recorder implements Story {
  readonly attempts: Array<Attempt> = []
  /** Set when the loop ends with a failure. */
  stop: Stop | undefined = undefined
}

/**
 * The recorder of the call around. Provide one to read the attempts of a call whose result and error cannot carry them,
 * such as a plain `HttpClient` request. Default: nobody listens.
 */
export const Story: Context.Reference<Recorder | undefined> = Context.Reference<Recorder | undefined>(
  "holdfast/policy/Attempt/Story",
  {
    defaultValue: () => undefined
  }
)
