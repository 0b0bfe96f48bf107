/** Short-lived tokens. */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Reason } from "./LlmError.ts"

/** Where a layer gets its tokens from. */
export interface TokenAuth {
  /** A token that is valid now; fetched when there is none, once for all who wait. */
  readonly token: Effect.Effect<Redacted.Redacted<string>, Reason>
  /** Forgets this token, which a server has refused; one that has replaced it already stays. */
  readonly invalidate: (refused: Redacted.Redacted<string>) => Effect.Effect<void>
}
