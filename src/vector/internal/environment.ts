/** Where a server is and what it is shown, from the `ConfigProvider` in context. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { secret, text } from "../../http/internal/settings.ts"

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
