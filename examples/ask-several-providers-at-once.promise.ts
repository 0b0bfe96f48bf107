/** Ask OpenAI, Anthropic and Gemini the same at once with promises, and keep the failure of one beside the answers. */
import { createClient, LlmError, type LlmOptions } from "holdfast/promise"

// In place of the network: each provider in its own protocol, of which one refuses the key. Nobody answers before all
// have been asked. In production there is no `fetch`.
const { promise: allAreAsked, resolve } = Promise.withResolvers<void>()
let asked = 0
const fetch: typeof globalThis.fetch = async (input) => {
  if (++asked === 3) resolve()
  await allAreAsked
  const url = String(input instanceof Request ? input.url : input)
  if (url.includes("anthropic")) return new Response("{}", { status: 401 })
  if (url.includes("googleapis")) {
    return Response.json({ candidates: [{ content: { parts: [{ text: "Rome" }] }, finishReason: "STOP" }] })
  }
  return Response.json({ choices: [{ message: { role: "assistant", content: "Rome." }, finish_reason: "stop" }] })
}

// Without `apiKey` it is read from the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY.
const [apiKey, model] = ["your key", "some-model"]
const providers: ReadonlyArray<LlmOptions> = [
  { provider: "openai", apiKey, model },
  { provider: "anthropic", apiKey, model },
  { provider: "gemini", apiKey, model }
]

const answers = await Promise.allSettled(
  providers.map(async (llm) => {
    await using client = createClient({ llm, fetch })
    return await client.generateText("What is the capital of Italy?")
  })
)
answers.forEach((answer, index) => {
  const error: unknown = answer.status === "rejected" ? answer.reason : undefined
  const shown = answer.status === "fulfilled" ? answer.value.text : error instanceof LlmError ? error.code : error
  console.log(`${providers[index]?.provider}: ${shown}`)
})
// Output:
// openai: Rome.
// anthropic: Unauthorized
// gemini: Rome
