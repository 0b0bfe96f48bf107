/** What one call, or all calls of a derived client, set for themselves, and how it is read. */
import * as Duration from "effect/Duration"
import type { Priority } from "../../policy/Concurrency.ts"
import type { CallDefaults, CallOptions } from "../Options.ts"
import { oneOf, onlyKnown, toDuration } from "../Time.ts"
import { checkHeaders } from "./checkLlm.ts"

/** What one call sets for itself, as a policy reads it. */
export interface CallSettings {
  readonly timeout?: { readonly total: Duration.Duration }
  readonly priority: Priority | undefined
  readonly tenant: string | undefined
}

/** Reads what a call sets for itself; `undefined` when that is nothing. Throws a `TypeError` that names what is wrong. */
export const toSettings = (options: CallOptions | undefined): CallSettings | undefined => {
  const { priority, tenant, timeout } = options ?? {}
  if (priority === undefined && tenant === undefined && timeout === undefined) return undefined
  oneOf(priority, ["high", "normal", "low"], "priority")
  if (tenant !== undefined && typeof tenant !== "string")
    throw new TypeError(`tenant: ${JSON.stringify(tenant)} is not a text`)
  if (timeout === undefined) return { priority, tenant }
  return { timeout: { total: toDuration(timeout, "timeout") }, priority, tenant }
}

type Checked = CallDefaults & { readonly idempotencyKey?: string | undefined }

const isSignal = (u: unknown): u is AbortSignal =>
  typeof u === "object" && u !== null && "aborted" in u && "addEventListener" in u

/** What the types promise of a call's options, checked for programs without types. Throws a `TypeError`. */
export const checkCall = (options: Checked | undefined): void => {
  if (options === undefined) return
  if (typeof options !== "object" || options === null)
    throw new TypeError(`options: ${JSON.stringify(options) ?? typeof options} is no object of options`)
  if (isSignal(options)) throw new TypeError("options: this is a signal; give { signal }")
  const { headers, idempotencyKey, signal } = options
  if (signal !== undefined && !isSignal(signal))
    throw new TypeError("signal: this is no AbortSignal; give the `signal` of an AbortController")
  checkHeaders(headers, "headers")
  if (idempotencyKey === undefined || (typeof idempotencyKey === "string" && idempotencyKey !== "")) return
  throw new TypeError("idempotencyKey: give a text that is not empty, one for each call")
}

/** The signal of these options, if it is one. */
export const signalOf = (options: CallOptions | undefined): AbortSignal | undefined => {
  const signal: unknown = options?.signal
  return isSignal(signal) ? signal : undefined
}

const defaults = ["signal", "timeout", "priority", "tenant", "headers", "deadline"]

/** The same for `client.with`. */
export const checkDefaults = (options: CallDefaults): void => {
  if (typeof options !== "object" || options === null) throw new TypeError("with: give an object of options")
  checkCall(options)
  onlyKnown(options, defaults, "with")
  toSettings(options)
}

// 1973: a program that counts from now has mistaken one for the other.
const firstMillis = 100_000_000_000

/** A deadline in milliseconds since the epoch; `Infinity` for none. */
export const toDeadline = (deadline: CallDefaults["deadline"], now: () => number): number => {
  if (deadline === undefined) return Infinity
  if (typeof deadline === "string") return now() + Duration.toMillis(toDuration(deadline, "deadline"))
  const millis = Number(deadline)
  if ((deadline instanceof Object || typeof deadline === "number") && millis >= firstMillis) return millis
  throw new TypeError(
    `deadline: ${JSON.stringify(deadline)} is no point in time; give a Date, or "10 seconds" to count from now`
  )
}
