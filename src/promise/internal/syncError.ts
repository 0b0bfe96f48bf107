/** What only a call that blocks can say of itself. */
import * as Data from "effect/Data"
import { NodeInspectSymbol } from "effect/Inspectable"
import { inspectError } from "../../policy/internal/inspect.ts"
import type { Retryable } from "../../policy/Retryable.ts"

/**
 * The thread behind a sync client gave no answer.
 *
 * - `TooLong`: the call was stopped after `maxBlock`; the client works on.
 * - `WorkerLost`: the thread ended or hangs; this client answers no more.
 */
export class SyncError
  extends Data.TaggedError("SyncError")<{
    readonly code: "TooLong" | "WorkerLost"
    readonly description: string
    readonly cause?: unknown
  }>
  implements Retryable
{
  readonly isRetryable = false
  readonly phase = "maybeSent"
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    return this.description
  }
}
