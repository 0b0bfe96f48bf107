/**
 * `Llm` over any endpoint that speaks OpenAI's chat completions: OpenAI itself, DeepSeek, Ollama, vLLM and many more.
 *
 * https://platform.openai.com/docs/api-reference/chat (2026-11). Completions are costly but safe: a second send is paid
 * for and does no other harm, so a lost answer is asked for again.
 */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Policy from "../policy/Policy.ts"
import * as Completion from "./internal/completion.ts"
import * as Wire from "./internal/openai.ts"
import * as WireRequest from "./internal/openaiRequest.ts"
import type { Protocol } from "./internal/protocol.ts"
import { Llm, type OnCut, type Request } from "./Llm.ts"
import type { TokenAuth } from "./TokenAuth.ts"

export interface Options {
  /** Asked when a request names no model. */
  readonly model: string
  /** Sent as `Authorization`. Absent for servers that want none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** The word before the key or the token. Default: `"Bearer"`. */
  readonly scheme?: "Bearer" | "Api-Key" | undefined
  /** Short-lived tokens in the place of a key. A server that refuses one gets a new one, once. */
  readonly auth?: TokenAuth | undefined
  /** The path of the API, without `/chat/completions`. Default: `"https://api.openai.com/v1"`. */
  readonly baseUrl?: string | undefined
  /** The name in errors and attempts. Default: `"openai"`. */
  readonly provider?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** How `maxTokens` is sent. Default: `"max_completion_tokens"` to api.openai.com, `"max_tokens"` to anybody else. */
  readonly maxTokensField?: "max_tokens" | "max_completion_tokens" | undefined
  /** Ask a stream for its usage (`stream_options.include_usage`). Default: `true`. */
  readonly includeUsage?: boolean | undefined
  /** Whether the server reads `response_format: json_schema`; one that does not is told of a schema in words. Default: `true`. */
  readonly jsonSchema?: boolean | undefined
  /** How `reasoning` is sent: as an effort alone, or with DeepSeek's switch. Default: by the address, `"effort"` elsewhere. */
  readonly thinking?: "effort" | "deepseek" | undefined
  /**
   * How the server documents continuing an answer's beginning: `"prefix"` (DeepSeek, Mistral) or
   * `"continue_final_message"` (vLLM, SGLang). Default: by the address; `onCut: "continue"` needs one.
   */
  readonly prefix?: WireRequest.Prefix | undefined
  /** What happens when a stream breaks after content. Default: `"fail"`. */
  readonly onCut?: OnCut | undefined
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const defaultBaseUrl = "https://api.openai.com/v1"

const isHost = (baseUrl: string, host: string): boolean =>
  baseUrl === `https://${host}` || baseUrl.startsWith(`https://${host}/`)

/** What the address alone tells of a server. */
const shapeOf = (options: Options, baseUrl: string): WireRequest.Shape => {
  const isDeepSeek = isHost(baseUrl, "api.deepseek.com")
  const isMistral = isHost(baseUrl, "api.mistral.ai")
  return {
    model: options.model,
    maxTokensField:
      options.maxTokensField ?? (isHost(baseUrl, "api.openai.com") ? "max_completion_tokens" : "max_tokens"),
    includeUsage: options.includeUsage ?? true,
    jsonSchema: options.jsonSchema ?? !isDeepSeek,
    thinking: options.thinking ?? (isDeepSeek ? "deepseek" : "effort"),
    prefix: options.prefix ?? (isDeepSeek || isMistral ? "prefix" : undefined)
  }
}

const protocol = (options: Options): Protocol => {
  const baseUrl = (options.baseUrl ?? defaultBaseUrl).replace(/\/+$/, "")
  const { auth, provider = "openai", scheme = "Bearer" } = options
  const secret = options.apiKey === undefined ? "" : Redacted.value(options.apiKey)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(secret === "" ? undefined : { authorization: `${scheme} ${secret}` }),
    ...options.headers
  })
  const shape = shapeOf(options, baseUrl)
  const url = `${baseUrl}/chat/completions`
  // DeepSeek continues a beginning at its beta address only (api-docs.deepseek.com/guides/chat_prefix_completion, 2026-11).
  const prefixUrl = isHost(baseUrl, "api.deepseek.com") ? "https://api.deepseek.com/beta/chat/completions" : url
  let token = ""
  // Some servers repeat the key in their errors.
  const redact: Wire.Redact = (text) => {
    let safe = text
    for (const word of [secret, token]) if (word !== "") safe = safe.replaceAll(word, "<redacted>")
    return safe
  }
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    model: options.model,
    auth,
    refusal: WireRequest.refusal,
    prefixOf: shape.prefix === undefined ? undefined : (text) => text,
    encode: (request, sending) => {
      if (sending.token !== undefined) token = Redacted.value(sending.token)
      return HttpClientRequest.makeWith(
        "POST",
        sending.said === undefined ? url : prefixUrl,
        UrlParams.empty,
        Option.none(),
        withOwn(
          sending.token === undefined ? headers : Headers.set(headers, "authorization", `${scheme} ${token}`),
          request
        ),
        HttpBody.raw(WireRequest.encode(request, shape, sending.stream, sending.said), {
          contentType: "application/json"
        })
      )
    },
    decode: (body, request) => Wire.decode(body, request, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: (request) => new Wire.ChunkDecoder(request, redact),
    redact
  }
}

/** The headers of one request: the layer's, and its own over them. */
const withOwn = (headers: Headers.Headers, request: Request): Headers.Headers => {
  const { headers: own, idempotencyKey } = request
  if (own === undefined && idempotencyKey === undefined) return headers
  return Headers.setAll(headers, { ...own, ...(idempotencyKey && { "idempotency-key": idempotencyKey }) })
}

/** Makes the service over the `HttpClient` in context. */
export const make = (options: Options): Effect.Effect<Llm["Service"], never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* HttpClient.HttpClient
    const held = yield* Policy.hold(options.policy ?? Policy.defaults)
    return Completion.make(protocol(options), http, held, options.onCut)
  })

/** `Llm` over the `HttpClient` in context. `layer(options)` has slots of its own at each call: keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Llm, never, HttpClient.HttpClient> =>
  Layer.effect(Llm, make(options))
