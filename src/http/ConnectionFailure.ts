/**
 * What broke a connection, and how far the request had come: the cause inside the `HttpClientError` of our transport.
 */
import * as Data from "effect/Data"
import type { Phase, Retryable } from "../policy/Retryable.ts"

/** The connection could not be made, or broke. */
export class ConnectionFailure
  extends Data.TaggedError("ConnectionFailure")<{
    /** What happened, e.g. `"connection refused"`. */
    readonly description: string
    /** The system's or undici's code, e.g. `"ECONNREFUSED"`. */
    readonly code: string | undefined
    /** `"notSent"` when no byte of the request had left. */
    readonly phase: Phase
    readonly cause: unknown
  }>
  implements Retryable
{
  readonly isRetryable = true
  override get message(): string {
    return this.code === undefined ? this.description : `${this.description}, ${this.code}`
  }
}

/** The body is over the limit in force (`HttpIncomingMessage.MaxBodySize`, or 64 MiB). */
export class BodyTooLarge
  extends Data.TaggedError("BodyTooLarge")<{ readonly limitBytes: number }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the body is over the limit of ${this.limitBytes} bytes`
  }
}

// Codes of Node's system errors and of undici 8 (docs/api/Errors.md).
const descriptions: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "host not found",
  EAI_AGAIN: "host name lookup failed",
  ECONNRESET: "connection reset",
  EPIPE: "connection closed while sending",
  ETIMEDOUT: "connection timed out",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "no route to network",
  UND_ERR_CONNECT_TIMEOUT: "no connection within the connect timeout",
  UND_ERR_SOCKET: "connection closed by the server",
  UND_ERR_HEADERS_OVERFLOW: "the headers are too large"
}

// Codes that mean that no connection was ever made, whoever reports them.
const notSent = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT"
])

const codeOf = (error: unknown): string | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  if ("code" in error && typeof error.code === "string") return error.code
  if (error instanceof AggregateError) return codeOf(error.errors[0])
  return "cause" in error ? codeOf(error.cause) : undefined
}

/** Reads a foreign error. `isStarted`: bytes of the request may have left; `undefined` when nobody knows. */
export const connectionFailure = (cause: unknown, isStarted?: boolean): ConnectionFailure => {
  if (cause instanceof ConnectionFailure) return cause
  const code = codeOf(cause)
  const known = code === undefined ? undefined : descriptions[code]
  const description = known ?? (cause instanceof Error && cause.message !== "" ? cause.message : "connection failed")
  const isNotSent = isStarted === false || (code !== undefined && notSent.has(code))
  return new ConnectionFailure({ description, code, phase: isNotSent ? "notSent" : "maybeSent", cause })
}
