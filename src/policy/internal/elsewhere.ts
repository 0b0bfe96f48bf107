/** Apart from `Fallback`, so that a loop that reads it does not load all of that. */
import * as Context from "effect/Context"

/**
 * Whether a further alternative would serve this failure now. Provided around each alternative; a retry loop that reads
 * `true` does not sleep a wait that the server asked for. Default: `undefined`, there is no fallback around.
 */
export const Open: Context.Reference<((error: unknown) => boolean) | undefined> = Context.Reference<
  ((error: unknown) => boolean) | undefined
>("holdfast/policy/Fallback/Open", { defaultValue: () => undefined })
