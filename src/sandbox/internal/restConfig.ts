/** Address and key of a sandbox server, from the `ConfigProvider` in context: the environment, unless a program says otherwise. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

// Loaded when a layer asks for it: it brings all of Schema, which doubles the time of the first import.
const loaded = Effect.promise(() => Promise.all([import("effect/Config"), import("effect/ConfigProvider")]))

/** The text of a variable; one that is set to nothing is not set. */
const text = (name: string): Effect.Effect<string | undefined, ConfigError> =>
  Effect.flatMap(loaded, ([Config]) =>
    Effect.map(Config.option(Config.String(name)), (found) =>
      Option.getOrUndefined(Option.filter(found, (value) => value.trim() !== ""))
    )
  )

interface Access {
  readonly baseUrl?: string | undefined
  readonly apiKey?: Redacted.Redacted<string> | undefined
}

/**
 * The options with `HOLDFAST_SANDBOX_URL` and `HOLDFAST_SANDBOX_API_KEY`. The variable's key goes to the variable's
 * address alone: another server gets the key that it is given.
 */
export const access = <A extends Access>(options: A): Effect.Effect<A & { readonly baseUrl: string }, ConfigError> =>
  Effect.gen(function* () {
    if (options.baseUrl !== undefined) return { ...options, baseUrl: options.baseUrl }
    const baseUrl = yield* text("HOLDFAST_SANDBOX_URL")
    if (baseUrl === undefined) {
      const [Config, { SourceError }] = yield* loaded
      const message = "no sandbox server: set HOLDFAST_SANDBOX_URL, or give the option `baseUrl`"
      return yield* Effect.fail(new Config.ConfigError(new SourceError({ message })))
    }
    if (options.apiKey !== undefined) return { ...options, baseUrl }
    const key = yield* text("HOLDFAST_SANDBOX_API_KEY")
    return { ...options, baseUrl, apiKey: key === undefined ? undefined : Redacted.make(key) }
  })
