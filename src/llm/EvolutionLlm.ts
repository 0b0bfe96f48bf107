/**
 * `Llm` over Cloud.ru Evolution: `OpenAiLlm` with the two ways in which Evolution lets callers in.
 *
 * - A key pair gives tokens of an hour, for dedicated endpoints of ML Inference: `https://<endpoint>.cloud.ru/v1`.
 * - A static key is for Foundation Models, which take no such tokens: `https://foundation-models.api.cloud.ru/v1`.
 *
 * github.com/cloud-ru-tech/evolution-openai-python 1.0.4 and cloud.ru/docs (2026-11). No `x-project-id` is sent: Evolution
 * reads it no more.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Settings from "../http/internal/settings.ts"
import * as Evolution from "./internal/evolution.ts"
import { Llm } from "./Llm.ts"
import * as OpenAiLlm from "./OpenAiLlm.ts"
import * as TokenAuth from "./TokenAuth.ts"

type Shared = Pick<OpenAiLlm.Options, "headers" | "jsonSchema" | "prefix" | "onCut" | "policy">

/** With a key pair, for a dedicated endpoint. */
export interface KeyPairOptions extends Shared {
  /** The key pair's public half. */
  readonly keyId: string
  /** The key pair's other half. */
  readonly secret: Redacted.Redacted<string>
  /** The endpoint's own address, `https://<endpoint>.cloud.ru/v1`. */
  readonly baseUrl: string
  /** Where tokens are given. Default: `"https://iam.api.cloud.ru/api/v1/auth/token"`. */
  readonly tokenUrl?: string | undefined
  /** Asked when a request names no model. Default: `"default"`, the one that the endpoint has. */
  readonly model?: string | undefined
}

/** With a static key, for Foundation Models. */
export interface ApiKeyOptions extends Shared {
  readonly apiKey: Redacted.Redacted<string>
  /** The word before the key. Default: `"Api-Key"`, as Cloud.ru writes it; `"Bearer"` is read, too. */
  readonly scheme?: "Api-Key" | "Bearer" | undefined
  /** Default: `"https://foundation-models.api.cloud.ru/v1"`. */
  readonly baseUrl?: string | undefined
  /** Asked when a request names no model. */
  readonly model: string
}

export type Options = KeyPairOptions | ApiKeyOptions

/** What `layerConfig` is told; what it is not told, the environment says. */
export interface ConfigOptions extends Shared {
  /** Asked when a request names no model. Default with a key pair: `"default"`. Foundation Models need a name. */
  readonly model?: string | undefined
  /** Default: `EVOLUTION_KEY_ID`. */
  readonly keyId?: string | undefined
  /** Default: `EVOLUTION_SECRET`. */
  readonly secret?: Redacted.Redacted<string> | undefined
  /** Default: `EVOLUTION_API_KEY`, where neither a `keyId` nor another `baseUrl` is told. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Default: `"Api-Key"`. */
  readonly scheme?: "Api-Key" | "Bearer" | undefined
  /** Default: `EVOLUTION_BASE_URL`; Foundation Models with a static key. */
  readonly baseUrl?: string | undefined
  /** Default: `EVOLUTION_TOKEN_URL`, or else the IAM of Cloud.ru. */
  readonly tokenUrl?: string | undefined
}

/** A key that was left `undefined` is none. */
const hasApiKey = (options: Options): options is ApiKeyOptions => "apiKey" in options && options.apiKey !== undefined

/** Makes the service over the `HttpClient` in context. No token is fetched before the first call. */
export const make = (options: Options): Effect.Effect<Llm["Service"], never, HttpClient.HttpClient | Scope.Scope> => {
  const { headers, jsonSchema, onCut, policy, prefix } = options
  const shared = { provider: "evolution", headers, jsonSchema, onCut, policy, prefix }
  if (hasApiKey(options)) {
    const { apiKey, baseUrl = Evolution.foundationModels, model, scheme = Evolution.defaultScheme } = options
    return OpenAiLlm.make({ ...shared, model, apiKey, scheme, baseUrl })
  }
  const { baseUrl, keyId, model = "default", secret, tokenUrl } = options
  return Effect.flatMap(TokenAuth.evolution({ keyId, secret, url: tokenUrl }), (auth) =>
    OpenAiLlm.make({ ...shared, model, auth, baseUrl })
  )
}

/** `Llm` over the `HttpClient` in context. `layer(options)` has slots of its own at each call: keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Llm, never, HttpClient.HttpClient> =>
  Layer.effect(Llm, make(options))

/**
 * The same, with what the options do not say from the environment: a key pair by `EVOLUTION_KEY_ID`, `EVOLUTION_SECRET`,
 * `EVOLUTION_BASE_URL` and, if need be, `EVOLUTION_TOKEN_URL`; or else a static key by `EVOLUTION_API_KEY`.
 */
export const layerConfig = (options: ConfigOptions = {}): Layer.Layer<Llm, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Llm, Effect.flatMap(configured(options), make))

const configured = (options: ConfigOptions): Effect.Effect<Options, ConfigError> => {
  const { headers, jsonSchema, model, onCut, policy, prefix, scheme } = options
  const shared = { headers, jsonSchema, onCut, policy, prefix }
  return Effect.flatMap(Evolution.access(options), (access): Effect.Effect<Options, ConfigError> => {
    if ("keyId" in access) return Effect.succeed({ ...shared, ...access, model })
    if (model !== undefined) return Effect.succeed({ ...shared, ...access, model, scheme })
    return Settings.missing("no model: Foundation Models have many; give the option `model`")
  })
}
