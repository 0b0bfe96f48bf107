/** Which model answers: the options of each provider, in plain values. */
import type * as AnthropicLlm from "../llm/AnthropicLlm.ts"
import type { OnCut } from "../llm/Llm.ts"
import type * as OpenAiLlm from "../llm/OpenAiLlm.ts"
import type { FallbackEvent } from "../policy/Fallback.ts"
import type { Time } from "./Time.ts"

interface Endpoint {
  /** The path of the API. Default: the provider's own. */
  readonly baseUrl?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * What happens when a stream breaks after content: it fails, it begins again after a `reset` event, or it goes on where
   * it broke, with providers that document that. Default: `"fail"`.
   */
  readonly onCut?: OnCut | undefined
}

/** What an OpenAI-compatible server does in its own way. Defaults and meanings are those of `OpenAiLlm.Options`. */
export type OpenAiWays = Pick<
  OpenAiLlm.Options,
  "includeUsage" | "jsonSchema" | "maxTokensField" | "prefix" | "prefixBaseUrl" | "scheme" | "thinking"
>

/** Any OpenAI-compatible endpoint: OpenAI itself, Ollama, vLLM and many more. */
export interface OpenAiOptions extends Endpoint, OpenAiWays {
  readonly provider: "openai"
  /** Asked when a call names no model. */
  readonly model: string
  /** Default: the variable `OPENAI_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

export interface DeepSeekOptions extends Endpoint {
  readonly provider: "deepseek"
  readonly model: string
  /** Default: the variable `DEEPSEEK_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** Cloud.ru Evolution: a pair of keys for an endpoint of your own, or a static key for Foundation Models. */
export interface EvolutionOptions extends Endpoint, Pick<OpenAiWays, "jsonSchema" | "prefix"> {
  readonly provider: "evolution"
  /** Default with a key pair: `"default"`, the one model of a dedicated endpoint. A static key needs a name. */
  readonly model?: string | undefined
  /** Default: the variable `EVOLUTION_KEY_ID`. */
  readonly keyId?: string | undefined
  /** Default: the variable `EVOLUTION_SECRET`. */
  readonly secret?: string | undefined
  /** A static key in the place of the pair. Default: the variable `EVOLUTION_API_KEY`, where neither the pair nor another `baseUrl` is set. */
  readonly apiKey?: string | undefined
  /** The word before a static key. Default: `"Api-Key"`. */
  readonly scheme?: "Api-Key" | "Bearer" | undefined
  /** Where tokens are fetched. Default: Cloud.ru's own address, or the variable `EVOLUTION_TOKEN_URL`. */
  readonly tokenUrl?: string | undefined
}

/** `authScheme`, `betas`, `maxTokens` and `version` are those of `AnthropicLlm.Options`. */
export interface AnthropicOptions
  extends Endpoint, Pick<AnthropicLlm.Options, "authScheme" | "betas" | "maxTokens" | "version"> {
  readonly provider: "anthropic"
  readonly model: string
  /** Default: the variable `ANTHROPIC_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

export interface GeminiOptions extends Endpoint {
  readonly provider: "gemini"
  /** Gemini documents no continuing of an answer. Default: `"fail"`. */
  readonly onCut?: Exclude<OnCut, "continue"> | undefined
  readonly model: string
  /** Default: the variable `GEMINI_API_KEY`, then `GOOGLE_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** One endpoint. */
export type SingleOptions = OpenAiOptions | DeepSeekOptions | EvolutionOptions | AnthropicOptions | GeminiOptions

/** Told before a call moves on to another member; its time counts. */
type OnMove = (move: FallbackEvent) => void | Promise<void>

/**
 * Several endpoints or keys as one model. Each has the client's policy with slots and rates of its own; the `total` time
 * of a call is that over all of them. Defaults and meanings are those of `LlmPool.Options`.
 */
export interface PoolOptions {
  readonly provider: "pool"
  /** At least one. */
  readonly members: ReadonlyArray<PoolMember>
  /** Who is asked: the one with the fewest calls in flight, or everybody in turns. Default: `"leastInFlight"`. */
  readonly strategy?: "roundRobin" | "leastInFlight" | undefined
  readonly coolDown?: Time | undefined
  readonly keyCoolDown?: Time | undefined
  readonly maxCoolDown?: Time | undefined
  /** Default: nothing. */
  readonly onMove?: OnMove | undefined
}

/** `name` is who `servedBy` of an answer names; no place for a key. `weight` is its share beside the others. Default: `1`. */
export type PoolMember = SingleOptions & { readonly name?: string | undefined; readonly weight?: number | undefined }

/**
 * Several models in order of preference: the next one is asked when one fails with what another may serve. The `total`
 * time of a call is that over all of them. Defaults and meanings are those of `FallbackLlm.Options`.
 */
export interface FallbackOptions {
  readonly provider: "fallback"
  readonly members: readonly [FallbackMember, ...ReadonlyArray<FallbackMember>]
  readonly coolDown?: Time | undefined
  readonly maxCoolDown?: Time | undefined
  /** Default: nothing. */
  readonly onFallback?: OnMove | undefined
}

/** `longerContext`: it reads messages that are too long for those before it. Default: `false`. */
export type FallbackMember = SingleOptions & {
  readonly name?: string | undefined
  readonly longerContext?: boolean | undefined
}

/** Which model answers. */
export type LlmOptions = SingleOptions | PoolOptions | FallbackOptions
