/** The layer of a model by its endpoint: the one provider that is asked, and no other, is loaded. */
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Llm } from "../../llm/Llm.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { Endpoint } from "./floors.ts"

const load = async (
  { apiKey, baseUrl, model, provider, secret }: Endpoint,
  policy: Policy.Policy
): Promise<Layer.Layer<Llm, never, HttpClient>> => {
  const common = { apiKey, baseUrl, model, policy }
  switch (provider) {
    case "openai":
      return (await import("../../llm/OpenAiLlm.ts")).layer(common)
    case "deepseek":
      return (await import("../../llm/DeepSeekLlm.ts")).layer(common)
    case "anthropic":
      return (await import("../../llm/AnthropicLlm.ts")).layer(common)
    case "gemini":
      return (await import("../../llm/GeminiLlm.ts")).layer(common)
    case "evolution": {
      const { layer } = await import("../../llm/EvolutionLlm.ts")
      if (apiKey === undefined) return (await import("../../llm/OpenAiLlm.ts")).layer({ ...common, provider })
      return secret === undefined
        ? layer({ ...common, apiKey })
        : layer({ baseUrl, model, policy, keyId: Redacted.value(apiKey), secret })
    }
  }
}

/** The model at this endpoint. */
export const llmLayer = (endpoint: Endpoint, policy: Policy.Policy): Layer.Layer<Llm, never, HttpClient> =>
  Layer.unwrap(Effect.promise(() => load(endpoint, policy)))
