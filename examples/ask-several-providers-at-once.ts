/** Ask OpenAI, Anthropic and Gemini the same at once, and keep the failure of one beside the answers of the others. */
import { Effect, Redacted, Result } from "effect"
import { AnthropicLlm, GeminiLlm, Llm, OpenAiLlm } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

// In place of the network: each provider in its own protocol, of which one refuses the key. Nobody answers before all
// have been asked. In production it is `UndiciHttpClient.layer()`.
const { promise: allAreAsked, resolve } = Promise.withResolvers<void>()
let asked = 0
const network = TestHttpClient.layer(async ({ url }) => {
  if (++asked === 3) resolve()
  await allAreAsked
  if (url.includes("anthropic")) return new Response("{}", { status: 401 })
  if (url.includes("googleapis")) {
    const candidates = [{ content: { role: "model", parts: [{ text: "Rome" }] }, finishReason: "STOP" }]
    return JSON.stringify({ candidates })
  }
  return JSON.stringify({ choices: [{ message: { role: "assistant", content: "Rome." }, finish_reason: "stop" }] })
})

// `layerConfig({ model })` reads the key from the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY.
const apiKey = Redacted.make("your key")
const providers = [
  { name: "openai", llm: OpenAiLlm.layer({ apiKey, model: "some-model" }) },
  { name: "anthropic", llm: AnthropicLlm.layer({ apiKey, model: "some-model" }) },
  { name: "gemini", llm: GeminiLlm.layer({ apiKey, model: "some-model" }) }
]

const question = Llm.generateText("What is the capital of Italy?")
const program = Effect.forEach(providers, ({ llm }) => question.pipe(Effect.provide(llm), Effect.result), {
  concurrency: "unbounded"
})

const results = await Effect.runPromise(program.pipe(Effect.provide(network)))
results.forEach((result, index) =>
  console.log(`${providers[index]?.name}: ${Result.isSuccess(result) ? result.success.text : result.failure.code}`)
)
// Output:
// openai: Rome.
// anthropic: Unauthorized
// gemini: Rome
