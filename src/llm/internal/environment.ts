/** Key and address of a provider, from the `ConfigProvider` in context. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { missing, secret, text } from "../../http/internal/settings.ts"

/** What a layer is told of its server. */
interface Access {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly auth?: unknown
  readonly baseUrl?: string | undefined
}

/** What a provider's settings are called. */
export interface Names {
  /** The variables that may hold the key, the first that is set. */
  readonly keys: readonly [string, ...ReadonlyArray<string>]
  /** The variable that may hold another address. */
  readonly address: string
  /** The provider's own address, without a path. */
  readonly origin: string
}

/**
 * Key and address from the environment, where the options do not say them. An address of one's own may need no key. The
 * variable's key goes to the provider or to the variable's address, never to another `baseUrl` of the options: a server
 * that the program names gets the key that it is given.
 */
export const access = <A extends Access>(options: A, { address, keys, origin }: Names): Effect.Effect<A, ConfigError> =>
  Effect.gen(function* () {
    const isHome = (url: string): boolean => url === origin || url.startsWith(`${origin}/`)
    if (options.baseUrl !== undefined && !isHome(options.baseUrl)) return options
    const baseUrl = options.baseUrl ?? (yield* text(address))
    if (options.apiKey !== undefined || options.auth !== undefined) return { ...options, baseUrl }
    for (const name of keys) {
      const apiKey = yield* secret(name)
      if (apiKey !== undefined) return { ...options, apiKey, baseUrl }
    }
    if (baseUrl !== undefined && !isHome(baseUrl)) return { ...options, baseUrl }
    return yield* missing(`no API key: set ${keys.join(" or ")}, or ${address} for a server without one`)
  })
