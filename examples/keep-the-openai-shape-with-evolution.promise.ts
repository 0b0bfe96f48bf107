/** Ask Cloud.ru Evolution in the shapes of the `openai` package: roles, `max_tokens`, streams; by a static key, or by a pair. */
import { createClient } from "holdfast/promise"

// In place of the network: the tokens of an hour, and an endpoint that says how it was asked, whole or in two pieces.
let tokens = 0
const fetch = async (input: string | URL | Request, init?: RequestInit) => {
  const request = new Request(input, init)
  if (new URL(request.url).host === "iam.api.cloud.ru")
    return Response.json({ access_token: `token-${++tokens}`, expires_in: 3600 })
  const authorization = request.headers.get("authorization")
  // It has forgotten the first token: what it refuses is sent again with a new one.
  if (authorization === "Bearer token-1") return Response.json({ message: "Jwt is expired" }, { status: 401 })
  const { max_tokens, messages, stream } = await request.json()
  const content = `${messages.length} messages, at most ${max_tokens} tokens, by ${authorization}`
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
await using fixed = createClient({ llm: { provider: "evolution", apiKey: "your-key", model: "some-model" }, fetch })
const completion = await fixed.chat.completions.create({ model: "some-model", ...question })
console.log(completion.choices[0]?.message.content)

// An endpoint of one's own takes tokens, which a pair of keys is exchanged for: one for all who wait, replaced in time.
await using client = createClient({
  // Left out, the keys are read from EVOLUTION_KEY_ID and EVOLUTION_SECRET.
  llm: { provider: "evolution", keyId: "your id", secret: "your secret", baseUrl: "https://my-endpoint.cloud.ru/v1" },
  fetch
})
let text = ""
for await (const chunk of await client.chat.completions.create({ model: "default", stream: true, ...question })) {
  text += `${chunk.choices[0]?.delta.content}|`
}
console.log(text)
// Output:
// 2 messages, at most 200 tokens, by Api-Key your-key
// 2 messages|, at most 200 tokens, by Bearer token-2|
