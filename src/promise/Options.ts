/** What `createClient` is told, in plain values, and how it is read. */
import type * as Duration from "effect/Duration"
import * as Policy from "../policy/Policy.ts"
import type * as Retry from "../policy/Retry.ts"
import type * as Timeout from "../policy/Timeout.ts"
import { type Time, toDuration } from "./Time.ts"

/** Which model answers. */
export interface LlmOptions {
  /** `"openai"`: any OpenAI-compatible endpoint. `"deepseek"`: the same, with DeepSeek's address as the default. */
  readonly provider: "openai" | "deepseek"
  /** Default: the variable `OPENAI_API_KEY` or `DEEPSEEK_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
  /** The API's path without `/chat/completions`. Default: the provider's own. */
  readonly baseUrl?: string | undefined
  /** Asked when a call names no model. */
  readonly model: string
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Which sandbox runs code. */
export interface SandboxOptions {
  /** `"local"`: embedded, in a locked process of its own. */
  readonly provider: "local"
  /** Sessions at the same time. Default: the layer's own. */
  readonly maxSessions?: number | undefined
}

/** When to try again. Defaults and meanings are those of `Retry.Options`. */
export interface RetryOptions {
  readonly retries?: number | undefined
  readonly base?: Time | undefined
  readonly factor?: number | undefined
  readonly maxDelay?: Time | undefined
  readonly jitter?: Retry.Jitter | undefined
  readonly maxRetryAfter?: Time | undefined
  readonly resend?: "safe" | "always" | undefined
}

/** How long to wait. Defaults and meanings are those of `Timeout.Options`. */
export interface TimeoutOptions {
  readonly connect?: Time | undefined
  readonly attempt?: Time | undefined
  readonly firstContent?: Time | undefined
  readonly idleContent?: Time | undefined
  readonly total?: Time | undefined
}

export interface ClientOptions {
  /** Default: none, and a call to a model rejects with what to set. */
  readonly llm?: LlmOptions | undefined
  /** Default: `{ provider: "local" }`, which costs nothing until the first session. */
  readonly sandbox?: SandboxOptions | undefined
  readonly retry?: RetryOptions | undefined
  readonly timeout?: TimeoutOptions | undefined
  /** Sends in flight; more wait for a slot. Default: 100. */
  readonly maxConcurrency?: number | undefined
  /** Calls that may wait for a slot. Default: 100 000. */
  readonly maxQueue?: number | undefined
}

/** What every method takes. */
export interface CallOptions {
  /** Aborting it rejects the call at once with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** The total time of this call. Default: the client's. */
  readonly timeout?: Time | undefined
}

type Times = Readonly<Record<string, Time | undefined>>

const durations = (options: Times, names: ReadonlyArray<string>, where: string): Record<string, Duration.Duration> => {
  const read: Record<string, Duration.Duration> = {}
  for (const name of names) {
    const time = options[name]
    if (time !== undefined) read[name] = toDuration(time, `${where}.${name}`)
  }
  return read
}

const atLeast = (value: number | undefined, least: number, option: string): void => {
  if (value === undefined || (value >= least && !Number.isNaN(value))) return
  throw new TypeError(`${option}: ${value} is not a number of at least ${least}`)
}

const toRetry = (options: RetryOptions): Retry.Options => {
  const { base, maxDelay, maxRetryAfter, ...rest } = options
  atLeast(rest.retries, 0, "retry.retries")
  atLeast(rest.factor, 1, "retry.factor")
  return { ...rest, ...durations({ base, maxDelay, maxRetryAfter }, ["base", "maxDelay", "maxRetryAfter"], "retry") }
}

const toTimeout = (options: TimeoutOptions): Timeout.Options =>
  durations({ ...options }, ["connect", "attempt", "firstContent", "idleContent", "total"], "timeout")

const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

/** What the types promise, checked for programs without types. Throws a `TypeError` that names what is wrong. */
export const checkLlm = (options: LlmOptions): LlmOptions => {
  const { baseUrl, model, provider } = options
  if (provider !== "openai" && provider !== "deepseek") {
    throw new TypeError(`llm.provider: ${JSON.stringify(provider)} is not known; choose "openai" or "deepseek"`)
  }
  if (typeof model !== "string" || model === "") throw new TypeError("llm.model: give the name of a model")
  if (baseUrl !== undefined && !isHttpUrl(baseUrl)) {
    throw new TypeError(
      `llm.baseUrl: ${JSON.stringify(baseUrl)} is not an http(s) URL; give one like "http://127.0.0.1:4010/v1"`
    )
  }
  return options
}

/** The policy that these options describe. Throws a `TypeError` that names the option that is wrong. */
export const toPolicy = (options: ClientOptions): Policy.Policy => {
  atLeast(options.maxConcurrency, 1, "maxConcurrency")
  atLeast(options.maxQueue, 0, "maxQueue")
  return Policy.make({
    retry: toRetry(options.retry ?? {}),
    timeout: toTimeout(options.timeout ?? {}),
    maxConcurrency: options.maxConcurrency,
    maxQueue: options.maxQueue
  })
}
