/** Which model answers: the options of each provider, in plain values, and how they are checked. */
import type { OnCut } from "../llm/Llm.ts"
import { onlyKnown } from "./Time.ts"

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

/** Any OpenAI-compatible endpoint: OpenAI itself, Ollama, vLLM and many more. */
export interface OpenAiOptions extends Endpoint {
  readonly provider: "openai"
  /** Asked when a call names no model. */
  readonly model: string
  /** Default: the variable `OPENAI_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
  /** Whether the server reads JSON Schemas; one that does not is told of them in words. Default: `true`. */
  readonly jsonSchema?: boolean | undefined
  /** How the server documents continuing an answer's beginning, for `onCut: "continue"`. Default: by the address. */
  readonly prefix?: "prefix" | "continue_final_message" | undefined
}

export interface DeepSeekOptions extends Endpoint {
  readonly provider: "deepseek"
  readonly model: string
  /** Default: the variable `DEEPSEEK_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** Cloud.ru Evolution: a pair of keys for an endpoint of your own, or a static key for Foundation Models. */
export interface EvolutionOptions extends Endpoint {
  readonly provider: "evolution"
  /** Default: `"default"`, the one model of a dedicated endpoint. */
  readonly model?: string | undefined
  /** Default: the variable `EVOLUTION_KEY_ID`. */
  readonly keyId?: string | undefined
  /** Default: the variable `EVOLUTION_SECRET`. */
  readonly secret?: string | undefined
  /** A static key in the place of the pair. Default: the variable `EVOLUTION_API_KEY`, where the pair is not set. */
  readonly apiKey?: string | undefined
  /** The word before a static key. Default: `"Api-Key"`. */
  readonly scheme?: "Api-Key" | "Bearer" | undefined
  /** Where tokens are fetched. Default: Cloud.ru's own address, or the variable `EVOLUTION_TOKEN_URL`. */
  readonly tokenUrl?: string | undefined
}

export interface AnthropicOptions extends Endpoint {
  readonly provider: "anthropic"
  readonly model: string
  /** Default: the variable `ANTHROPIC_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
  /** The version of the API. Default: `"2026-10-21"`, which knows no `temperature` and no `topP`. */
  readonly version?: "2026-10-21" | "2023-06-01" | undefined
  /** The bound of an answer whose call names none: the protocol wants one. Default: the layer's own. */
  readonly maxTokens?: number | undefined
}

export interface GeminiOptions extends Endpoint {
  readonly provider: "gemini"
  readonly model: string
  /** Default: the variable `GEMINI_API_KEY`, then `GOOGLE_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** One endpoint. */
export type SingleOptions = OpenAiOptions | DeepSeekOptions | EvolutionOptions | AnthropicOptions | GeminiOptions

/** Several endpoints or keys as one model. Each has the client's policy with slots and rates of its own. */
export interface PoolOptions {
  readonly provider: "pool"
  readonly members: readonly [PoolMember, ...ReadonlyArray<PoolMember>]
  /** Who is asked: the one with the fewest calls in flight, or everybody in turns. Default: `"leastInFlight"`. */
  readonly strategy?: "roundRobin" | "leastInFlight" | undefined
}

/** `name` is who `servedBy` of an answer names. `weight` is its share beside the others. Default: `1`. */
export type PoolMember = SingleOptions & { readonly name?: string | undefined; readonly weight?: number | undefined }

/** Several models in order of preference: the next one is asked when one fails with what another may serve. */
export interface FallbackOptions {
  readonly provider: "fallback"
  readonly members: readonly [FallbackMember, ...ReadonlyArray<FallbackMember>]
}

/** `longerContext`: it reads messages that are too long for those before it. Default: `false`. */
export type FallbackMember = SingleOptions & {
  readonly name?: string | undefined
  readonly longerContext?: boolean | undefined
}

/** Which model answers. */
export type LlmOptions = SingleOptions | PoolOptions | FallbackOptions

const endpoint = ["provider", "model", "baseUrl", "headers", "onCut", "apiKey"]

const singles: Readonly<Record<SingleOptions["provider"], ReadonlyArray<string>>> = {
  openai: [...endpoint, "jsonSchema", "prefix"],
  deepseek: endpoint,
  evolution: [...endpoint, "keyId", "secret", "scheme", "tokenUrl"],
  anthropic: [...endpoint, "version", "maxTokens"],
  gemini: endpoint
}

const groups = {
  pool: { own: ["provider", "members", "strategy"], member: ["name", "weight"] },
  fallback: { own: ["provider", "members"], member: ["name", "longerContext"] }
} as const

const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

/** Without types anything may come. */
const known = [...Object.keys(singles), ...Object.keys(groups)].map((name) => JSON.stringify(name)).join(", ")

const isSingle = (options: LlmOptions): options is SingleOptions => options.provider in singles

const onCuts: ReadonlySet<unknown> = new Set([undefined, "fail", "restart", "continue"])

const checkSingle = (options: SingleOptions, where: string, more: ReadonlyArray<string> = []): void => {
  const { baseUrl, model, onCut, provider } = options
  onlyKnown(options, [...singles[provider], ...more], where)
  if (!(typeof model === "string" && model !== "") && !(provider === "evolution" && model === undefined)) {
    throw new TypeError(`${where}.model: give the name of a model`)
  }
  for (const [name, url] of [
    ["baseUrl", baseUrl],
    ["tokenUrl", provider === "evolution" ? options.tokenUrl : undefined]
  ]) {
    if (url !== undefined && !isHttpUrl(url)) {
      throw new TypeError(
        `${where}.${name}: ${JSON.stringify(url)} is not an http(s) URL; give one like "http://127.0.0.1:4010/v1"`
      )
    }
  }
  if (!onCuts.has(onCut)) {
    throw new TypeError(`${where}.onCut: ${JSON.stringify(onCut)} is not one of "fail", "restart", "continue"`)
  }
}

/** What the types promise, checked for programs without types. Throws a `TypeError` that names what is wrong. */
export const checkLlm = (options: LlmOptions): LlmOptions => {
  if (isSingle(options)) {
    checkSingle(options, "llm")
    return options
  }
  const group = Object.hasOwn(groups, options.provider) ? groups[options.provider] : undefined
  if (group === undefined) {
    throw new TypeError(`llm.provider: ${JSON.stringify(options.provider)} is not known; choose one of ${known}`)
  }
  onlyKnown(options, group.own, "llm")
  if (!Array.isArray(options.members) || options.members.length === 0) {
    throw new TypeError("llm.members: give at least one member")
  }
  options.members.forEach((member, index) => {
    const where = `llm.members[${index}]`
    if (!(member.provider in singles)) {
      throw new TypeError(`${where}.provider: ${JSON.stringify(member.provider)} is no endpoint of its own`)
    }
    checkSingle(member, where, group.member)
  })
  return options
}
