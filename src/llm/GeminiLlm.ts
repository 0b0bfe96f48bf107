/**
 * `Llm` over Gemini's `generateContent`: the Gemini API with a key, or Vertex AI with tokens.
 *
 * https://ai.google.dev/api/generate-content, v1beta (2026-11). Gemini has no switch for `parallelToolCalls` and no
 * `strict`, and documents no continuing of an answer's beginning: the first two are not sent, `onCut: "continue"` is
 * refused. Safety settings and other fields of its own go into `extra`; what is under `generationConfig` there is merged
 * field by field.
 */
import type * as Config from "effect/Config"
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
import * as Wire from "./internal/gemini.ts"
import * as WireRequest from "./internal/geminiRequest.ts"
import type { Protocol } from "./internal/protocol.ts"
import { Llm, type OnCut, type Request } from "./Llm.ts"
import type { TokenAuth } from "./TokenAuth.ts"

export interface Options {
  /** Asked when a request names no model; `"models/…"` is taken, too. */
  readonly model: string
  /** Sent as `x-goog-api-key`, never in the URL. Absent where tokens are used. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Short-lived tokens in the place of a key, as Vertex AI wants them. A server that refuses one gets a new one, once. */
  readonly auth?: TokenAuth | undefined
  /**
   * The path of the API, without `/models`; an origin alone gets `/v1beta`.
   * Default: `"https://generativelanguage.googleapis.com/v1beta"`.
   */
  readonly baseUrl?: string | undefined
  /** The name in errors and attempts. Default: `"gemini"`. */
  readonly provider?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What happens when a stream breaks after content; `"continue"` is not to be had. Default: `"fail"`. */
  readonly onCut?: OnCut | undefined
  /** How calls hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const baseUrlOf = ({ baseUrl = "https://generativelanguage.googleapis.com" }: Options): string => {
  const base = baseUrl.replace(/\/+$/, "")
  return /^https?:\/\/[^/?#]+$/i.test(base) ? `${base}/v1beta` : base
}

const protocol = (options: Options): Protocol => {
  const baseUrl = baseUrlOf(options)
  const { auth, model, provider = "gemini" } = options
  const secret = options.apiKey === undefined ? "" : Redacted.value(options.apiKey)
  const headers = Headers.fromInput({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(secret === "" ? undefined : { "x-goog-api-key": secret }),
    ...options.headers
  })
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
    model,
    auth,
    refusal: WireRequest.refusal,
    encode: (request, sending) => {
      if (sending.token !== undefined) token = Redacted.value(sending.token)
      return HttpClientRequest.makeWith(
        "POST",
        `${baseUrl}${WireRequest.pathOf(request.model ?? model, sending.stream)}`,
        UrlParams.empty,
        Option.none(),
        withOwn(
          sending.token === undefined ? headers : Headers.set(headers, "authorization", `Bearer ${token}`),
          request
        ),
        HttpBody.raw(WireRequest.encode(request, model), { contentType: "application/json" })
      )
    },
    decode: (body, request) => Wire.decode(body, request, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: (request) => new Wire.ResponseReader(request, redact),
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

/** The key is the first that is set of `GEMINI_API_KEY` and `GOOGLE_API_KEY`; `GEMINI_BASE_URL` is optional. */
export const layerConfig = (
  options: Omit<Options, "apiKey" | "auth" | "baseUrl">
): Layer.Layer<Llm, Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(
    Llm,
    Effect.flatMap(configured, (found) => make({ ...options, ...found }))
  )

const keyNames = ["GEMINI_API_KEY", "GOOGLE_API_KEY"] as const

const configured: Effect.Effect<Pick<Options, "apiKey" | "baseUrl">, Config.ConfigError> = Effect.gen(function* () {
  // Loaded when it is needed: it brings all of Schema, which doubles the time of the first import.
  const [Config, { SourceError }] = yield* Effect.promise(() =>
    Promise.all([import("effect/Config"), import("effect/ConfigProvider")])
  )
  const baseUrl = yield* Config.option(Config.String("GEMINI_BASE_URL"))
  for (const name of keyNames) {
    const apiKey = yield* Config.option(Config.Redacted(name))
    // A variable that is set to nothing is not set.
    if (Option.isNone(apiKey) || Redacted.value(apiKey.value) === "") continue
    return { apiKey: apiKey.value, baseUrl: Option.getOrUndefined(Option.filter(baseUrl, (url) => url !== "")) }
  }
  const message = `no API key: set ${keyNames.join(" or ")}`
  return yield* Effect.fail(new Config.ConfigError(new SourceError({ message })))
})
