/** What `createClient` is told, in plain values, and how it is read. */
import * as Price from "../llm/Price.ts"
import type { Priority } from "../policy/Concurrency.ts"
import * as Policy from "../policy/Policy.ts"
import type * as Timeout from "../policy/Timeout.ts"
import type { EmbedderOptions } from "./Embeddings.ts"
import type { HttpOptions } from "./Http.ts"
import { type LimitOptions, toLimits } from "./Limits.ts"
import type { Logger } from "./Logger.ts"
import type { LlmOptions } from "./Model.ts"
import { type RetryOptions, toRetry } from "./Retry.ts"
import type { SandboxOptions } from "./Sandboxes.ts"
import { atLeast, durations, onlyKnown, type Time, toDuration } from "./Time.ts"
import type { VectorsOptions } from "./Vectors.ts"

/** How long to wait. Defaults and meanings are those of `Timeout.Options`. */
export interface TimeoutOptions {
  readonly connect?: Time | undefined
  readonly attempt?: Time | undefined
  readonly firstContent?: Time | undefined
  readonly idleContent?: Time | undefined
  readonly total?: Time | undefined
}

export interface ClientOptions extends LimitOptions {
  /** Default: none, and a call to a model rejects with what to set. */
  readonly llm?: LlmOptions | undefined
  /** Default: none, and `embed` rejects with what to set. */
  readonly embedder?: EmbedderOptions | undefined
  /** Default: `{ provider: "local" }`, which costs nothing until the first session. */
  readonly sandbox?: SandboxOptions | undefined
  /** Where `client.vectors` keeps vectors. Default: none, and its calls reject with what to set. */
  readonly vectors?: VectorsOptions | undefined
  /** What `client.http` is told. Default: no base URL, and connections of its own from the first call on. */
  readonly http?: HttpOptions | undefined
  /**
   * Carries models, embedders, vector stores and `http` instead of the client's own connections, under the same policies. Default: none;
   * in a bundle for browsers, the runtime's own.
   */
  readonly fetch?: typeof globalThis.fetch | undefined
  readonly retry?: RetryOptions | undefined
  readonly timeout?: TimeoutOptions | undefined
  /** Sends in flight; more wait for a slot. Default: 100. */
  readonly maxConcurrency?: number | undefined
  /** Calls that may wait for a slot. Default: 100 000. */
  readonly maxQueue?: number | undefined
  /** The longest wait for a slot; then the call rejects with `Shed`. Default: none, the call's own time decides. */
  readonly maxWait?: Time | undefined
  /** US dollars for a million tokens, by the name of the model, over the list prices that are known. Default: these alone. */
  readonly prices?: Price.Prices | undefined
  /** Where retries, moves, refusals, killed sandboxes and the closing are written. Default: nowhere. */
  readonly logger?: Logger | undefined
}

/** What every method takes. */
export interface CallOptions {
  /** Aborting it rejects the call at once with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** The total time of this call. Default: the client's. */
  readonly timeout?: Time | undefined
  /**
   * The class of this call in the line for slots, and for a place where a sandbox has so many sessions at once. Runs of one
   * session go in the order of their calls. Default: `"normal"`.
   */
  readonly priority?: Priority | undefined
  /** Who the call is for; tenants of one class take turns. Default: one tenant for all. */
  readonly tenant?: string | undefined
}

/**
 * What each method of a sandbox, of its sessions and of a vector store takes. What is no service over HTTP (`"local"` and
 * `"process"`, `"memory"`, `"sqlite"` and `"postgres"`) has no request that could carry the headers or the key.
 */
export interface RequestOptions extends CallOptions {
  /** Extra headers of each request of this call, over those of the client's options. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * One key for the logical call, sent as `idempotency-key` with its requests that make, run or change something, the
   * same on each send; where it has several, those after the first add `-2`, `-3` and so on. A run that may have begun is
   * not sent again, with a key or without. Default: none.
   */
  readonly idempotencyKey?: string | undefined
}

/** What `client.with` gives to each call that does not say otherwise. */
export interface CallDefaults extends CallOptions {
  /** Extra headers of each request to a model, and to no other service; a call's own are added to them. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * When the time of all calls together is over: a `Date`, its number of milliseconds since 1970, or a text such as
   * `"2 minutes"`, from now on. Of several, one inside the other, the earliest holds. Default: none.
   */
  readonly deadline?: Date | number | Exclude<Time, number> | undefined
}

const names =
  "llm embedder sandbox vectors http fetch retry timeout maxConcurrency maxQueue maxWait prices logger rateLimit retryBudget circuit hedge costBudget adaptive ageing".split(
    " "
  )

/** What the types promise of the whole, checked for programs without types. Throws a `TypeError` that names what is wrong. */
export const checkClient = (options: ClientOptions): void => {
  if (typeof options !== "object" || options === null) throw new TypeError("createClient: give an object of options")
  onlyKnown(options, names, "createClient")
}

const parts = ["input", "output", "cachedInput", "cacheWriteInput"]

/** The known prices and these. Throws a `TypeError` that names the one that is wrong. */
export const toPrices = (prices: Price.Prices | undefined): Price.Prices | undefined => {
  if (prices === undefined) return undefined
  for (const [model, price] of Object.entries(prices)) {
    const where = `prices[${JSON.stringify(model)}]`
    onlyKnown(price, parts, where)
    const { cachedInput, cacheWriteInput, input, output } = price
    if (input === undefined || output === undefined) throw new TypeError(`${where}: give its input and its output`)
    for (const [part, value] of Object.entries({ input, output, cachedInput, cacheWriteInput }))
      atLeast(value, 0, `${where}.${part}`)
  }
  return { ...Price.listed, ...prices }
}

const timeouts = ["connect", "attempt", "firstContent", "idleContent", "total"]

const toTimeout = (options: TimeoutOptions): Timeout.Options => {
  onlyKnown(options, timeouts, "timeout")
  return durations({ ...options }, timeouts, "timeout")
}

/** The policy that these options describe. Throws a `TypeError` that names the option that is wrong. */
export const toPolicy = (options: ClientOptions): Policy.Policy => {
  atLeast(options.maxConcurrency, 1, "maxConcurrency")
  atLeast(options.maxQueue, 0, "maxQueue")
  const { logger, maxConcurrency, maxQueue, maxWait } = options
  return Policy.make({
    ...toLimits(options),
    retry: toRetry(options.retry ?? {}, logger !== undefined),
    timeout: toTimeout(options.timeout ?? {}),
    maxConcurrency,
    maxQueue,
    maxWait: maxWait === undefined ? undefined : toDuration(maxWait, "maxWait")
  })
}
