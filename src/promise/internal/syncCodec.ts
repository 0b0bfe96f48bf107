/**
 * Errors on their way to another thread. Structured cloning makes a bare `Error` of every class; here they arrive as
 * what they were: the classes with their reasons and causes, Durations, and what stays out of logs still not enumerable.
 * Both directions are in this one file, so what is read is what was written.
 */
import * as Duration from "effect/Duration"
import { LlmError } from "../../llm/LlmError.ts"
import * as Llm from "../../llm/LlmError.ts"
import * as Policy from "../../policy/PolicyError.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"
import * as Sandbox from "../../sandbox/SandboxError.ts"
import { SyncError } from "./syncError.ts"

/** Every error that has a class of ours. */
export type Known = LlmError | LlmError["reason"] | SandboxError | SandboxError["reason"] | SyncError

/** A reason that is new does not compile before it is in here. */
const classes = {
  LlmError,
  SandboxError,
  SyncError,
  RateLimited: Llm.RateLimited,
  Overloaded: Llm.Overloaded,
  QuotaExhausted: Llm.QuotaExhausted,
  Unauthorized: Llm.Unauthorized,
  InvalidRequest: Llm.InvalidRequest,
  ContextLengthExceeded: Llm.ContextLengthExceeded,
  ContentFiltered: Llm.ContentFiltered,
  ServerError: Llm.ServerError,
  Unreachable: Llm.Unreachable,
  ConnectionLost: Llm.ConnectionLost,
  InvalidResponse: Llm.InvalidResponse,
  FirstContentTimeout: Llm.FirstContentTimeout,
  StreamStalled: Llm.StreamStalled,
  StreamCut: Llm.StreamCut,
  StreamTruncated: Llm.StreamTruncated,
  BodyTooLarge: Llm.BodyTooLarge,
  ObjectMismatch: Llm.ObjectMismatch,
  RoundsExceeded: Llm.RoundsExceeded,
  DeadlineExceeded: Policy.DeadlineExceeded,
  AttemptTimeout: Policy.AttemptTimeout,
  Shed: Policy.Shed,
  Draining: Policy.Draining,
  CircuitOpen: Policy.CircuitOpen,
  BudgetExceeded: Policy.BudgetExceeded,
  Unavailable: Sandbox.Unavailable,
  SessionLost: Sandbox.SessionLost,
  LimitExceeded: Sandbox.LimitExceeded,
  UnsupportedLanguage: Sandbox.UnsupportedLanguage,
  Unsupported: Sandbox.Unsupported,
  FileFailed: Sandbox.FileFailed,
  ExecutionFailed: Sandbox.ExecutionFailed,
  ExecutionTimeout: Sandbox.ExecutionTimeout
} satisfies { readonly [Tag in Known["_tag"]]: new (fields: never) => Extract<Known, { readonly _tag: Tag }> }

type Tag = keyof typeof classes

/** The errors of the language, by their names; one of another name is an `Error` that keeps its name. */
const builtins = {
  Error: (message: string): Error => new Error(message),
  TypeError: (message: string): Error => new TypeError(message),
  RangeError: (message: string): Error => new RangeError(message),
  SyntaxError: (message: string): Error => new SyntaxError(message),
  ReferenceError: (message: string): Error => new ReferenceError(message),
  AggregateError: (message: string): Error => new AggregateError([], message)
}

interface Field {
  readonly name: string
  readonly value: Sent
  readonly isEnumerable: boolean
}

/** A value as it is posted. */
export type Sent =
  | { readonly is: "value"; readonly value: unknown }
  | { readonly is: "list"; readonly items: ReadonlyArray<Sent> }
  | { readonly is: "record"; readonly fields: ReadonlyArray<Field> }
  | { readonly is: "duration"; readonly millis: number }
  | { readonly is: "known"; readonly tag: Tag; readonly stack: string; readonly fields: ReadonlyArray<Field> }
  | {
      readonly is: "error"
      readonly name: string
      readonly message: string
      readonly stack: string
      readonly fields: ReadonlyArray<Field>
    }

