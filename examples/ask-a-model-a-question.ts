/** Ask a model a question: whom, how long the answer may be, how free, and how long to wait for it. */
import { Effect, Layer, Redacted } from "effect"
import { DeepSeekLlm, Llm, Message } from "holdfast/llm"
import { Deadline } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

const program = Llm.generateText({
  messages: [Message.system("You answer in one word."), Message.user("What is the capital of France?")],
  // What is left out is the layer's model, and the provider's own numbers.
  model: "deepseek-chat",
  maxTokens: 20,
  temperature: 0
}).pipe(Deadline.within("10 seconds", "the capital"))

// In place of the network. In production: `DeepSeekLlm.layerConfig({ model })` over `UndiciHttpClient.layer()`.
const network = TestHttpClient.layer(({ body }) => {
  const { max_tokens, messages, model, temperature } = JSON.parse(body._tag === "Raw" ? String(body.body) : "{}")
  console.log(model, max_tokens, temperature, messages.length, "messages")
  const choices = [{ message: { role: "assistant", content: "Paris" }, finish_reason: "stop" }]
  return JSON.stringify({ choices, usage: { prompt_tokens: 24, completion_tokens: 1 } })
})
const model = DeepSeekLlm.layer({ apiKey: Redacted.make("your key"), model: "deepseek-reasoner" }).pipe(
  Layer.provide(network)
)

const { finishReason, text, usage } = await Effect.runPromise(program.pipe(Effect.provide(model)))
console.log(text, finishReason, usage.inputTokens, usage.outputTokens)
// Output:
// deepseek-chat 20 0 2 messages
// Paris stop 24 1
