/** What `new OpenAI` and its calls are told, by the names of the `openai` package, and how it is read. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import type * as Scope from "effect/Scope"
import type { TokenAuth } from "../../llm/TokenAuth.ts"
import type * as Policy from "../../policy/Policy.ts"
import { type ClientOptions as PromiseOptions, toPolicy } from "../Options.ts"
import { OpenAIError } from "./openAiErrors.ts"

type HeaderValue = string | null | undefined

/** Headers over headers: what is left, and what was taken away. */
export interface Merged {
  readonly headers: Headers
  readonly removed: ReadonlySet<string>
}

/** `null` takes away what was said before. */
export type HeadersLike =
  | Headers
  | ReadonlyArray<Array<HeaderValue>>
  | Readonly<Record<string, HeaderValue | ReadonlyArray<HeaderValue>>>
  | null
  | undefined

/** How the calls of this client hold, beyond what the package has options for; the options of `createClient`. */
export type PolicyOptions = Omit<
  PromiseOptions,
  "llm" | "embedder" | "sandbox" | "http" | "fetch" | "logger" | "prices"
>

/** What the constructor takes. Any other option of the package is refused by its name. */
export interface ClientOptions {
  /** A key, or a function that is asked for one before each send. Default: `OPENAI_API_KEY`. */
  apiKey?: string | (() => Promise<string>) | null | undefined
  /** Default: `OPENAI_ORG_ID`. */
  organization?: string | null | undefined
  /** Default: `OPENAI_PROJECT_ID`. */
  project?: string | null | undefined
  /** Default: `OPENAI_BASE_URL`, or `"https://api.openai.com/v1"`. */
  baseURL?: string | null | undefined
  /** One send, in milliseconds: until the whole answer, or until the first content of a stream. Default: 10 minutes. */
  timeout?: number | undefined
  /** Sends after the first. Default: 2. */
  maxRetries?: number | undefined
  defaultHeaders?: HeadersLike
  defaultQuery?: Record<string, string | undefined> | undefined
  /** Asked in the place of our own connections, which close and pool as the policy says. Default: these. */
  fetch?: typeof globalThis.fetch | undefined
  /** Taken and not read: whether a key may be in a page is for the page to say. */
  dangerouslyAllowBrowser?: boolean | undefined
  /** Ours: limits, budgets, circuits and all times. `timeout` and `maxRetries` go over it. Default: `createClient`'s. */
  policy?: PolicyOptions | undefined
}

/** What a call takes as its second argument. */
export interface RequestOptions {
  query?: object | null | undefined
  headers?: HeadersLike
  /** Default: the client's. */
  maxRetries?: number
  /** In milliseconds. Default: the client's. */
  timeout?: number
  signal?: AbortSignal | null | undefined
  /** One key for the call, the same on each send, as the header `idempotency-key`. Default: none. */
  idempotencyKey?: string
}

const clientNames =
  "apiKey organization project baseURL timeout maxRetries defaultHeaders defaultQuery fetch dangerouslyAllowBrowser policy"
const policyNames =
  "retry timeout maxConcurrency maxQueue maxWait rateLimit retryBudget circuit hedge costBudget adaptive ageing"
const requestNames = "query headers maxRetries timeout signal idempotencyKey"

/** Refuses what is given and not in the subset: left out in silence, a program would do something else than it says. */
const onlySubset = (options: object, names: string, where: string): void => {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || names.split(" ").includes(name)) continue
    throw new OpenAIError(`${where}: holdfast/openai has no option \`${name}\`; it has ${names.replaceAll(" ", ", ")}`)
  }
}

export const checkRequest = (options: RequestOptions | undefined): RequestOptions => {
  if (options !== undefined) onlySubset(options, requestNames, "the options of a call")
  return options ?? {}
}

// Without Config, which brings all of Schema: a constructor cannot wait for what is loaded late.
const variable = (name: string): string | undefined => {
  const found = Effect.runSync(Effect.option(ConfigProvider.fromEnv().load([name])))
  const value = found._tag === "Some" ? found.value?.value?.trim() : undefined
  return value === "" ? undefined : value
}

/** The options with the environment's and the defaults in place. */
export interface Settings {
  /** The name in errors. */
  readonly provider: string
  readonly apiKey: string | (() => Promise<string>) | undefined
  /** Makes what keeps short-lived tokens, in the place of a key; they are fetched by what carries the calls. */
  readonly tokens?: ((http: HttpClient) => Effect.Effect<TokenAuth, never, Scope.Scope>) | undefined
  readonly organization: string | null
  readonly project: string | null
  readonly baseURL: string
  readonly timeout: number
  readonly maxRetries: number
  /** Of each request. */
  readonly headers: Merged
  readonly query: Readonly<Record<string, string | undefined>>
  readonly fetch: typeof globalThis.fetch | undefined
  readonly policy: Policy.Policy
}

export const defaultTimeout = 600_000