const nothing: Sent = { is: "value", value: undefined }

/** No chain of causes that somebody reads is longer; what is deeper is left out. */
const maxDepth = 12

const isTag = (tag: unknown): tag is Tag => typeof tag === "string" && Object.hasOwn(classes, tag)

const tagOf = (error: Error): Tag | undefined => {
  const tag: unknown = Reflect.get(error, "_tag")
  return isTag(tag) && error instanceof classes[tag] ? tag : undefined
}

/** The own properties, the hidden ones too, but for those that `except` names and what is computed. */
const fieldsOf = (self: object, except: ReadonlyArray<string>, within: ReadonlyArray<object>): ReadonlyArray<Field> =>
  Object.entries(Object.getOwnPropertyDescriptors(self)).flatMap(([name, { enumerable, get, value }]) =>
    get !== undefined || except.includes(name)
      ? []
      : [{ name, value: sendWithin(value, within), isEnumerable: enumerable === true }]
  )

/** An `LlmError` and a `SandboxError` take their cause from their reason. */
const derived = (tag: Tag): ReadonlyArray<string> =>
  tag === "LlmError" || tag === "SandboxError" ? ["stack", "cause"] : ["stack"]

const sendError = (error: Error, within: ReadonlyArray<object>): Sent => {
  const tag = tagOf(error)
  const stack = error.stack ?? ""
  if (tag !== undefined) return { is: "known", tag, stack, fields: fieldsOf(error, derived(tag), within) }
  const { message, name } = error
  return { is: "error", name, message, stack, fields: fieldsOf(error, ["name", "message", "stack"], within) }
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

const sendWithin = (value: unknown, outer: ReadonlyArray<object>): Sent => {
  if (typeof value === "function" || typeof value === "symbol") return nothing
  if (typeof value !== "object" || value === null) return { is: "value", value }
  if (outer.length === maxDepth || outer.includes(value)) return nothing
  if (Duration.isDuration(value)) return { is: "duration", millis: Duration.toMillis(value) }
  const within = [...outer, value]
  if (value instanceof Error) return sendError(value, within)
  if (Array.isArray(value)) return { is: "list", items: value.map((item) => sendWithin(item, within)) }
  // A socket, a request: whatever has a class holds what nobody asked to see.
  return isPlain(value) ? { is: "record", fields: fieldsOf(value, [], within) } : nothing
}

/** A value with all errors in it, ready to be posted. */
export const send = (value: unknown): Sent => sendWithin(value, [])

const open = (fields: ReadonlyArray<Field>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(fields.map(({ name, value }) => [name, receive(value)]))

const hide = (error: object, name: string, value: unknown): void => {
  Object.defineProperty(error, name, { value, writable: true, configurable: true, enumerable: false })
}

const receiveError = ({ fields, message, name }: Extract<Sent, { readonly is: "error" }>): Error => {
  const make = Object.entries(builtins).find(([known]) => known === name)?.[1]
  const error = (make ?? builtins.Error)(message)
  if (make === undefined) hide(error, "name", name)
  for (const { isEnumerable: enumerable, name, value } of fields)
    Object.defineProperty(error, name, { value: receive(value), writable: true, configurable: true, enumerable })
  return error
}

/** What was sent. */
export const receive = (sent: Sent): unknown => {
  switch (sent.is) {
    case "value":
      return sent.value
    case "list":
      return sent.items.map(receive)
    case "record":
      return open(sent.fields)
    case "duration":
      return Duration.millis(sent.millis)
    case "known": {
      const error: object = Reflect.construct(classes[sent.tag], [open(sent.fields)])
      hide(error, "stack", sent.stack)
      return error
    }
    case "error": {
      const error = receiveError(sent)
      hide(error, "stack", sent.stack)
      return error
    }
  }
}
