/**
 * `Llm` over any endpoint that speaks OpenAI's chat completions: OpenAI itself, DeepSeek, Ollama, vLLM and many more.
 *
 * https://platform.openai.com/docs/api-reference/chat (2026-11). Completions are costly but safe: a second send is paid
 * for and does no other harm, so a lost answer is asked for again.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Policy from "../policy/Policy.ts"
import * as Completion from "./internal/completion.ts"
import * as Wire from "./internal/openai.ts"
import * as WireRequest from "./internal/openaiRequest.ts"
import * as Server from "./internal/openaiServer.ts"
import type { Protocol } from "./internal/protocol.ts"
import * as Redacting from "./internal/redacting.ts"
import { ownHeaders } from "./internal/server.ts"
import { Llm, type OnCut } from "./Llm.ts"
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

const isHost = (baseUrl: string, host: string): boolean =>
  baseUrl === `https://${host}` || baseUrl.startsWith(`https://${host}/`)

/** What the address alone tells of a server. */
const shapeOf = (options: Options): WireRequest.Shape => {
  const { baseUrl = "https://api.openai.com" } = options
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

/** DeepSeek continues a beginning at its beta address only (api-docs.deepseek.com/guides/chat_prefix_completion, 2026-11). */
const prefixBaseUrlOf = ({ baseUrl, prefixBaseUrl }: Options): string | undefined =>
  prefixBaseUrl ??
  (baseUrl !== undefined && isHost(baseUrl, "api.deepseek.com") ? "https://api.deepseek.com/beta" : baseUrl)

const protocol = (options: Options): Protocol => {
  const shape = shapeOf(options)
  const server = Server.make(options)
  const continuing = Server.make({ ...options, baseUrl: prefixBaseUrlOf(options) })
  const { auth, key, provider, redact } = server
  return {
    provider,
    key,
    model: options.model,
    auth,
    refusal: WireRequest.refusal,
    prefixOf: shape.prefix === undefined ? undefined : (text) => text,
    encode: (request, { said, stream, token }) =>
      (said === undefined ? server : continuing).post(
        "/chat/completions",
        WireRequest.encode(request, shape, stream, said),
        token,
        ownHeaders(request)
      ),
    decode: (body, request) => Wire.decode(body, request, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: (request, said) =>
      new Wire.ChunkDecoder(request, Redacting.over(redact, request.headers), said !== undefined),
    redact
  }
}

/** Makes the service over the `HttpClient` in context. */
export const make = (options: Options): Effect.Effect<Llm["Service"], never, HttpClient.HttpClient | Scope.Scope> =>
  Completion.make(protocol(options), options)

/** `Llm` over the `HttpClient` in context. `layer(options)` has slots of its own at each call: keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Llm, never, HttpClient.HttpClient> =>
  Layer.effect(Llm, make(options))

/**
 * The same with the key and the address from `OPENAI_API_KEY` and `OPENAI_BASE_URL`, where the options do not say them.
 * An address of one's own may need no key. The variable's key goes to OpenAI or to the variable's address, never to a
 * `baseUrl` of the options: another server gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Llm, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Llm, Effect.flatMap(Server.configured(options), make))
