/** Writes text of a model or a guest to the standard streams as it comes, made safe for a terminal. */
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { plain } from "./plain.ts"

/** Writes without a newline of its own. A reader that has gone is not our error: `main.ts` ends the program. */
export const stdout = (text: string): Effect.Effect<void, never, Stdio.Stdio> => write("stdout", text)

/** Likewise. */
export const stderr = (text: string): Effect.Effect<void, never, Stdio.Stdio> => write("stderr", text)

const write = (to: "stdout" | "stderr", text: string): Effect.Effect<void, never, Stdio.Stdio> =>
  Effect.flatMap(Stdio.Stdio, (stdio) =>
    Stream.run(Stream.succeed(plain(text)), stdio[to]({ endOnDone: false })).pipe(Effect.ignore)
  )
