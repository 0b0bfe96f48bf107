/**
 * How Cloud.ru Evolution lets a caller in: by a key pair or by a static key, with what the options do not say from the
 * `ConfigProvider` in context. The model is not asked for here: some doors are told it with each call.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Settings from "../../http/internal/settings.ts"

/** The address that static keys are for. */
export const foundationModels = "https://foundation-models.api.cloud.ru/v1"

/** The word before a static key, as Cloud.ru writes it. */
export const defaultScheme = "Api-Key"

/** What a layer is told. */
interface Access {
  readonly keyId?: string | undefined
  readonly secret?: Redacted.Redacted<string> | undefined
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly baseUrl?: string | undefined
  readonly tokenUrl?: string | undefined
}

/** For a dedicated endpoint. */
export interface KeyPair {
  readonly keyId: string
  readonly secret: Redacted.Redacted<string>
  readonly baseUrl: string
  readonly tokenUrl: string | undefined
}

/** For Foundation Models. */
export interface StaticKey {
  readonly apiKey: Redacted.Redacted<string>
  readonly baseUrl: string | undefined
}

/** As with other providers, the variable's key goes to no server that only the options name. */
const isHome = (given: string | undefined): boolean =>
  given === undefined || given === foundationModels || given.startsWith(`${foundationModels}/`)

/** A key pair wherever its public half is known, unless the options have a static key. */
export const access = (options: Access): Effect.Effect<KeyPair | StaticKey, ConfigError> =>
  Effect.gen(function* () {
    const { apiKey: given } = options
    const baseUrl = options.baseUrl ?? (yield* Settings.text("EVOLUTION_BASE_URL"))
    const keyId = given === undefined ? (options.keyId ?? (yield* Settings.text("EVOLUTION_KEY_ID"))) : undefined
    if (keyId !== undefined) return yield* withKeyPair({ ...options, baseUrl }, keyId)
    const apiKey = given ?? (isHome(options.baseUrl) ? yield* Settings.secret("EVOLUTION_API_KEY") : undefined)
    if (apiKey !== undefined) return { apiKey, baseUrl }
    const pair = "EVOLUTION_KEY_ID, EVOLUTION_SECRET and EVOLUTION_BASE_URL"
    return yield* Settings.missing(`no credentials: set ${pair} for a key pair, or EVOLUTION_API_KEY for a static key`)
  })

/** The rest of a key pair whose public half is known. */
const withKeyPair = ({ baseUrl, ...options }: Access, keyId: string): Effect.Effect<KeyPair, ConfigError> =>
  Effect.gen(function* () {
    const secret = options.secret ?? (yield* Settings.secret("EVOLUTION_SECRET"))
    const tokenUrl = options.tokenUrl ?? (yield* Settings.text("EVOLUTION_TOKEN_URL"))
    if (secret !== undefined && baseUrl !== undefined) return { keyId, secret, baseUrl, tokenUrl }
    const names = [
      ...(secret === undefined ? ["EVOLUTION_SECRET"] : []),
      ...(baseUrl === undefined ? ["EVOLUTION_BASE_URL"] : [])
    ]
    return yield* Settings.missing(`the key pair is not complete: set ${names.join(" and ")}`)
  })
