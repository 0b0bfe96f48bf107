/**
 * `Llm` over Anthropic's Messages API, and over servers that speak it.
 *
 * https://platform.claude.com/docs/en/api/messages (2026-11). Completions are costly but safe: a second send is paid for
 * and does no other harm, so a lost answer is asked for again. A request's `seed` is not sent: the API has none.
 * A request without tools names those that its conversation speaks of and allows none: the API wants to see them.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Policy from "../policy/Policy.ts"
import * as Wire from "./internal/anthropic.ts"
import * as WireRequest from "./internal/anthropicRequest.ts"
import * as Completion from "./internal/completion.ts"
import * as Environment from "./internal/environment.ts"
import type { Protocol } from "./internal/protocol.ts"
import * as Redacting from "./internal/redacting.ts"
import * as Server from "./internal/server.ts"
import { ownHeaders } from "./internal/server.ts"
import { Llm, type OnCut } from "./Llm.ts"

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

const defaultVersion = "2026-10-21"

// Long enough that an ordinary answer is not cut short, and below the 21 333 that the API's own clients take for too many
// to wait for without a stream (@anthropic-ai/sdk 1.11.0, 2026-11).
const defaultMaxTokens = 16_384

const serverOf = (options: Options): Server.Server => {
  const { authScheme = "bearer", baseUrl = defaultBaseUrl, betas = [], provider = "anthropic" } = options
  return Server.make(options, {
    provider,
    baseUrl: baseUrl.replace(/\/+$/, "").replace(/\/v1$/, ""),
    ...(authScheme === "bearer" ? { keyHeader: "authorization", keyPrefix: "Bearer " } : { keyHeader: "x-api-key" }),
    headers: {
      "anthropic-version": options.version ?? defaultVersion,
      ...(betas.length === 0 ? undefined : { "anthropic-beta": betas.join(",") })
    }
  })
}

const protocol = (options: Options): Protocol => {
  const { maxTokens = defaultMaxTokens, model, version = defaultVersion } = options
  const { key, post, provider, redact } = serverOf(options)
  const shape: WireRequest.Shape = { model, version, maxTokens }
  return {
    provider,
    key,
    model,
    maxTokens,
    refusal: (request) => WireRequest.refusal(request, shape),
    // Models of today refuse an answer's beginning (…/prompt-engineering/prefill-claudes-response, 2026-11).
    prefixOf: version === "2023-06-01" ? WireRequest.prefixOf : undefined,
    encode: (request, { said, stream, token }) =>
      post("/v1/messages", WireRequest.encode(request, shape, stream, said), token, ownHeaders(request)),
    decode: (body, request) => Wire.decode(body, request, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: (request) => new Wire.EventDecoder(request, Redacting.over(redact, request.headers)),
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
