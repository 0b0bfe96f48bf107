/** The results file: a line for each task as it finishes, there whatever happens to the program afterwards. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type BadInput, badInput } from "./ending.ts"
import type { Outcome } from "./outcome.ts"
import { why } from "./tasks.ts"

/** Writes one outcome at the end of the file. */
export type Save = (outcome: Outcome) => Effect.Effect<void, BadInput>

/**
 * Opens the file at the start, so that a wrong path costs no work. Lines are added to what is there: an earlier run's
 * results are never lost. Each line is given to the system at once and survives a kill of this program.
 */
export const open = Effect.fnUntraced(function* (
  path: Option.Option<string>
): Effect.fn.Return<Save, BadInput, FileSystem.FileSystem | Scope.Scope> {
  if (Option.isNone(path)) return () => Effect.void
  const fs = yield* FileSystem.FileSystem
  const refuse = (error: PlatformError): BadInput =>
    badInput(
      `cannot write --out ${path.value}: ${why(error, "there is no such directory")}; name a file that can be written`
    )
  const file = yield* Effect.mapError(fs.open(path.value, { flag: "a" }), refuse)
  const writing = yield* Semaphore.make(1)
  return (outcome) =>
    file.writeAll(new TextEncoder().encode(`${JSON.stringify(outcome)}\n`)).pipe(
      Effect.mapError(refuse),
      // A task that is saved half would be worse than one that is not.
      Effect.uninterruptible,
      writing.withPermits(1)
    )
})
