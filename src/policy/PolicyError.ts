/**
 * The policy refused: the call itself did not fail, it was not made or not waited for any longer.
 *
 * PolicyError
 *   DeadlineExceeded   the total time is over; never retried
 *   AttemptTimeout     one attempt took too long; retried by the loop
 *   Shed               the queue is full, or a place in it was not free in time
 *   Draining           the client is closing and takes no new calls
 *   CircuitOpen        what is called kept failing and is left alone for a while
 *   BudgetExceeded     the call might spend more tokens or money than are left
 */
import * as Data from "effect/Data"
import { type Duration, toMillis } from "effect/Duration"
import { NodeInspectSymbol } from "effect/Inspectable"
import { isBranded } from "./internal/brand.ts"
import { inspectError } from "./internal/inspect.ts"
import type { Phase, Retryable } from "./Retryable.ts"

const brand: unique symbol = Symbol.for("holdfast/policy/PolicyError")

const isTagged = (u: unknown, tag: string): boolean => isBranded(u, brand) && "_tag" in u && u._tag === tag

/** The `total` deadline of the call, or of a call around it, has passed. */
export class DeadlineExceeded
  extends Data.TaggedError("DeadlineExceeded")<{
    /** What the deadline was for, e.g. `"https://api.openai.com"`. */
    readonly key: string
    /** How long the call had in all, in milliseconds. */
    readonly totalMillis: number
    /** How far the last attempt came. */
    readonly phase: Phase
    /** The failure that there was no time left to retry. Absent when the deadline struck in the middle of a send. */
    readonly cause?: unknown
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is DeadlineExceeded {
    return isTagged(u, "DeadlineExceeded")
  }
  readonly isRetryable = false
  readonly code = "DeadlineExceeded"
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const last = this.cause instanceof Error ? ` (the last failure: ${this.cause.message})` : ""
    return `${this.key}: the deadline of ${this.totalMillis} ms leaves no time${last}; raise \`total\` or ask for less`
  }
}

/** One attempt did not end within its `attempt` timeout. Bytes may have left. */
export class AttemptTimeout
  extends Data.TaggedError("AttemptTimeout")<{
    readonly key: string
    /** The `attempt` timeout, in milliseconds. */
    readonly timeoutMillis: number
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is AttemptTimeout {
    return isTagged(u, "AttemptTimeout")
  }
  readonly isRetryable = true
  readonly isTimeout = true
  readonly phase = "maybeSent"
  readonly code = "AttemptTimeout"
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    return `${this.key}: no complete answer within the attempt timeout of ${this.timeoutMillis} ms; raise \`attempt\` or ask for less`
  }
}

/** There was no slot: the queue is full, or the longest wait for a place has passed. */
export class Shed
  extends Data.TaggedError("Shed")<{
    readonly key: string
    readonly retryAfter?: Duration | undefined
    /** Calls that were waiting. */
    readonly waiting: number
    /** The queue itself was closed. Default: `false`. */
    readonly closed?: boolean | undefined
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is Shed {
    return isTagged(u, "Shed")
  }
  readonly isRetryable = false
  readonly phase = "notSent"
  readonly code = "Shed"
  get [brand](): true {
    return true
  }
  /** `retryAfter` in milliseconds, for code without Effect. */
  get retryAfterMs(): number | undefined {
    return this.retryAfter === undefined ? undefined : toMillis(this.retryAfter)
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    return `${this.key}: too many calls are waiting (${this.waiting}); raise \`maxQueue\` or send less`
  }
}

/** The client is being closed and takes no new calls. */
export class Draining
  extends Data.TaggedError("Draining")<{
    readonly key: string
    /** The call was interrupted in the middle of a send: it may have been done. Default: `false`, it was never sent. */
    readonly isSent?: boolean | undefined
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is Draining {
    return isTagged(u, "Draining")
  }
  readonly isRetryable = false
  get phase(): Phase {
    return this.isSent === true ? "maybeSent" : "notSent"
  }
  readonly code = "Draining"
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    if (this.isSent === true) return `${this.key}: the client closed before the answer; the call may have been done`
    return `${this.key}: the client is closing and takes no new calls`
  }
}

/** The circuit of this key is open: what it leads to kept failing and is left alone until `retryAfter` has passed. */
export class CircuitOpen
  extends Data.TaggedError("CircuitOpen")<{
    readonly key: string
    /** How long the circuit stays open. Absent when a trial call is under way that will decide. */
    readonly retryAfter?: Duration | undefined
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is CircuitOpen {
    return isTagged(u, "CircuitOpen")
  }
  readonly isRetryable = false
  readonly phase = "notSent"
  readonly code = "CircuitOpen"
  get [brand](): true {
    return true
  }
  /** `retryAfter` in milliseconds, for code without Effect. */
  get retryAfterMs(): number | undefined {
    return this.retryAfter === undefined ? undefined : toMillis(this.retryAfter)
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const when =
      this.retryAfter === undefined ? "a trial call is under way" : `for ${toMillis(this.retryAfter)} ms more`
    return `${this.key}: not called, it kept failing and its circuit is open (${when}); wait, or call something else`
  }
}

/** The call might spend more than its budget has left, so it was not sent. */
export class BudgetExceeded
  extends Data.TaggedError("BudgetExceeded")<{
    /** What would have been called. */
    readonly key: string
    /** The budget's name, e.g. `"run"`. */
    readonly budget: string
    /** What the budget counts: tokens, or a currency such as `"USD"`. */
    readonly unit: string
    readonly limit: number
    /** Spent and reserved by calls in flight. */
    readonly used: number
    /** What this call might have cost. */
    readonly wanted: number
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is BudgetExceeded {
    return isTagged(u, "BudgetExceeded")
  }
  readonly isRetryable = false
  readonly phase = "notSent"
  readonly code = "BudgetExceeded"
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const { budget, limit, unit, used, wanted } = this
    return `${this.key}: not sent, it may cost ${wanted} ${unit} and budget "${budget}" has used ${used} of ${limit} ${unit}; raise it or ask for less`
  }
}

/** Everything a policy can say by itself. */
export type PolicyError = DeadlineExceeded | AttemptTimeout | Shed | Draining | CircuitOpen | BudgetExceeded

/** Whether `u` is a refusal of a policy, of this copy of the package or of another one. */
export const isPolicyError = (u: unknown): u is PolicyError => isBranded(u, brand)
