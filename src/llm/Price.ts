/**
 * What tokens cost: `(input - cached - written) × input + cached × cachedInput + written × cacheWriteInput
 * + output × output`, each for a million tokens, in US dollars, by a table that the program can replace.
 */
import * as Context from "effect/Context"
import type { Usage } from "./Usage.ts"

/** US dollars for a million tokens. */
export interface Price {
  readonly input: number
  /** Reasoning is output, too. */
  readonly output: number
  /** For input read from the provider's cache. Default: `input`. */
  readonly cachedInput?: number | undefined
  /** For input written to the provider's cache. Default: `input`. */
  readonly cacheWriteInput?: number | undefined
}

/**
 * Prices by the name of the model, as the provider writes it. A name with a date or a channel behind it
 * (`gpt-4o-2024-08-06`, `claude-sonnet-4-5-latest`) has the price of the name without.
 */
export type Prices = Readonly<Record<string, Price>>

const perMillion = (input: number, output: number, cachedInput?: number, cacheWriteInput?: number): Price => ({
  input,
  output,
  cachedInput,
  cacheWriteInput
})

/**
 * List prices as they were published until 2026-04 (openai.com/api/pricing, claude.com/pricing, ai.google.dev/pricing,
 * api-docs.deepseek.com/quick_start/pricing), without batches, long contexts and discounts. Models come and go faster than
 * releases of this package: what you are billed by belongs into a table of your own.
 */
export const listed: Prices = {
  "gpt-4o": perMillion(2.5, 10, 1.25),
  "gpt-4o-mini": perMillion(0.15, 0.6, 0.075),
  "gpt-4.1": perMillion(2, 8, 0.5),
  "gpt-4.1-mini": perMillion(0.4, 1.6, 0.1),
  "gpt-4.1-nano": perMillion(0.1, 0.4, 0.025),
  "gpt-5": perMillion(1.25, 10, 0.125),
  "gpt-5-mini": perMillion(0.25, 2, 0.025),
  "gpt-5-nano": perMillion(0.05, 0.4, 0.005),
  o3: perMillion(2, 8, 0.5),
  "o4-mini": perMillion(1.1, 4.4, 0.275),
  "text-embedding-3-small": perMillion(0.02, 0),
  "text-embedding-3-large": perMillion(0.13, 0),
  "claude-opus-4-5": perMillion(5, 25, 0.5, 6.25),
  "claude-sonnet-4-5": perMillion(3, 15, 0.3, 3.75),
  "claude-haiku-4-5": perMillion(1, 5, 0.1, 1.25),
  "gemini-2.5-pro": perMillion(1.25, 10, 0.125),
  "gemini-2.5-flash": perMillion(0.3, 2.5, 0.03),
  "gemini-2.5-flash-lite": perMillion(0.1, 0.4, 0.01),
  "gemini-embedding-001": perMillion(0.15, 0),
  "deepseek-v4-flash": perMillion(0.14, 0.28, 0.0028),
  "deepseek-v4-pro": perMillion(1.74, 3.48, 0.0145)
}

/** The prices in force. Provide another table around the calls, or beside the model's layer. Default: `listed`. */
export const Table: Context.Reference<Prices> = Context.Reference<Prices>("holdfast/llm/Price/Table", {
  defaultValue: () => listed
})

/** `-2024-08-06`, `-20250929`, `-0806`, `-latest`, `-preview-05-06`, `@20250929`, `-001`. */
const version = /[-@](?:\d{4}-\d{2}-\d{2}|\d{3,8}|latest|(?:preview|exp)(?:-[\d-]+)?)$/

/** The price of a model; `undefined` where the table does not have it. */
export const priceOf = (prices: Prices, model: string): Price | undefined => {
  for (let name = model; name !== ""; name = name.replace(version, "")) {
    const price = Object.hasOwn(prices, name) ? prices[name] : undefined
    if (price !== undefined || !version.test(name)) return price
  }
  return undefined
}

/** What a usage costs in US dollars. */
export const cost = (price: Price, usage: Usage): number => {
  const { cacheWriteInputTokens: written = 0, cachedInputTokens: cached = 0, inputTokens, outputTokens } = usage
  const { cachedInput = price.input, cacheWriteInput = price.input, input, output } = price
  const fresh = Math.max(0, inputTokens - cached - written)
  return (fresh * input + cached * cachedInput + written * cacheWriteInput + outputTokens * output) / 1_000_000
}

/** What a usage of this model costs in US dollars; `undefined` where the table does not have the model. */
export const costOf = (prices: Prices, model: string, usage: Usage): number | undefined => {
  const price = priceOf(prices, model)
  return price === undefined ? undefined : cost(price, usage)
}
