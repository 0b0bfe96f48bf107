/** Ask Cloud.ru Evolution in the shapes of the `openai` package: roles, `max_tokens`, streams; by a static key, or by a pair. */
import { Effect, Exit, ManagedRuntime, Redacted, Scope } from "effect"
import { TokenAuth } from "holdfast/llm"
import OpenAI from "holdfast/openai"
import { createClient } from "holdfast/promise"
import { TestHttpClient } from "holdfast/testing"

// In place of the network: an endpoint that says how it was asked, whole or in two pieces.
const fetch = async (input: string | URL | Request, init?: RequestInit) => {
  const request = new Request(input, init)
  const { max_tokens, messages, stream } = await request.json()
  const content = `${messages.length} messages, at most ${max_tokens} tokens, by ${request.headers.get("authorization")}`
  if (stream !== true)
    return Response.json({ choices: [{ message: { role: "assistant", content }, finish_reason: "stop" }] })
  const chunks = [
    { delta: { content: content.slice(0, 10) } },
    { delta: { content: content.slice(10) }, finish_reason: "stop" }
  ]
  const lines = chunks.map((choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`)
  return new Response(`${lines.join("")}data: [DONE]\n\n`, { headers: { "content-type": "text/event-stream" } })
}
const question = {
  max_tokens: 200,
  messages: [
    { role: "system" as const, content: "You are a helpful assistant." },
    { role: "user" as const, content: "What is asynchronous programming?" }
  ]
}

// Foundation Models take a static key.
await using client = createClient({
  llm: {
    provider: "openai",
    baseUrl: "https://foundation-models.api.cloud.ru/v1",
    scheme: "Api-Key",
    apiKey: "your-key",
    model: "some-model"
  },
  fetch
})
const completion = await client.chat.completions.create({ model: "some-model", ...question })
console.log(completion.choices[0]?.message.content)

// An endpoint of one's own takes tokens, which a pair of keys is exchanged for: one for all who wait, replaced in time.
const iam = TestHttpClient.layer(() => JSON.stringify({ access_token: "token-1", expires_in: 3600 }))
const network = ManagedRuntime.make(iam)
const scope = Scope.makeUnsafe()
const auth = await network.runPromise(
  Scope.provide(TokenAuth.evolution({ keyId: "your id", secret: Redacted.make("your secret") }), scope)
)
await using openai = new OpenAI({
  baseURL: "https://my-endpoint.cloud.ru/v1",
  apiKey: () => Effect.runPromise(Effect.map(auth.token, Redacted.value)),
  fetch
})
let text = ""
for await (const chunk of await openai.chat.completions.create({ model: "default", stream: true, ...question })) {
  text += `${chunk.choices[0]?.delta.content}|`
}
console.log(text)
await Effect.runPromise(Scope.close(scope, Exit.void))
await network.dispose()
// Output:
// 2 messages, at most 200 tokens, by Api-Key your-key
// 2 messages|, at most 200 tokens, by Bearer token-1|
