/** Embeddings for plain programs. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Embedder, type Request } from "../llm/Embedder.ts"
import { EmbedderError } from "../llm/EmbedderError.ts"
import { Unauthorized } from "../llm/LlmError.ts"
import * as Usage from "../llm/Usage.ts"
import type * as Policy from "../policy/Policy.ts"
import type { CallOptions } from "./Options.ts"
import { atLeast, onlyKnown } from "./Time.ts"

/** Which model embeds. */
export interface EmbedderOptions {
  /** `"openai"`: any OpenAI-compatible endpoint. */
  readonly provider: "openai" | "gemini"
  /** Asked when a call names no model. */
  readonly model: string
  /** Default: `OPENAI_API_KEY`, or `GEMINI_API_KEY` and then `GOOGLE_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
  /** Default: the provider's own. */
  readonly baseUrl?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The length of the vectors where a call names none. Default: the model's own. */
  readonly dimensions?: number | undefined
  /** The most inputs of one request. Default: the provider's own limit. */
  readonly maxInputs?: number | undefined
  /** Requests of one call at a time. Default: `4`. */
  readonly concurrency?: number | undefined
}

export interface EmbedOptions extends CallOptions, Omit<Request, "inputs"> {}

const names = ["provider", "model", "apiKey", "baseUrl", "headers", "dimensions", "maxInputs", "concurrency"]

/** Throws a `TypeError` that names what is wrong. */
export const checkEmbedder = (options: EmbedderOptions): EmbedderOptions => {
  const { baseUrl, model, provider } = options
  if (provider !== "openai" && provider !== "gemini") {
    throw new TypeError(`embedder.provider: ${JSON.stringify(provider)} is not known; choose "openai" or "gemini"`)
  }
  onlyKnown(options, names, "embedder")
  if (typeof model !== "string" || model === "") throw new TypeError("embedder.model: give the name of a model")
  if (baseUrl !== undefined && !URL.canParse(baseUrl)) {
    throw new TypeError(`embedder.baseUrl: ${JSON.stringify(baseUrl)} is not an http(s) URL`)
  }
  for (const name of ["dimensions", "maxInputs", "concurrency"] as const) atLeast(options[name], 1, `embedder.${name}`)
  return options
}

const load = async (
  options: EmbedderOptions,
  policy: Policy.Policy
): Promise<Layer.Layer<Embedder, ConfigError, HttpClient>> => {
  const { apiKey, provider, ...rest } = options
  const settings = { ...rest, policy, apiKey: apiKey === undefined ? undefined : Redacted.make(apiKey) }
  return provider === "gemini"
    ? (await import("../llm/GeminiEmbedder.ts")).layerConfig(settings)
    : (await import("../llm/OpenAiEmbedder.ts")).layerConfig(settings)
}

const notConfigured =
  (provider: string) =>
  ({ message }: ConfigError): Layer.Layer<Embedder, EmbedderError> => {
    const reason = new Unauthorized({ description: `${message}, or give createClient the option embedder.apiKey` })
    const nothing = { inputs: 0, finished: 0, usage: Usage.empty, vectors: [], attempts: [] }
    return Layer.effect(Embedder, Effect.fail(new EmbedderError({ provider, reason, ...nothing })))
  }

/** The embedder of these options, over connections of its own. */
export const embedderLayer = (options: EmbedderOptions, policy: Policy.Policy): Layer.Layer<Embedder, EmbedderError> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => Promise.all([load(options, policy), import("../http/UndiciHttpClient.ts")])),
      ([embedder, UndiciHttpClient]) => {
        const connections = policy.options.maxConcurrency
        const http = UndiciHttpClient.layer({ connections, connectTimeout: policy.timeout.connectMillis })
        return Layer.provide(Layer.catch(embedder, notConfigured(options.provider)), http)
      }
    )
  )

/** In the place of an embedder that was not named. */
export const noEmbedder: Layer.Layer<Embedder, TypeError> = Layer.effect(
  Embedder,
  Effect.suspend(() =>
    Effect.fail(
      new TypeError(
        'this client has no embedder; give createClient the option embedder: { provider: "openai", model: "some-model" }'
      )
    )
  )
)
