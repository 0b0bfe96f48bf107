/**
 * SandboxError, by reason:
 *   Unavailable           no session could be made; says what to install or what failed   retryable where it may pass
 *   SessionLost           the guest is gone: killed, out of memory, crashed, closed        not retryable
 *   LimitExceeded         a limit of the layer refused the request                         not retryable
 *   UnsupportedLanguage   the layer does not run this language                             not retryable
 *   Unsupported           the layer cannot do this at all: it has no shell                 not retryable
 *   FileFailed            a file of the guest: not found, a folder, no space               not retryable
 *   ExecutionFailed       the program raised (only where a failing program is an error)    not retryable
 *   ExecutionTimeout      the program ran out of time (likewise)                           not retryable
 *   the reasons of every service over HTTP (`ServiceReason`), where the sandbox is one
 *   and the refusals of PolicyError
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { Reason as ServiceReason } from "../http/ServiceReason.ts"
import type { Attempt } from "../policy/Attempt.ts"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import type { PolicyError } from "../policy/PolicyError.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"

/** No session could be made. */
export class Unavailable
  extends Data.TaggedError("Unavailable")<{
    /** What is missing or failed, and what to do. */
    readonly description: string
    /** Whether trying again can help. Default: `false`. */
    readonly transient?: boolean | undefined
    readonly cause?: unknown
  }>
  implements Retryable
{
  get isRetryable(): boolean {
    return this.transient === true
  }
  readonly phase = "notSent"
  override get message(): string {
    return this.description
  }
}

/** The session's guest is gone, and its variables and files with it. */
export class SessionLost
  extends Data.TaggedError("SessionLost")<{
    /** `"expired"`: its lifetime was over. `"gone"`: a remote service does not know it any more. */
    readonly why:
      | "killed"
      | "outOfMemory"
      | "crashed"
      | "violation"
      | "exited"
      | "closed"
      | "protocol"
      | "expired"
      | "gone"
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "maybeSent"
  override get message(): string {
    return `the session is lost (${this.why}): ${this.description}`
  }
}

/** A limit of the layer refused the request before it ran. */
export class LimitExceeded
  extends Data.TaggedError("LimitExceeded")<{
    readonly limit: "codeBytes" | "sessions" | "queue" | "fileBytes" | "contexts"
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return this.description
  }
}

/** The layer does not run this language. */
export class UnsupportedLanguage
  extends Data.TaggedError("UnsupportedLanguage")<{
    readonly language: string
    readonly supported: ReadonlyArray<string>
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `cannot run ${JSON.stringify(this.language)}; this sandbox runs ${this.supported.join(", ")}`
  }
}

/** The layer cannot do this at all. */
export class Unsupported
  extends Data.TaggedError("Unsupported")<{
    /** What was asked for, e.g. `"runCommand"`. */
    readonly operation: string
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "notSent"
  override get message(): string {
    return `${this.operation}: ${this.description}`
  }
}

/** A file of the guest cannot be read, written, listed or removed. */
export class FileFailed
  extends Data.TaggedError("FileFailed")<{
    readonly path: string
    readonly why: "notFound" | "isFolder" | "notFolder" | "denied" | "noSpace" | "tooLarge" | "other"
    readonly description: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `${JSON.stringify(this.path)}: ${this.description}`
  }
}

/** The program raised, where the caller asked for a failing program to be an error. */
export class ExecutionFailed
  extends Data.TaggedError("ExecutionFailed")<{
    readonly name: string
    readonly value: string
    readonly traceback: string
    readonly exitCode: number
    readonly stdout: string
    readonly stderr: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the program failed: ${this.name}: ${this.value}`
  }
}

/** The program ran out of time, where the caller asked for that to be an error. */
export class ExecutionTimeout
  extends Data.TaggedError("ExecutionTimeout")<{
    readonly timeoutMillis: number
    readonly stdout: string
    readonly stderr: string
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "answered"
  override get message(): string {
    return `the program did not end within ${this.timeoutMillis} ms and was killed`
  }
}

/** Every way a sandbox fails. */
export type Reason =
  | Unavailable
  | SessionLost
  | LimitExceeded
  | UnsupportedLanguage
  | Unsupported
  | FileFailed
  | ExecutionFailed
  | ExecutionTimeout
  | ServiceReason
  | PolicyError

const brand: unique symbol = Symbol.for("holdfast/sandbox/SandboxError")

/** The one error in the channel of `Sandbox`: match it, then look at `reason`. */
export class SandboxError
  extends Data.TaggedError("SandboxError")<{
    /** Which implementation failed, e.g. `"local"`. */
    readonly provider: string
    readonly reason: Reason
    readonly attempts?: ReadonlyArray<Attempt> | undefined
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is SandboxError {
    return isBranded(u, brand)
  }
  constructor(args: {
    readonly provider: string
    readonly reason: Reason
    readonly attempts?: ReadonlyArray<Attempt> | undefined
  }) {
    super(args)
    if (this.reason.cause !== undefined)
      Object.defineProperty(this, "cause", { value: this.reason.cause, configurable: true })
  }
  /** The reason's tag, for code that switches on strings. */
  get code(): Reason["_tag"] {
    return this.reason._tag
  }
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }
  /** `retryAfter` in milliseconds, for code without Effect. */
  get retryAfterMs(): number | undefined {
    return this.retryAfter === undefined ? undefined : Duration.toMillis(this.retryAfter)
  }
  get phase(): Phase {
    return this.reason.phase
  }
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    return `sandbox ${this.provider}: ${this.reason.message}`
  }
}
