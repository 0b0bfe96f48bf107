/** The layers of models, by their plain options. Each provider is loaded when a call first needs it. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Llm } from "../../llm/Llm.ts"
import { LlmError, Unauthorized } from "../../llm/LlmError.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { FallbackOptions, LlmOptions, PoolOptions, SingleOptions } from "../Model.ts"

const secret = (text: string | undefined): Redacted.Redacted<string> | undefined =>
  text === undefined ? undefined : Redacted.make(text)

/** The layer of one endpoint, its key from the environment where the options do not say it. */
const load = async (
  options: SingleOptions,
  policy: Policy.Policy
): Promise<Layer.Layer<Llm, ConfigError, HttpClient>> => {
  const { baseUrl, headers, onCut } = options
  const apiKey = secret(options.apiKey)
  const common = { apiKey, baseUrl, headers, onCut, policy }
  switch (options.provider) {
    case "openai": {
      const { jsonSchema, model, prefix } = options
      const { layerConfig } = await import("../../llm/OpenAiLlm.ts")
      return layerConfig({ ...common, model, jsonSchema, prefix })
    }
    case "deepseek": {
      const { layerConfig } = await import("../../llm/DeepSeekLlm.ts")
      return layerConfig({ ...common, model: options.model })
    }
    case "evolution": {
      const { keyId, model, scheme, tokenUrl } = options
      const { layerConfig } = await import("../../llm/EvolutionLlm.ts")
      return layerConfig({ ...common, model, keyId, scheme, tokenUrl, secret: secret(options.secret) })
    }
    case "anthropic": {
      const { maxTokens, model, version } = options
      const { layerConfig } = await import("../../llm/AnthropicLlm.ts")
      return layerConfig({ ...common, model, maxTokens, version })
    }
    case "gemini": {
      const { layerConfig } = await import("../../llm/GeminiLlm.ts")
      return layerConfig({ ...common, model: options.model })
    }
  }
}

/** One endpoint, over connections of its own. */
const single = (options: SingleOptions, policy: Policy.Policy): Layer.Layer<Llm, LlmError> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => Promise.all([load(options, policy), import("../../http/UndiciHttpClient.ts")])),
      ([llm, UndiciHttpClient]) => {
        // A call that has its slot has its connection.
        const connections = policy.options.maxConcurrency
        const http = UndiciHttpClient.layer({ connections, connectTimeout: policy.timeout.connectMillis })
        return Layer.provide(Layer.catch(llm, notConfigured(options.provider)), http)
      }
    )
  )

/** What is missing in the environment, as the calls are told it. */
const notConfigured =
  (provider: string) =>
  (error: ConfigError): Layer.Layer<Llm, LlmError> => {
    const description = `${error.message}, or give createClient the option of llm`
    return Layer.effect(
      Llm,
      Effect.fail(new LlmError({ provider, reason: new Unauthorized({ description }), attempts: [] }))
    )
  }

const pool = ({ members: [first, ...others], strategy }: PoolOptions, policy: Policy.Policy) =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../llm/LlmPool.ts")),
      (LlmPool) => {
        const toMember = ({ name, weight, ...options }: PoolOptions["members"][number]) => ({
          llm: single(options, policy),
          name,
          weight
        })
        return LlmPool.layer([toMember(first), ...others.map(toMember)], { strategy })
      }
    )
  )

const fallback = ({ members: [first, ...others] }: FallbackOptions, policy: Policy.Policy) =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../llm/FallbackLlm.ts")),
      (FallbackLlm) => {
        const toAlternative = ({ longerContext, name, ...options }: FallbackOptions["members"][number]) => ({
          llm: single(options, policy),
          name,
          longerContext
        })
        return FallbackLlm.layer([toAlternative(first), ...others.map(toAlternative)])
      }
    )
  )

/** The model of these options. */
export const llmLayer = (options: LlmOptions, policy: Policy.Policy): Layer.Layer<Llm, LlmError> =>
  options.provider === "pool"
    ? pool(options, policy)
    : options.provider === "fallback"
      ? fallback(options, policy)
      : single(options, policy)
