/** A chat completion: a developer message, a question, and what came with the answer. */
import OpenAI from "openai"

const client = new OpenAI()

const completion = await client.chat.completions.create({
  model: "gpt-5.2",
  messages: [
    { role: "developer", content: "Talk like a pirate." },
    { role: "user", content: "text\nAre semicolons optional in JavaScript?" }
  ]
})

console.log(completion.choices[0]?.message.content)
console.log(completion.usage?.total_tokens, typeof completion._request_id)

const { data, request_id, response } = await client.chat.completions
  .create({ model: "gpt-5.2", messages: [{ role: "user", content: "unicode" }] })
  .withResponse()
console.log(data.choices[0]?.message.content, response.status, typeof request_id)

const raw = await client.chat.completions
  .create({ model: "gpt-5.2", messages: [{ role: "user", content: "text" }] }, { timeout: 5_000, maxRetries: 5 })
  .asResponse()
console.log(raw.headers.get("openai-version"), JSON.stringify(await raw.json()))
