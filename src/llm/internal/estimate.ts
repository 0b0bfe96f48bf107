/**
 * How many tokens a request may use, before anybody has counted them: a token for every four bytes of UTF-8, which is
 * OpenAI's own rule for English (platform.openai.com/tokenizer, 2026-11) and within a half of the truth for Cyrillic and
 * Chinese, whose letters have two and three bytes. Each message has four tokens around it.
 */
import type { Estimate } from "../../policy/CostBudget.ts"
import type { Request } from "../Llm.ts"

const bytesPerToken = 4
const tokensPerMessage = 4

const encoder = new TextEncoder()

export const estimateOf = ({ maxTokens, messages }: Request): Estimate => {
  let inputTokens = 0
  for (const { content } of messages) {
    inputTokens += tokensPerMessage + Math.ceil(encoder.encode(content).length / bytesPerToken)
  }
  return maxTokens === undefined ? { inputTokens } : { inputTokens, maxTokens }
}
