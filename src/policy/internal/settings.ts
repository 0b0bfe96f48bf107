/** A policy as a value, and what the fibers around a call say of it. */
import * as Context from "effect/Context"
import type { CallSettings, Options, Policy } from "../Policy.ts"
import * as Retry from "../Retry.ts"
import * as Timeout from "../Timeout.ts"

/** A policy of these options; what is left out has its default. */
export const make = (options: Options = {}): Policy => ({
  options,
  retry: Retry.make(options.retry),
  timeout: Timeout.make(options.timeout)
})

/** The policy without any option set. */
export const defaults: Policy = make()

/** What of `options` is set, over what was set before: a name without a value changes nothing. */
const over = <A extends object>(before: A | undefined, options: A | undefined): Partial<A> => {
  const merged: Partial<A> = { ...before }
  for (const name in options) if (options[name] !== undefined) merged[name] = options[name]
  return merged
}

/**
 * A policy with some options changed: `retry` and `timeout` name by name, where a name without a value changes nothing;
 * every other part as a whole, where `undefined` is back at the default.
 */
export const merge = (self: Policy, options: Options): Policy =>
  make({
    ...self.options,
    ...options,
    retry: over(self.options.retry, options.retry),
    timeout: over(self.options.timeout, options.timeout)
  })

/** Settings for the calls inside, merged over those of the layer. State (slots, counters) is never changed by it. */
export const Override: Context.Reference<CallSettings | undefined> = Context.Reference<CallSettings | undefined>(
  "holdfast/policy/Policy/Override",
  { defaultValue: () => undefined }
)

/** Set under a policy's send. What is under it (`ResilientHttpClient`) sends exactly once: one owner of retries. */
export const Sending: Context.Reference<boolean> = Context.Reference<boolean>("holdfast/policy/Policy/Sending", {
  defaultValue: () => false
})
