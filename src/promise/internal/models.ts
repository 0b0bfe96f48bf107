/** The layers of models, by their plain options. Each provider is loaded when a call first needs it. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { Llm } from "../../llm/Llm.ts"
import { LlmError, Unauthorized } from "../../llm/LlmError.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { LlmOptions, SingleOptions } from "../Model.ts"
import { connected, keyOptions, missing, secret, type Shared as Connected } from "./connected.ts"

/** What all models of a client share. */
export interface Shared extends Connected {
  readonly isLogged: boolean
}

/** The layer of one endpoint, its key from the environment where the options do not say it. */
const load = async (
  options: SingleOptions,
  policy: Policy.Policy
): Promise<Layer.Layer<Llm, ConfigError, HttpClient>> => {
  switch (options.provider) {
    case "openai": {
      const { apiKey, provider: _, ...rest } = options
      const { layerConfig } = await import("../../llm/OpenAiLlm.ts")
      return layerConfig({ ...rest, policy, apiKey: secret(apiKey) })
    }
    case "deepseek": {
      const { apiKey, provider: _, ...rest } = options
      const { layerConfig } = await import("../../llm/DeepSeekLlm.ts")
      return layerConfig({ ...rest, policy, apiKey: secret(apiKey) })
    }
    case "evolution": {
      const { apiKey, provider: _, secret: half, ...rest } = options
      const { layerConfig } = await import("../../llm/EvolutionLlm.ts")
      return layerConfig({ ...rest, policy, apiKey: secret(apiKey), secret: secret(half) })
    }
    case "anthropic": {
      const { apiKey, provider: _, ...rest } = options
      const { layerConfig } = await import("../../llm/AnthropicLlm.ts")
      return layerConfig({ ...rest, policy, apiKey: secret(apiKey) })
    }
    case "gemini": {
      const { apiKey, provider: _, ...rest } = options
      const { layerConfig } = await import("../../llm/GeminiLlm.ts")
      return layerConfig({ ...rest, policy, apiKey: secret(apiKey) })
    }
  }
}

/** One endpoint. */
export const single = (options: SingleOptions, shared: Connected, where: string): Layer.Layer<Llm, LlmError> =>
  connected(
    () => load(options, shared.policy),
    options,
    shared,
    (error) => Layer.effect(Llm, Effect.fail(notConfigured(error, options.provider, where)))
  )

/** What is missing in the environment, as the calls are told it. */
const notConfigured = (error: ConfigError, provider: SingleOptions["provider"], where: string): LlmError => {
  const description = missing(error, keyOptions(provider, where))
  return new LlmError({ provider, reason: new Unauthorized({ description }), attempts: [] })
}

/** The model of these options. */
export const llmLayer = (options: LlmOptions, shared: Shared): Layer.Layer<Llm, LlmError> =>
  options.provider === "pool" || options.provider === "fallback"
    ? Layer.unwrap(
        Effect.map(
          Effect.promise(() => import("./severalModels.ts")),
          (several) => several.layer(options, shared)
        )
      )
    : single(options, shared, "llm")
