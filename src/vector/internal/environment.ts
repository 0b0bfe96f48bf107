/** Where a server is and what it is shown, from the `ConfigProvider` in context: the environment, unless a program says otherwise. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

// Loaded when a layer asks for it: it brings all of Schema, which doubles the time of the first import.
const loaded = Effect.promise(() => import("effect/Config"))

/** The text of a variable; one that is set to nothing is not set. */
export const text = (name: string): Effect.Effect<string | undefined, ConfigError> =>
  Effect.map(secret(name), (found) => (found === undefined ? undefined : Redacted.value(found)))

/** The same for a secret. */
export const secret = (name: string): Effect.Effect<Redacted.Redacted<string> | undefined, ConfigError> =>
  Effect.flatMap(loaded, (Config) =>
    Effect.map(Config.option(Config.Redacted(name)), (found) =>
      Option.getOrUndefined(Option.filter(found, (value) => Redacted.value(value).trim() !== ""))
    )
  )

interface Access {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly baseUrl?: string | undefined
}

/**
 * Address and key from the variables, where the options do not say them. The variable's key goes to the variable's address,
 * or to this machine where there is none, never to a `baseUrl` of the options: a server that the program names gets the key
 * that it is given.
 */
export const access = <A extends Access>(
  options: A,
  names: { readonly url: string; readonly key: string }
): Effect.Effect<A, ConfigError> =>
  Effect.gen(function* () {
    if (options.baseUrl !== undefined) return options
    const baseUrl = yield* text(names.url)
    const apiKey = options.apiKey ?? (yield* secret(names.key))
    return { ...options, baseUrl, apiKey }
  })
