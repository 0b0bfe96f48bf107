/** E2B's settings by the names of its variables, from the `ConfigProvider` in context. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import { missing, secret, text } from "../../http/internal/settings.ts"
import { type Place, defaultDomain } from "./e2bAddress.ts"

type Given = { readonly [Name in keyof Place]?: Place[Name] | undefined }

/** Whether the options send the key elsewhere than to E2B. */
const isElsewhere = ({ apiUrl, domain = defaultDomain }: Given): boolean =>
  apiUrl === undefined ? domain !== defaultDomain : apiUrl.replace(/\/+$/, "") !== `https://api.${defaultDomain}`

/** Fills in what the options do not say. A server that the program names gets the key that it is given, and no other. */
export const configured = <A extends Given>(options: A): Effect.Effect<A & Place, ConfigError> =>
  Effect.gen(function* () {
    const { apiKey } = options
    if (apiKey === undefined && isElsewhere(options))
      return yield* missing("no API key: give `apiKey` beside an `apiUrl` or a `domain` of your own")
    const key = apiKey ?? (yield* secret("E2B_API_KEY"))
    if (key === undefined) return yield* missing("no API key: set E2B_API_KEY")
    // An address that the options say is not mixed with one of the environment.
    const isHome = options.apiUrl === undefined && options.domain === undefined
    return {
      ...options,
      apiKey: key,
      domain: options.domain ?? (isHome ? yield* text("E2B_DOMAIN") : undefined),
      apiUrl: options.apiUrl ?? (isHome ? yield* text("E2B_API_URL") : undefined),
      sandboxUrl: options.sandboxUrl ?? (isHome ? yield* text("E2B_SANDBOX_URL") : undefined)
    }
  })
