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

/** No byte of a streamed body came for the `idleContent` time, while somebody waited for it. */
export class BodyStalled
  extends Data.TaggedError("BodyStalled")<{ readonly timeoutMillis: number }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `no byte of the body for ${this.timeoutMillis} ms; raise \`idleContent\` for a feed that is silent for longer`
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
  UND_ERR_HEADERS_OVERFLOW: "the headers are too large",
  ERR_TLS_CERT_ALTNAME_INVALID: "the certificate is for another host",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the certificate is self-signed; give its authority as `tls.ca`",
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate's authority is not known; give it as `tls.ca`",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the certificate's authority is not known; give it as `tls.ca`",
  Z_BUF_ERROR: "the compressed body was cut off",
  Z_DATA_ERROR: "the compressed body is broken"
}

// Codes that mean that no connection was ever made, whoever reports them.
const notSent = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])

/** A server refuses a stream before it has done anything with it (RFC 9113 §8.7). */
const isRefusedStream = (cause: unknown): boolean =>
  cause instanceof Error && cause.message.includes("NGHTTP2_REFUSED_STREAM")

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
  const isNotSent = isStarted === false || (code !== undefined && notSent.has(code)) || isRefusedStream(cause)
  return new ConnectionFailure({ description, code, phase: isNotSent ? "notSent" : "maybeSent", cause })
}

/** Whether the connection that broke had carried an answer before: a server may close such a one at any time. */
export const isReusedConnection = (cause: unknown): boolean => {
  if (typeof cause !== "object" || cause === null || !("socket" in cause)) return false
  const { socket } = cause
  if (typeof socket !== "object" || socket === null || !("bytesRead" in socket)) return false
  return typeof socket.bytesRead === "number" && socket.bytesRead > 0
}
