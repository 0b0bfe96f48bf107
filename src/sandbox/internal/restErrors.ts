/**
 * Errors on the wire of the REST protocol: `{ "error": { "code", "message", … } }`, the code being a reason's tag. Both
 * directions are here, so what is read is what was written. A server that has errors of its own is read by its statuses.
 */
import type { Refusal } from "../../http/internal/refusal.ts"
import {
  FileFailed,
  LimitExceeded,
  type Reason,
  type SandboxError,
  SessionLost,
  Unavailable,
  Unsupported,
  UnsupportedLanguage
} from "../SandboxError.ts"
import { type Fields, fields, flag, own, text } from "./fields.ts"

/** What a server says beyond the statuses that all services have. */
export type RestReason = Unavailable | SessionLost | LimitExceeded | UnsupportedLanguage | Unsupported | FileFailed

const isOneOf = <A extends string>(words: ReadonlyArray<A>, word: string | undefined): word is A =>
  words.some((one) => one === word)

const losses = ["killed", "outOfMemory", "crashed", "violation", "exited", "closed", "protocol", "expired"] as const
const limits = ["codeBytes", "sessions", "queue", "fileBytes", "contexts"] as const
const failures = ["notFound", "isFolder", "notFolder", "denied", "noSpace", "tooLarge", "other"] as const

/** The error of a body, as this protocol has it; `undefined` for any other. */
export const reasonOfBody = (body: unknown, description: string): RestReason | undefined => {
  const error = fields(own(fields(body) ?? {}, "error"))
  return error === undefined ? undefined : reasonOf(error, text(error, "message") ?? description)
}

const reasonOf = (error: Fields, description: string): RestReason | undefined => {
  const why = text(error, "why")
  switch (text(error, "code")) {
    case "Unavailable":
      return new Unavailable({ description, transient: flag(error, "transient") })
    case "SessionLost":
      return new SessionLost({ why: isOneOf(losses, why) ? why : "gone", description })
    case "LimitExceeded": {
      const limit = text(error, "limit")
      return new LimitExceeded({ limit: isOneOf(limits, limit) ? limit : "sessions", description })
    }
    case "UnsupportedLanguage": {
      const supported = own(error, "supported")
      return new UnsupportedLanguage({
        language: text(error, "language") ?? "",
        supported: Array.isArray(supported) ? supported.map(String) : []
      })
    }
    case "Unsupported":
      return new Unsupported({ operation: text(error, "operation") ?? "this", description })
    case "FileFailed":
      return new FileFailed({
        path: text(error, "path") ?? "",
        why: isOneOf(failures, why) ? why : "other",
        description
      })
    default:
      return undefined
  }
}

/** A word that says that the sandbox is meant, and not a file in it. */
const isOfSandbox = /\b(sandbox|session|instance)\b/i

/** Reads a refusal whose request asked for a file, or for anything else of a sandbox. */
export const reasonOfRefusal = (
  { ask, description, json, status }: Refusal,
  sandbox: { readonly isMade: boolean; readonly file: string | undefined }
): RestReason | undefined => {
  const told = reasonOfBody(json, description)
  if (told !== undefined || !sandbox.isMade) return told
  const { file } = sandbox
  if (file !== undefined && status === 404 && !isOfSandbox.test(description))
    return new FileFailed({ path: file, why: "notFound", description })
  if (file !== undefined && (status === 413 || status === 507))
    return new FileFailed({ path: file, why: status === 413 ? "tooLarge" : "noSpace", description })
  if (status === 404 || status === 410) return new SessionLost({ why: "gone", description })
  if (status === 405 || status === 501)
    return new Unsupported({ operation: `${ask.method} ${ask.path}`, description: "the server does not have this" })
  return undefined
}

/** The status of a failure; what a policy of the server's own refused is a 503. */
const statusOf = (reason: Reason): number => {
  switch (reason._tag) {
    case "SessionLost":
      return 410
    case "FileFailed":
      return reason.why === "notFound" ? 404 : reason.why === "noSpace" ? 507 : reason.why === "tooLarge" ? 413 : 409
    case "UnsupportedLanguage":
    case "InvalidRequest":
      return 422
    case "Unsupported":
      return 501
    case "LimitExceeded":
      return reason.limit === "sessions" || reason.limit === "queue" ? 429 : 413
    default:
      return reason.phase === "maybeSent" ? 500 : 503
  }
}

/** A `SandboxError` as its status and its body. */
export const encode = ({ reason }: SandboxError): { readonly status: number; readonly body: unknown } => {
  const { _tag: code, ...rest } = reason
  const { cause: _cause, description, ...more } = { cause: undefined, description: reason.message, ...rest }
  return { status: statusOf(reason), body: { error: { code, message: description, ...more } } }
}
