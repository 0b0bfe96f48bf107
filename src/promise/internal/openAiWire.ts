/** What `OpenAI` stands on; loaded when a call is first sent. */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type { HttpClient } from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as SecretHeaders from "../../http/SecretHeaders.ts"
import { tokensOf } from "../../llm/internal/estimate.ts"
import { type Call, RawCalls, type Server } from "../../llm/internal/openaiRaw.ts"
import { streamed } from "../../llm/internal/openaiRawStream.ts"
import * as Redacting from "../../llm/internal/redacting.ts"
import { Unauthorized } from "../../llm/LlmError.ts"
import type { TokenAuth } from "../../llm/TokenAuth.ts"
import * as Policy from "../../policy/Policy.ts"
import { type Asked, Wire } from "./openAiCalls.ts"
import { OpenAIError } from "./openAiErrors.ts"
import { keyFailed } from "./openAiFailure.ts"
import { mergeHeaders, type Settings, toHeaders } from "./openAiOptions.ts"
import { make as transport } from "./transport.ts"

const isObject = (u: unknown): u is object => typeof u === "object" && u !== null

/** A query as the package writes it: `a=1`, and `a[]=1` for each item of a list. */
const pairsOf = (query: object): ReadonlyArray<readonly [string, string]> =>
  Object.entries(query).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return []
    const isList = Array.isArray(value)
    const values: ReadonlyArray<unknown> = isList ? value : [value]
    return values.map((one) => {
      if (isObject(one)) throw new OpenAIError(`query.${name}: give texts, numbers, or a list of them`)
      return [isList ? `${name}[]` : name, one === null ? "" : String(one)] as const
    })
  })

/** A call's query goes over the client's, and both over that of the base URL. */
const urlOf = ({ baseURL, query }: Settings, { options, path }: Asked): string => {
  const [base = "", own] = baseURL.split("?", 2)
  const address = `${base.replace(/\/+$/, "")}${path}`
  const params = new URLSearchParams(own)
  const said = { ...query, ...options.query }
  for (const name of Object.keys(said)) params.delete(name)
  for (const [name, value] of pairsOf(said)) params.append(name, value)
  const text = params.toString()
  return text === "" ? address : `${address}?${text}`
}

const requestOf = (
  settings: Settings,
  asked: Asked,
  body: string | undefined,
  token: Redacted.Redacted<string> | undefined
): HttpClientRequest.HttpClientRequest => {
  const key = token === undefined ? settings.apiKey : Redacted.value(token)
  const { headers, idempotencyKey } = asked.options
  const merged = mergeHeaders([
    {
      accept: "application/json, text/event-stream",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(typeof key === "string" && key !== "" && { authorization: `Bearer ${key}` }),
      ...(settings.organization !== null && { "openai-organization": settings.organization }),
      ...(settings.project !== null && { "openai-project": settings.project })
    },
    toHeaders(settings.headers),
    headers,
    idempotencyKey === undefined ? undefined : { "idempotency-key": idempotencyKey }
  ])
  return HttpClientRequest.make(asked.method)(urlOf(settings, asked), {
    headers: Object.fromEntries(merged.headers),
    body: body === undefined ? undefined : HttpBody.raw(body, { contentType: "application/json" })
  })
}

const numberIn = (body: object, name: string): number | undefined => {
  const value: unknown = Reflect.get(body, name)
  return typeof value === "number" && value > 0 ? value : undefined
}

const callOf = (settings: Settings, asked: Asked): Call => {
  const { body = {}, method, operation, options } = asked
  const text = asked.body === undefined ? undefined : JSON.stringify(asked.body)
  const model: unknown = Reflect.get(body, "model")
  const own = Object.fromEntries(mergeHeaders([options.headers]).headers)
  const isKeyed = options.idempotencyKey !== undefined || own["idempotency-key"] !== undefined
  return {
    // Written here already, so that what is no request fails before it takes a slot.
    encode: (token) => requestOf(settings, asked, text, token),
    headers: own,
    safety: method === "GET" || operation === "embeddings" || isKeyed ? "idempotent" : "costly",
    operation,
    model: typeof model === "string" ? model : "unknown",
    choices: numberIn(body, "n") ?? 1,
    estimate: () => {
      const inputTokens = text === undefined ? 0 : tokensOf(text)
      if (operation !== "chat") return { inputTokens, maxTokens: 0 }
      const maxTokens = numberIn(body, "max_completion_tokens") ?? numberIn(body, "max_tokens")
      return maxTokens === undefined ? { inputTokens } : { inputTokens, maxTokens }
    }
  }
}

/** Keys that were handed out lately: servers may repeat them in their errors. */
const maxRemembered = 4

/** A function of the caller's that gives a key for each send. */
const authOf = (apiKey: () => Promise<string>): TokenAuth => {
  const known: Array<string> = []
  const failed = (message: string, cause: unknown): Unauthorized =>
    keyFailed(
      new Unauthorized({ description: message }),
      cause instanceof OpenAIError ? cause : new OpenAIError(message, { cause })
    )
  return {
    token: Effect.flatMap(
      Effect.tryPromise({
        try: apiKey,
        catch: (cause) =>
          failed(`Failed to get token from 'apiKey' function: ${cause instanceof Error ? cause.message : cause}`, cause)
      }),
      (key: unknown) => {
        if (typeof key !== "string" || key === "") {
          const message = "Expected 'apiKey' function argument to return a string that is not empty"
          return Effect.fail(failed(message, undefined))
        }
        if (!known.includes(key)) known.unshift(key)
        known.splice(maxRemembered)
        return Effect.succeed(Redacted.make(key))
      }
    ),
    invalidate: () => Effect.void,
    redact: (text) => known.reduce((said, key) => said.replaceAll(key, "<redacted>"), text)
  }
}

const serverOf = ({ apiKey, baseURL, headers, provider }: Settings, tokens: TokenAuth | undefined): Server => {
  const auth = typeof apiKey === "function" ? authOf(apiKey) : tokens
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseURL.replace(/\/+$/, ""))}`,
    auth,
    redact: Redacting.make({
      apiKey: typeof apiKey === "string" ? Redacted.make(apiKey) : undefined,
      auth,
      headers: Object.fromEntries(headers.headers)
    })
  }
}

const httpOf = ({ fetch, policy }: Settings): Effect.Effect<HttpClient, never, Scope.Scope> =>
  // A call that has its slot has its connection.
  transport(fetch, { connections: policy.options.maxConcurrency, connectTimeout: policy.timeout.connectMillis })

const make = (settings: Settings): Effect.Effect<Wire["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* httpOf(settings)
    const tokens = settings.tokens === undefined ? undefined : yield* settings.tokens(http)
    const calls = new RawCalls(serverOf(settings, tokens), http, yield* Policy.open(settings.policy))
    return Wire.of({
      whole: (asked, isAnswer) => Effect.suspend(() => calls.whole(callOf(settings, asked), isAnswer)),
      streamed: (asked) => streamed(calls, callOf(settings, asked))
    })
  })

/** The wire of these settings, over connections of its own. */
export const layer = (settings: Settings): Layer.Layer<Wire> =>
  Layer.provideMerge(Layer.effect(Wire, make(settings)), SecretHeaders.layer)
