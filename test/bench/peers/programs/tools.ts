/** Tools: the model asks for two calls, gets what came of them, and answers. */
import OpenAI from "openai"

const client = new OpenAI()

const tools: OpenAI.Chat.Completions.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of the next days.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer" } },
        required: ["city", "days"]
      }
    }
  },
  { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } }
]

const messages: OpenAI.Chat.Completions.ChatCompletionMessageParam[] = [{ role: "user", content: "tools" }]

for (let round = 0; round < 3; round++) {
  const completion = await client.chat.completions.create({ model: "gpt-5.2", messages, tools, tool_choice: "auto" })
  const message = completion.choices[0]?.message
  if (message === undefined) break
  messages.push(message)
  console.log(message.content)
  for (const call of message.tool_calls ?? []) {
    if (call.type !== "function") continue
    console.log(call.id, call.function.name, JSON.parse(call.function.arguments))
    messages.push({ role: "tool", tool_call_id: call.id, content: "21 degrees" })
  }
  if (message.tool_calls === undefined) break
}

const runner = client.chat.completions.stream({ model: "gpt-5.2", messages: messages.slice(0, 1), tools })
runner.on("functionToolCall", ({ arguments: input, name }) => console.log(name, JSON.parse(input)))
const final = await runner.finalMessage()
console.log(final.tool_calls?.length, (await runner.finalFunctionToolCall())?.name)
