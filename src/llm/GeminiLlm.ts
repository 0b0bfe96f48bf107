/**
 * `Llm` over Gemini's `generateContent`: the Gemini API with a key, or Vertex AI with tokens.
 *
 * https://ai.google.dev/api/generate-content, v1beta (2026-11). Gemini has no switch for `parallelToolCalls` and no
 * `strict`, and documents no continuing of an answer's beginning: the first two are not sent, `onCut: "continue"` is
 * refused. Safety settings and other fields of its own go into `extra`; what is under `generationConfig` there is merged
 * field by field.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Policy from "../policy/Policy.ts"
import * as Completion from "./internal/completion.ts"
import * as Wire from "./internal/gemini.ts"
import * as WireRequest from "./internal/geminiRequest.ts"
import * as Redacting from "./internal/redacting.ts"
import * as Server from "./internal/geminiServer.ts"
import type { Protocol } from "./internal/protocol.ts"
import { ownHeaders } from "./internal/server.ts"
import { Llm, type OnCut } from "./Llm.ts"
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

const protocol = (options: Options): Protocol => {
  const { model } = options
  const { auth, key, post, provider, redact } = Server.make(options)
  return {
    provider,
    key,
    model,
    auth,
    refusal: WireRequest.refusal,
    encode: (request, { stream, token }) =>
      post(
        WireRequest.endpointOf(request.model ?? model, stream),
        WireRequest.encode(request, model),
        token,
        ownHeaders(request)
      ),
    decode: (body, request) => Wire.decode(body, request, redact),
    reasonOf: (response, body, nowMillis) => Wire.reasonOfResponse(response, body, nowMillis, redact),
    decoder: (request) => new Wire.ResponseReader(request, Redacting.over(redact, request.headers)),
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
 * The same with the key and the address from `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, and `GEMINI_BASE_URL`, where the
 * options do not say them. The variable's key goes to Google or to the variable's address, never to a `baseUrl` of the
 * options: another server gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Llm, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Llm, Effect.flatMap(Server.configured(options), make))
