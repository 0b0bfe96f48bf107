/** Ask a model a question with promises: whom, how long the answer may be, how free, and how long to wait for it. */
import { createClient } from "holdfast/promise"

// In place of the network. Leave `fetch` out, and `apiKey` where DEEPSEEK_API_KEY is set.
const fetch = async (_url: unknown, { body }: RequestInit = {}) => {
  const { max_tokens, messages, model, temperature } = JSON.parse(await new Response(body).text())
  console.log(model, max_tokens, temperature, messages.length, "messages")
  const choices = [{ message: { role: "assistant", content: "Paris" }, finish_reason: "stop" }]
  return Response.json({ choices, usage: { prompt_tokens: 24, completion_tokens: 1 } })
}

await using client = createClient({
  llm: { provider: "deepseek", apiKey: "your key", model: "deepseek-reasoner" },
  fetch
})

// A question alone, `client.generateText("What is the capital of France?")`, goes with the client's own options.
const { finishReason, text, usage } = await client.generateText(
  [
    { role: "system", content: "You answer in one word." },
    { role: "user", content: "What is the capital of France?" }
  ],
  { model: "deepseek-chat", maxTokens: 20, temperature: 0, timeout: "10 seconds" }
)
console.log(text, finishReason, usage.inputTokens, usage.outputTokens)
// Output:
// deepseek-chat 20 0 2 messages
// Paris stop 24 1
