/** A streamed completion: chunk by chunk, left early, split in two, sent on as lines, and with events. */
import OpenAI from "openai"
import type { ChatCompletionMessageParam } from "openai/resources/chat/completions"

const client = new OpenAI()
const model = "gpt-5.2"
const messages: Array<ChatCompletionMessageParam> = [{ role: "user", content: "text" }]

const stream = await client.chat.completions.create({
  model,
  messages,
  stream: true,
  stream_options: { include_usage: true }
})
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "")
  if (chunk.usage) console.log(`\n${chunk.usage.total_tokens} tokens`)
}

const left = await client.chat.completions.create({ model, messages, stream: true })
for await (const chunk of left) {
  if (chunk.choices[0]?.delta.content) break
}
console.log("left", left.controller.signal.aborted)

const aborted = await client.chat.completions.create({ model, messages, stream: true })
let seen = ""
for await (const chunk of aborted) {
  seen += chunk.choices[0]?.delta.content ?? ""
  if (seen !== "") aborted.controller.abort()
}
console.log(seen)

const [one, other] = (await client.chat.completions.create({ model, messages, stream: true })).tee()
const textOf = async (chunks: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<string> => {
  let text = ""
  for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? ""
  return text
}
console.log(await textOf(one), await textOf(other))

const lines = (await client.chat.completions.create({ model, messages, stream: true })).toReadableStream()
console.log((await new Response(lines).text()).split("\n").length)

const runner = client.chat.completions
  .stream({ model, messages })
  .on("content", (delta, snapshot) => console.log(JSON.stringify(delta), JSON.stringify(snapshot)))
  .once("chunk", (chunk) => console.log(chunk.id))
console.log(await runner.finalContent())
console.log(JSON.stringify((await runner.finalChatCompletion()).choices[0]?.finish_reason))
for await (const chunk of client.chat.completions.stream({ model, messages })) {
  if (chunk.choices[0]?.finish_reason) console.log(chunk.choices[0].finish_reason)
}
