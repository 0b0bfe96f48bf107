/** Tokens that a call used, as the provider counted them. */
export interface Usage {
  /** Tokens of the prompt, cached ones included. */
  readonly inputTokens: number
  /** Tokens generated, reasoning included. */
  readonly outputTokens: number
  /** Of `inputTokens`, those read from the provider's cache. */
  readonly cachedInputTokens?: number | undefined
  /** Of `outputTokens`, those spent on reasoning. */
  readonly reasoningTokens?: number | undefined
}

/** No tokens. */
export const empty: Usage = { inputTokens: 0, outputTokens: 0 }

/** The tokens of two calls together. */
export const add = (a: Usage, b: Usage): Usage => ({
  inputTokens: a.inputTokens + b.inputTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  cachedInputTokens: sum(a.cachedInputTokens, b.cachedInputTokens),
  reasoningTokens: sum(a.reasoningTokens, b.reasoningTokens)
})

const sum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : a + b
