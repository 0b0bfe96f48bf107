/**
 * `Llm` over any endpoint that speaks OpenAI's chat completions: OpenAI itself, DeepSeek, Ollama, vLLM and many more.
 *
 * https://platform.openai.com/docs/api-reference/chat (2026-11). Completions are costly but safe: a second send is paid
 * for and does no other harm, so a lost answer is asked for again.
 */
import type { ConfigError } from "effect/Config"
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
import * as SecretHeaders from "../http/SecretHeaders.ts"
import * as Policy from "../policy/Policy.ts"
import * as Completion from "./internal/completion.ts"
import * as Environment from "./internal/environment.ts"
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
  /** The path of the API for continuing. Default: `baseUrl`, and DeepSeek's beta address for its own. */
  readonly prefixBaseUrl?: string | undefined
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

const trimmed = (baseUrl: string): string => baseUrl.replace(/\/+$/, "")

/** DeepSeek continues a beginning at its beta address only (api-docs.deepseek.com/guides/chat_prefix_completion, 2026-11). */
const prefixBaseUrlOf = (options: Options, baseUrl: string): string =>
  trimmed(options.prefixBaseUrl ?? (isHost(baseUrl, "api.deepseek.com") ? "https://api.deepseek.com/beta" : baseUrl))

const keyOf = ({ apiKey }: Options): string => (apiKey === undefined ? "" : Redacted.value(apiKey))

/** Credentials of one's own, such as Azure's `api-key`, without the word before them. */
const secretsIn = (headers: Options["headers"] = {}): ReadonlyArray<string> =>
  Object.entries(headers).flatMap(([name, value]) =>
    SecretHeaders.isSecret(name) ? [value.replace(/^(Bearer|Basic|Api-Key) /i, "")] : []
  )

/** Some servers repeat the key in their errors. */
const redacting = (options: Options): Wire.Redact => {
  const { auth, headers } = options
  const secrets = [keyOf(options), ...secretsIn(headers)].filter((secret) => secret !== "")
  return (text) => {
    const safe = secrets.reduce((said, secret) => said.replaceAll(secret, "<redacted>"), text)
    return auth?.redact?.(safe) ?? safe
  }
}

const protocol = (options: Options): Protocol => {
  const baseUrl = trimmed(options.baseUrl ?? defaultBaseUrl)
  const { auth, provider = "openai", scheme = "Bearer" } = options
  const secret = keyOf(options)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(secret === "" ? undefined : { authorization: `${scheme} ${secret}` }),
    ...options.headers
  })
  const shape = shapeOf(options, baseUrl)
  const url = `${baseUrl}/chat/completions`
  const prefixUrl = `${prefixBaseUrlOf(options, baseUrl)}/chat/completions`
  const redact = redacting(options)
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    model: options.model,
    auth,
    refusal: WireRequest.refusal,
    prefixOf: shape.prefix === undefined ? undefined : (text) => text,
    encode: (request, { said, stream, token }) =>
      HttpClientRequest.makeWith(
        "POST",
        said === undefined ? url : prefixUrl,
        UrlParams.empty,
        Option.none(),
        withOwn(
          token === undefined ? headers : Headers.set(headers, "authorization", `${scheme} ${Redacted.value(token)}`),
          request
        ),
        HttpBody.raw(WireRequest.encode(request, shape, stream, said), { contentType: "application/json" })
      ),
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

/**
 * The same with the key and the address from `OPENAI_API_KEY` and `OPENAI_BASE_URL`, where the options do not say them.
 * An address of one's own may need no key. The variable's key goes to OpenAI or to the variable's address, never to a
 * `baseUrl` of the options: another server gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Llm, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Llm, Effect.flatMap(configured(options), make))

const configured = (options: Options): Effect.Effect<Options, ConfigError> =>
  Effect.gen(function* () {
    const { apiKey, auth } = options
    const isElsewhere = options.baseUrl !== undefined && !isHost(options.baseUrl, "api.openai.com")
    if (isElsewhere) return options
    const baseUrl = options.baseUrl ?? (yield* Environment.text("OPENAI_BASE_URL"))
    if (apiKey !== undefined || auth !== undefined) return { ...options, baseUrl }
    const found = yield* Environment.secret("OPENAI_API_KEY")
    if (found === undefined && (baseUrl === undefined || isHost(baseUrl, "api.openai.com"))) {
      return yield* Environment.missing("no API key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without one")
    }
    return { ...options, apiKey: found, baseUrl }
  })
