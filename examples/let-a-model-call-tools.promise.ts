/** Let a model call functions of yours from plain promises, and show what happens while it does. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient, tool } from "holdfast/promise"

const stock = new Map([
  ["chair", 3],
  ["table", 0]
])

const inStock = tool({
  name: "in_stock",
  description: "How many of an article there are. Articles are named in the singular.",
  // A schema of zod 4.2 or ArkType would do alone: it tells its JSON Schema.
  parameters: {
    jsonSchema: { type: "object", properties: { article: { type: "string" } }, required: ["article"] },
    decode: (value) => ({ article: String(Object(value).article) })
  },
  // The signal ends what the tool has begun, when nobody waits for it any more: `fetch(url, { signal })`.
  run: async ({ article }, { signal }) => {
    signal.throwIfAborted()
    const count = stock.get(article)
    if (count === undefined) throw new Error(`there is no article "${article}"`)
    return { article, count }
  }
})

// In place of a provider: a server on loopback that asks for two tools, for one more, and then answers.
const ask = (id: string, article: string) => ({
  id,
  type: "function",
  function: { name: "in_stock", arguments: JSON.stringify({ article }) }
})
const turns = [
  { tool_calls: [ask("1", "chair"), ask("2", "tables")] },
  { tool_calls: [ask("3", "table")] },
  { content: "Three chairs, and no tables." }
]
const server = createServer((request, response) => {
  request.resume()
  const message = { role: "assistant", content: null, ...turns.shift() }
  response.setHeader("content-type", "application/json")
  response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

{
  await using client = createClient({
    llm: { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" }
  })
  // `runTools` is the same without the events. The time holds for all answers and tools together.
  for await (const event of client.streamTools([inStock], "What have we got?", { timeout: "1 minute" })) {
    if (event.type === "toolResult") console.log(`${event.call.name}(${event.call.inputText}): ${event.content}`)
    if (event.type === "finish") console.log(`${event.text} (${event.rounds.length} rounds)`)
  }
}
server.close()
// Output:
// in_stock({"article":"chair"}): {"article":"chair","count":3}
// in_stock({"article":"tables"}): Error: there is no article "tables"
// in_stock({"article":"table"}): {"article":"table","count":0}
// Three chairs, and no tables. (3 rounds)
