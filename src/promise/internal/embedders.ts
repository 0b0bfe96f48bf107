/** The layers of embedders, by their plain options. Each is loaded when a call first needs it. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { Embedder } from "../../llm/Embedder.ts"
import { EmbedderError } from "../../llm/EmbedderError.ts"
import { Unauthorized } from "../../llm/LlmError.ts"
import * as Usage from "../../llm/Usage.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { EmbedderOptions } from "../Embeddings.ts"
import { connected, missing, secret, type Shared } from "./connected.ts"

const load = async (
  options: EmbedderOptions,
  policy: Policy.Policy
): Promise<Layer.Layer<Embedder, ConfigError, HttpClient>> => {
  if (options.provider === "gemini") {
    const { apiKey, provider: _, ...rest } = options
    return (await import("../../llm/GeminiEmbedder.ts")).layerConfig({ ...rest, policy, apiKey: secret(apiKey) })
  }
  const { apiKey, provider: _, ...rest } = options
  return (await import("../../llm/OpenAiEmbedder.ts")).layerConfig({ ...rest, policy, apiKey: secret(apiKey) })
}

const notConfigured = (error: ConfigError, provider: string): EmbedderError => {
  const reason = new Unauthorized({ description: missing(error, "embedder.apiKey") })
  const nothing = { inputs: 0, finished: 0, usage: Usage.empty, vectors: [], attempts: [] }
  return new EmbedderError({ provider, reason, ...nothing })
}

/** The embedder of these options. */
export const layer = (options: EmbedderOptions, shared: Shared): Layer.Layer<Embedder, EmbedderError> =>
  connected(
    () => load(options, shared.policy),
    options,
    shared,
    (error) => Layer.effect(Embedder, Effect.fail(notConfigured(error, options.provider)))
  )
