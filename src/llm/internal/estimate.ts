/**
 * How many tokens a request may use, before anybody has counted them: a token for every four bytes of UTF-8, which is
 * OpenAI's own rule for English (platform.openai.com/tokenizer, 2026-11) and within a half of the truth for Cyrillic and
 * Chinese, whose letters have two and three bytes. Each message has four tokens around it.
 */
import type { Estimate } from "../../policy/CostBudget.ts"
import type { Request } from "../Llm.ts"
import { type Message, textOf } from "../Message.ts"

const bytesPerToken = 4
const tokensPerMessage = 4

const encoder = new TextEncoder()

/** The tokens of a text. */
export const tokensOf = (text: string): number => Math.ceil(encoder.encode(text).length / bytesPerToken)

// What providers count for a picture of common size (platform.openai.com/docs/guides/images-vision, 2026-11: 765 tokens for
// 1024 x 1024 at high detail) and for a page of a document.
const tokensPerPart = 800

const tokensIn = (message: Message): number => {
  let tokens = tokensPerMessage + tokensOf(textOf(message))
  if (message.role === "user" && typeof message.content !== "string") {
    tokens += tokensPerPart * message.content.filter(({ type }) => type !== "text").length
  }
  if (message.role === "assistant") for (const call of message.toolCalls ?? []) tokens += tokensOf(call.inputText)
  return tokens
}

/** `defaultMaxTokens` bounds the answer of a request that names no bound. */
export const estimateOf = (request: Request, defaultMaxTokens?: number): Estimate => {
  const { maxTokens = defaultMaxTokens, messages, responseFormat, tools } = request
  let inputTokens = 0
  for (const message of messages) inputTokens += tokensIn(message)
  if (tools !== undefined && tools.length > 0) inputTokens += tokensOf(JSON.stringify(tools))
  if (responseFormat?.type === "jsonSchema") inputTokens += tokensOf(JSON.stringify(responseFormat.schema))
  return maxTokens === undefined ? { inputTokens } : { inputTokens, maxTokens }
}
