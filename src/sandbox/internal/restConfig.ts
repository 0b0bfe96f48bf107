/** Address and key of a sandbox server, from the `ConfigProvider` in context. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { missing, secret, text } from "../../http/internal/settings.ts"

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
    if (baseUrl === undefined)
      return yield* missing("no sandbox server: set HOLDFAST_SANDBOX_URL, or give the option `baseUrl`")
    if (options.apiKey !== undefined) return { ...options, baseUrl }
    return { ...options, baseUrl, apiKey: yield* secret("HOLDFAST_SANDBOX_API_KEY") }
  })
