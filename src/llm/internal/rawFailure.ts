/** How a call to a server failed whose answers go through as they came. */
import type { LlmError } from "../LlmError.ts"

/** An error as the server told it, without known secrets. */
export interface Refusal {
  /** Absent in the middle of a stream, which had begun with a 200. */
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** How a call ended that has no answer. */
export class RawFailure {
  readonly error: LlmError
  /** Absent where the server told nothing. */
  readonly refusal: Refusal | undefined
  constructor(error: LlmError, refusal: Refusal | undefined) {
    this.error = error
    this.refusal = refusal
  }
}
