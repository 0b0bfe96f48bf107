/** Tokens that a call used, as the provider counted them. */
export interface Usage {
  /** Tokens of the prompt, cached ones included. */
  readonly inputTokens: number
  /** Tokens generated, reasoning included. */
  readonly outputTokens: number
  /** Of `inputTokens`, those read from the provider's cache. */
  readonly cachedInputTokens?: number | undefined
  /** Of `inputTokens`, those written to the provider's cache, where that has a price of its own. */
  readonly cacheWriteInputTokens?: number | undefined
  /** Of `outputTokens`, those spent on reasoning. */
  readonly reasoningTokens?: number | undefined
  /** The provider did not come to tell: a token for every four bytes of what was sent and received. Default: `false`. */
  readonly isEstimate?: boolean | undefined
}

/** No tokens. */
export const empty: Usage = { inputTokens: 0, outputTokens: 0 }

/** The tokens of two calls together. */
export const add = (a: Usage, b: Usage): Usage => ({
  inputTokens: a.inputTokens + b.inputTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  cachedInputTokens: sum(a.cachedInputTokens, b.cachedInputTokens),
  cacheWriteInputTokens: sum(a.cacheWriteInputTokens, b.cacheWriteInputTokens),
  reasoningTokens: sum(a.reasoningTokens, b.reasoningTokens),
  ...(a.isEstimate === true || b.isEstimate === true ? { isEstimate: true } : undefined)
})

const sum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : a + b
