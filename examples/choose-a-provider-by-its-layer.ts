/** Ask OpenAI, DeepSeek, Anthropic, Gemini or Cloud.ru Evolution: the program stays, its layer is another one. */
import { Effect, Layer, Redacted } from "effect"
import { AnthropicLlm, DeepSeekLlm, EvolutionLlm, GeminiLlm, Llm, Message, OpenAiLlm } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

// The program knows no provider.
const program = Effect.gen(function* () {
  const { text, usage } = yield* Llm.generateText({
    messages: [Message.system("You answer in one word."), Message.user("What is the capital of France?")],
    maxTokens: 20
  })
  return `${text} (${usage.inputTokens} + ${usage.outputTokens} tokens)`
})

// In production `layerConfig({ model })` reads the key from the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, …
const apiKey = Redacted.make("your key")
const models = {
  openai: OpenAiLlm.layer({ apiKey, model: "some-model" }),
  deepseek: DeepSeekLlm.layer({ apiKey, model: "some-model" }),
  anthropic: AnthropicLlm.layer({ apiKey, model: "some-model" }),
  gemini: GeminiLlm.layer({ apiKey, model: "some-model" }),
  evolution: EvolutionLlm.layer({ apiKey, model: "some-model" })
}

// In place of the network: each provider answers in its own protocol. In production it is `UndiciHttpClient.layer()`.
const network = TestHttpClient.layer(({ url }) => {
  const { host, pathname } = new URL(url)
  console.log(`POST ${host}${pathname}`)
  if (host === "api.anthropic.com") {
    const content = [{ type: "text", text: "Paris" }]
    const usage = { input_tokens: 21, output_tokens: 4 }
    return JSON.stringify({ type: "message", content, stop_reason: "end_turn", usage })
  }
  if (host === "generativelanguage.googleapis.com") {
    const candidates = [{ content: { role: "model", parts: [{ text: "Paris" }] }, finishReason: "STOP" }]
    return JSON.stringify({ candidates, usageMetadata: { promptTokenCount: 14, candidatesTokenCount: 1 } })
  }
  const choices = [{ message: { role: "assistant", content: "Paris" }, finish_reason: "stop" }]
  return JSON.stringify({ choices, usage: { prompt_tokens: 24, completion_tokens: 1 } })
})

for (const [name, model] of Object.entries(models)) {
  const answer = await Effect.runPromise(program.pipe(Effect.provide(Layer.provide(model, network))))
  console.log(`${name}: ${answer}`)
}
// Output:
// POST api.openai.com/v1/chat/completions
// openai: Paris (24 + 1 tokens)
// POST api.deepseek.com/chat/completions
// deepseek: Paris (24 + 1 tokens)
// POST api.anthropic.com/v1/messages
// anthropic: Paris (21 + 4 tokens)
// POST generativelanguage.googleapis.com/v1beta/models/some-model:generateContent
// gemini: Paris (14 + 1 tokens)
// POST foundation-models.api.cloud.ru/v1/chat/completions
// evolution: Paris (24 + 1 tokens)
