/**
 * `Llm` over Anthropic's Messages API, and over servers that speak it.
 *
 * https://platform.claude.com/docs/en/api/messages (2026-11). Completions are costly but safe: a second send is paid for
 * and does no other harm, so a lost answer is asked for again. A request's `seed` is not sent: the API has none.
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
import * as Policy from "../policy/Policy.ts"
import * as Wire from "./internal/anthropic.ts"
import * as WireRequest from "./internal/anthropicRequest.ts"
import * as Completion from "./internal/completion.ts"
import * as Environment from "./internal/environment.ts"
import type { Protocol } from "./internal/protocol.ts"
import { Llm, type OnCut, type Request } from "./Llm.ts"

export interface Options {
  /** Asked when a request names no model. */
  readonly model: string
  /** A key or an OAuth token. Absent for servers that want none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /**
   * The header of the key: `Authorization: Bearer` or `x-api-key`. The API takes keys in both. Default: `"bearer"`, as its
   * own clients send them since 1.0; OAuth tokens go there, too. Gateways made for older clients may know `x-api-key` only.
   */
  readonly authScheme?: "bearer" | "x-api-key" | undefined
  /**
   * The version of the API. `"2023-06-01"` still has `temperature`, `topP` and `onCut: "continue"`, for the models that
   * take them. Default: `"2026-10-21"`.
   */
  readonly version?: WireRequest.Version | undefined
  /** The address of the API, with or without `/v1`. Default: `"https://api.anthropic.com"`. */
  readonly baseUrl?: string | undefined
  /** Features to switch on by name, sent as `anthropic-beta`. Default: none. */
  readonly betas?: ReadonlyArray<string> | undefined
  /** The name in errors and attempts. Default: `"anthropic"`. */
  readonly provider?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * The bound on generated tokens of a request that names none, since the API requires one; `reasoning.budgetTokens` comes
   * on top. Default: `16384`.
   */
  readonly maxTokens?: number | undefined
  /** What happens when a stream breaks after content. `"continue"` needs version `"2023-06-01"`. Default: `"fail"`. */
  readonly onCut?: OnCut | undefined
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const defaultBaseUrl = "https://api.anthropic.com"

// Long enough that an ordinary answer is not cut short, and below the 21 333 that the API's own clients take for too many
// to wait for without a stream (@anthropic-ai/sdk 1.11.0, 2026-11).
const defaultMaxTokens = 16_384

const headersOf = (options: Options, secret: string): Headers.Headers => {
  const { authScheme = "bearer", betas = [], version = "2026-10-21" } = options
  const credential = authScheme === "bearer" ? { authorization: `Bearer ${secret}` } : { "x-api-key": secret }
  return Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    "anthropic-version": version,
    ...(betas.length === 0 ? undefined : { "anthropic-beta": betas.join(",") }),
    ...(secret === "" ? undefined : credential),
    ...options.headers
  })
}

const protocol = (options: Options): Protocol => {
  const baseUrl = (options.baseUrl ?? defaultBaseUrl).replace(/\/+$/, "").replace(/\/v1$/, "")
  const { maxTokens = defaultMaxTokens, model, provider = "anthropic", version = "2026-10-21" } = options
  const secret = options.apiKey === undefined ? "" : Redacted.value(options.apiKey)
  const headers = headersOf(options, secret)
  const shape: WireRequest.Shape = { model, version, maxTokens }
  const url = `${baseUrl}/v1/messages`
  // Some gateways repeat the key in their errors.
  const redact: Protocol["redact"] = (text) => (secret === "" ? text : text.replaceAll(secret, "<redacted>"))
  return {
    provider,
    key: `${provider} ${UrlParams.redactUrl(baseUrl)}`,
    model,
    refusal: (request) => WireRequest.refusal(request, shape),
    // Models of today refuse an answer's beginning (…/prompt-engineering/prefill-claudes-response, 2026-11).
    prefixOf: version === "2023-06-01" ? WireRequest.prefixOf : undefined,
    encode: (request, { said, stream }) =>
      HttpClientRequest.makeWith(
        "POST",
        url,
        UrlParams.empty,
        Option.none(),
        withOwn(headers, request),
        HttpBody.raw(WireRequest.encode(request, shape, stream, said), { contentType: "application/json" })
      ),
    decode: (body) => Wire.decode(body, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: () => new Wire.EventDecoder(redact),
    redact
  }
}

/** The headers of one request: the layer's, and its own over them. */
const withOwn = (headers: Headers.Headers, { headers: own, idempotencyKey }: Request): Headers.Headers =>
  own === undefined && idempotencyKey === undefined
    ? headers
    : Headers.setAll(headers, { ...own, ...(idempotencyKey && { "idempotency-key": idempotencyKey }) })

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
 * The same with the key and the address from `ANTHROPIC_API_KEY` and `ANTHROPIC_BASE_URL`, where the options do not say
 * them. The variable's key never goes to another server's `baseUrl` of the options, which gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Llm, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Llm, Effect.flatMap(Environment.access(options, names), make))

const names: Environment.Names = {
  keys: ["ANTHROPIC_API_KEY"],
  address: "ANTHROPIC_BASE_URL",
  origin: defaultBaseUrl
}
