/** The layers of models, by their plain options. Each provider is loaded when a call first needs it. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { Llm } from "../../llm/Llm.ts"
import { LlmError, Unauthorized } from "../../llm/LlmError.ts"
import type { FallbackEvent } from "../../policy/Fallback.ts"
import type * as Policy from "../../policy/Policy.ts"
import { moving } from "../Logger.ts"
import type { FallbackOptions, LlmOptions, PoolOptions, SingleOptions } from "../Model.ts"
import { durations } from "../Time.ts"
import { connected, missing, secret, type Shared as Connected } from "./connected.ts"
import { ofSeveral } from "./whole.ts"

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
const single = (options: SingleOptions, shared: Connected, where: string): Layer.Layer<Llm, LlmError> =>
  connected(
    () => load(options, shared.policy),
    options,
    shared,
    (error) => Layer.effect(Llm, Effect.fail(notConfigured(error, options.provider, where)))
  )

/** What is missing in the environment, as the calls are told it. */
const notConfigured = (error: ConfigError, provider: SingleOptions["provider"], where: string): LlmError => {
  const pair = `${where}.keyId, ${where}.secret and ${where}.baseUrl, or ${where}.apiKey and ${where}.model`
  const description = missing(error, provider === "evolution" ? pair : `${where}.apiKey`)
  return new LlmError({ provider, reason: new Unauthorized({ description }), attempts: [] })
}

/** What is told of a move before it is made. A hook that fails changes nothing. */
const toHook =
  (onMove: PoolOptions["onMove"], isLogged: boolean) =>
  (event: FallbackEvent): Effect.Effect<void> => {
    const logged = isLogged ? moving(event) : Effect.void
    if (onMove === undefined) return logged
    return Effect.andThen(logged, Effect.ignore(Effect.tryPromise(async () => onMove(event))))
  }

const pool = (options: PoolOptions, shared: Shared) =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../llm/LlmPool.ts")),
      (LlmPool) => {
        const { coolDown, keyCoolDown, maxCoolDown, members, onMove, strategy } = options
        return LlmPool.layer(
          members.map(({ name, weight, ...options }, index) => ({
            llm: single(options, shared, `llm.members[${index}]`),
            name,
            weight
          })),
          {
            ...durations({ coolDown, keyCoolDown, maxCoolDown }, ["coolDown", "keyCoolDown", "maxCoolDown"], "llm"),
            strategy,
            onMove: toHook(onMove, shared.isLogged)
          }
        )
      }
    )
  )

const fallback = (options: FallbackOptions, shared: Shared) =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../llm/FallbackLlm.ts")),
      (FallbackLlm) => {
        const { coolDown, maxCoolDown, onFallback } = options
        const [first, ...others] = options.members
        const toAlternative = ({ longerContext, name, ...options }: typeof first, index: number) => ({
          llm: single(options, shared, `llm.members[${index}]`),
          name,
          longerContext
        })
        return FallbackLlm.layer(
          [toAlternative(first, 0), ...others.map((other, index) => toAlternative(other, index + 1))],
          {
            ...durations({ coolDown, maxCoolDown }, ["coolDown", "maxCoolDown"], "llm"),
            onFallback: toHook(onFallback, shared.isLogged)
          }
        )
      }
    )
  )

/** The model of these options. */
export const llmLayer = (options: LlmOptions, shared: Shared): Layer.Layer<Llm, LlmError> => {
  const { policy } = shared
  if (options.provider === "pool") return ofSeveral(pool(options, shared), policy)
  if (options.provider === "fallback") return ofSeveral(fallback(options, shared), policy)
  return single(options, shared, "llm")
}
