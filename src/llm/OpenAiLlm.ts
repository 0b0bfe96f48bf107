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
import { Llm, type Request } from "./Llm.ts"

export interface Options {
  /** Asked when a request names no model. */
  readonly model: string
  /** Sent as `Authorization: Bearer`. Absent for servers that want none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
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
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const defaultBaseUrl = "https://api.openai.com/v1"

const protocol = (options: Options): Completion.Protocol => {
  const baseUrl = (options.baseUrl ?? defaultBaseUrl).replace(/\/+$/, "")
  const provider = options.provider ?? "openai"
  const secret = options.apiKey === undefined ? "" : Redacted.value(options.apiKey)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(secret === "" ? undefined : { authorization: `Bearer ${secret}` }),
    ...options.headers
  })
  const isOpenAi = baseUrl.startsWith("https://api.openai.com/")
  const shape: Wire.Shape = {
    model: options.model,
    maxTokensField: options.maxTokensField ?? (isOpenAi ? "max_completion_tokens" : "max_tokens"),
    includeUsage: options.includeUsage ?? true
  }
  const url = `${baseUrl}/chat/completions`
  // Some servers repeat the key in their errors.
  const redact: Wire.Redact = (text) => (secret === "" ? text : text.replaceAll(secret, "<redacted>"))
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    model: options.model,
    encode: (request, stream) =>
      HttpClientRequest.makeWith(
        "POST",
        url,
        UrlParams.empty,
        Option.none(),
        withOwn(headers, request),
        HttpBody.raw(Wire.encode(request, shape, stream), { contentType: "application/json" })
      ),
    decode: (body) => Wire.decode(body, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: () => new Wire.ChunkDecoder(redact),
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
    return Completion.make(protocol(options), http, held)
  })

/** `Llm` over the `HttpClient` in context. `layer(options)` has slots of its own at each call: keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Llm, never, HttpClient.HttpClient> =>
  Layer.effect(Llm, make(options))