/** As the package reads it: what is no count of retries is the default. */
const retriesOf = (value: number | undefined): number =>
  value !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : 2

const timeoutOf = (value: number | undefined): number => {
  if (value === undefined) return defaultTimeout
  if (typeof value === "number" && value >= 0) return value
  throw new OpenAIError("timeout: give milliseconds, a number that is not negative")
}

/** Reads the options of the constructor. Throws an error that names the one that is wrong: an `OpenAIError`, of `policy` a `TypeError`. */
export const toSettings = (options: ClientOptions): Settings => {
  onlySubset(options, clientNames, "new OpenAI")
  onlySubset(options.policy ?? {}, policyNames, "the option policy")
  const apiKey = options.apiKey === undefined ? variable("OPENAI_API_KEY") : (options.apiKey ?? undefined)
  const given = mergeHeaders([options.defaultHeaders])
  const isAuthorized = given.headers.has("authorization") || given.headers.has("api-key")
  if (!apiKey && !isAuthorized && !given.removed.has("authorization")) {
    throw new OpenAIError(
      "Missing credentials. Please pass an `apiKey`, or set the `OPENAI_API_KEY` environment variable."
    )
  }
  const baseURL = options.baseURL === undefined ? variable("OPENAI_BASE_URL") : options.baseURL
  const timeout = timeoutOf(options.timeout)
  const maxRetries = retriesOf(options.maxRetries)
  return {
    provider: "openai",
    apiKey,
    organization: options.organization === undefined ? (variable("OPENAI_ORG_ID") ?? null) : options.organization,
    project: options.project === undefined ? (variable("OPENAI_PROJECT_ID") ?? null) : options.project,
    baseURL: baseURL || "https://api.openai.com/v1",
    timeout,
    maxRetries,
    headers: given,
    query: options.defaultQuery ?? {},
    fetch: options.fetch,
    policy: toPolicy(policyOf(options, timeout, maxRetries))
  }
}

/** What is set by the package's names goes over what is set by ours. */
const policyOf = (options: ClientOptions, timeout: number, maxRetries: number): PolicyOptions => {
  const { policy = {} } = options
  const isTimed = options.timeout !== undefined
  const times = isTimed ? timesOf(timeout) : { ...timesOf(timeout), ...policy.timeout }
  return {
    ...policy,
    timeout: { ...policy.timeout, ...times },
    retry: { retries: maxRetries, ...policy.retry, ...(options.maxRetries !== undefined && { retries: maxRetries }) }
  }
}

/**
 * `timeout` bounds one send, and of a stream the time until its first content. The whole call has as long as a long send
 * and a second one, a quarter of an hour at least: the package has no such bound.
 */
const timesOf = (timeout: number) => ({
  attempt: timeout,
  firstContent: timeout,
  total: Math.max(defaultTimeout, timeout) * 1.5
})

/** What one call sets for itself, as a policy reads it. */
export const overrideOf = ({ maxRetries, timeout }: RequestOptions): Policy.CallSettings | undefined => {
  if (maxRetries === undefined && timeout === undefined) return undefined
  return {
    retry: maxRetries === undefined ? undefined : { retries: retriesOf(maxRetries) },
    timeout: timeout === undefined ? undefined : timesOf(timeoutOf(timeout))
  }
}

type Entry = readonly [name: string, value: HeaderValue]

const entriesOf = (headers: HeadersLike): ReadonlyArray<Entry> => {
  if (headers === null || headers === undefined) return []
  if (headers instanceof Headers) return [...headers.entries()]
  const given: Iterable<readonly [unknown, unknown]> = isRows(headers)
    ? headers.map(([name, value]) => [name, value] as const)
    : Object.entries(headers)
  return Array.from(given).flatMap(([name, value]) => {
    if (typeof name !== "string") throw new TypeError("a header has a name; give a record, pairs, or Headers")
    const values: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
    return values.flatMap((one): ReadonlyArray<Entry> =>
      one === undefined ? [] : [[name, one === null ? null : String(one)]]
    )
  })
}

const isRows = (headers: object): headers is ReadonlyArray<Array<HeaderValue>> => Array.isArray(headers)

/** Headers over headers: a name that is said again stands in the place of what was said before, `null` for nothing. */
export const mergeHeaders = (all: ReadonlyArray<HeadersLike>): Merged => {
  const headers = new Headers()
  const removed = new Set<string>()
  for (const one of all) {
    const said = new Set<string>()
    for (const [name, value] of entriesOf(one)) {
      const key = name.toLowerCase()
      if (!said.has(key)) headers.delete(key)
      said.add(key)
      if (value === null || value === undefined) {
        headers.delete(key)
        removed.add(key)
      } else {
        headers.append(key, value)
        removed.delete(key)
      }
    }
  }
  return { headers, removed }
}

/** The same as one, which takes away what they took away. */
export const toHeaders = ({ headers, removed }: Merged): HeadersLike => [
  ...headers,
  ...Array.from(removed, (name): Array<HeaderValue> => [name, null])
]
