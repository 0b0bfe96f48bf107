/** Objects over real HTTP: each provider's own words for the schema, and an answer that is mended. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, GeminiLlm, LlmObject, OpenAiLlm } from "holdfast/llm"
import { over } from "../contract/Llm.ts"

const City = Schema.Struct({ city: Schema.String, population: Schema.Int })
const paris = { city: "Paris", population: 2_102_650 }

const settings = (baseUrl: string) => ({ baseUrl, model: "some-model", apiKey: Redacted.make("sk-test") })
const http = UndiciHttpClient.layer()

const providers = {
  OpenAI: over("openai", (url) => Layer.provide(OpenAiLlm.layer(settings(url)), http)),
  DeepSeek: over("deepseek", (url) =>
    Layer.provide(
      OpenAiLlm.layer({ ...settings(url), provider: "deepseek", jsonSchema: false, thinking: "deepseek" }),
      http
    )
  ),
  Anthropic: over("anthropic", (url) => Layer.provide(AnthropicLlm.layer(settings(url)), http)),
  Gemini: over("gemini", (url) => Layer.provide(GeminiLlm.layer(settings(url)), http))
}

describe("LlmObject over HTTP", () => {
  for (const [name, layer] of Object.entries(providers)) {
    it.live(`gets an object from ${name} at once, and after a correction`, () =>
      Effect.gen(function* () {
        const atOnce = yield* LlmObject.generate(City, "object")
        assert.deepStrictEqual([atOnce.value, atOnce.answers], [paris, 1])
        const mended = yield* LlmObject.generate(City, "object-bad")
        assert.deepStrictEqual([mended.value, mended.answers, mended.attempts.length], [paris, 2, 2])
        assert.isAbove(mended.usage.inputTokens, atOnce.usage.inputTokens)
      }).pipe(Effect.provide(layer))
    )
  }
})
