/**
 * `Llm` over DeepSeek: `OpenAiLlm` with what DeepSeek does in its own way (https://api-docs.deepseek.com, 2026-11).
 *
 * - Its models think unless told not to: `reasoning: { effort: "none" }` turns it off, and `temperature` counts only then.
 *   It gets the reasoning of turns with tool calls back, as it demands.
 * - It knows JSON and no schemas: a schema is told in words.
 * - `onCut: "continue"` goes on from an answer's beginning, at the beta address.
 * - A `user_id` for each end user goes into `extra`.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Policy from "../policy/Policy.ts"
import * as Environment from "./internal/environment.ts"
import { Llm, type OnCut } from "./Llm.ts"
import * as OpenAiLlm from "./OpenAiLlm.ts"

export interface Options {
  /** Asked when a request names no model, e.g. `"deepseek-flash"`. */
  readonly model: string
  /** Absent for a proxy that adds its own. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Default: `"https://api.deepseek.com"`. */
  readonly baseUrl?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What happens when a stream breaks after content. Default: `"fail"`. */
  readonly onCut?: OnCut | undefined
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const defaultBaseUrl = "https://api.deepseek.com"

/** Makes the service over the `HttpClient` in context. */
export const make = (options: Options): Effect.Effect<Llm["Service"], never, HttpClient.HttpClient | Scope.Scope> => {
  const baseUrl = options.baseUrl ?? defaultBaseUrl
  return OpenAiLlm.make({
    ...options,
    baseUrl,
    provider: "deepseek",
    maxTokensField: "max_tokens",
    jsonSchema: false,
    thinking: "deepseek",
    prefix: "prefix",
    // `/v1` is the same API as the bare address; the beta features are beside it.
    prefixBaseUrl: `${baseUrl.replace(/\/+$/, "").replace(/\/(v1|beta)$/, "")}/beta`
  })
}

/** `Llm` over the `HttpClient` in context. `layer(options)` has slots of its own at each call: keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Llm, never, HttpClient.HttpClient> =>
  Layer.effect(Llm, make(options))

/**
 * The same with the key and the address from `DEEPSEEK_API_KEY` and `DEEPSEEK_BASE_URL`, where the options do not say
 * them. The variable's key never goes to another server's `baseUrl` of the options, which gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Llm, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Llm, Effect.flatMap(Environment.access(options, names), make))

const names: Environment.Names = { keys: ["DEEPSEEK_API_KEY"], address: "DEEPSEEK_BASE_URL", origin: defaultBaseUrl }
