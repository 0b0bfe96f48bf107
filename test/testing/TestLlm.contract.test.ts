/** The contract of every Llm, by the scripted one. */
import type { Llm, Message } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"
import { llmContract } from "../contract/Llm.ts"

const call = (id: string, name: string, input: object): Message.ToolCall => ({
  id,
  name,
  input,
  inputText: JSON.stringify(input)
})

const replies: Readonly<Record<string, TestLlm.Reply>> = {
  text: "Paris is the capital of France.",
  unicode: "naïve 🎉🚀 日本語",
  tools: {
    text: "Let me look.",
    toolCalls: [call("1", "get_weather", { city: "Paris", days: 2 }), call("2", "get_time", {})]
  },
  "tools-after": "It is 21 degrees in Paris at noon.",
  object: '{"city":"Paris","population":2102650}',
  length: { text: "Paris is", finishReason: "length" },
  refusal: { refusal: "I cannot help with that.", finishReason: "contentFilter" },
  reasoning: { text: "Paris.", reasoning: "France, so Paris." },
  "reasoning-tools": { reasoning: "Hm.", toolCalls: [call("1", "get_weather", { city: "Paris" })] },
  "reasoning-tools-after": "Sunny.",
  image: "I see it.",
  file: "I see it."
}

const caseOf = ({ messages }: Llm.Request): string => {
  const content = messages.find(({ role }) => role === "user")?.content ?? ""
  const name = typeof content === "string" ? content : (content.find((part) => part.type === "text")?.text ?? "")
  return messages.some(({ role }) => role === "tool") ? `${name}-after` : name
}

llmContract(
  "TestLlm",
  TestLlm.layer((request) => replies[caseOf(request)] ?? "no such case"),
  { wire: false, requestIds: false, cache: false }
)
