/**
 * `Embedder` over Gemini's `batchEmbedContents`.
 *
 * https://ai.google.dev/gemini-api/docs/embeddings, v1beta (2026-11). A `purpose` is sent as the task type
 * `RETRIEVAL_QUERY` or `RETRIEVAL_DOCUMENT`; the fields of `extra` are merged into each request of a batch. Gemini does not
 * count the tokens of embeddings: usage is an estimate. Vectors that it has shortened have no length of one, so compare
 * them by their angle.
 */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Policy from "../policy/Policy.ts"
import { Embedder } from "./Embedder.ts"
import * as Embedding from "./internal/embedding.ts"
import { reasonOfResponse } from "./internal/gemini.ts"
import * as Wire from "./internal/geminiEmbedding.ts"
import * as Server from "./internal/geminiServer.ts"
import { ownHeaders } from "./internal/server.ts"
import type { TokenAuth } from "./TokenAuth.ts"

export interface Options {
  /** Asked when a request names no model; `"models/…"` is taken, too. */
  readonly model: string
  /** Sent as `x-goog-api-key`, never in the URL. Absent where tokens are used. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Short-lived tokens in the place of a key. A server that refuses one gets a new one, once. */
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
  /** The length of the vectors where a request names none. Default: the model's own. */
  readonly dimensions?: number | undefined
  /** The most inputs of one request. Default: `100`, Gemini's limit. */
  readonly maxInputs?: number | undefined
  /**
   * The most tokens of one request, of which each byte is counted as one: a text is never more. One input goes whatever it
   * has. Default: no limit, since Gemini names none.
   */
  readonly maxTokensPerRequest?: number | undefined
  /** Requests of one call at a time. Default: `4`: a large call is fast and leaves slots of the policy to others. */
  readonly concurrency?: number | undefined
  /** How requests hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const protocol = (options: Options): Embedding.Protocol => {
  const { concurrency = 4, dimensions, maxInputs = 100, maxTokensPerRequest = Infinity, model } = options
  const { auth, key, post, provider, redact } = Server.make(options)
  return {
    provider,
    key,
    auth,
    model,
    maxInputs,
    maxTokens: maxTokensPerRequest,
    concurrency,
    dimensions,
    encode: (request, inputs, token) =>
      post(Wire.endpointOf(request, model), Wire.encode(request, model, inputs), token, ownHeaders(request)),
    decode: (body, inputs) => Wire.decode(body, inputs, redact),
    reasonOf: (response, body, nowMillis) => reasonOfResponse(response, body, nowMillis, redact)
  }
}

/** Makes the service over the `HttpClient` in context. */
export const make = (
  options: Options
): Effect.Effect<Embedder["Service"], never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* HttpClient.HttpClient
    const held = yield* Policy.hold(options.policy ?? Policy.defaults)
    return Embedding.make(protocol(options), http, held)
  })

/** `Embedder` over the `HttpClient` in context. `layer(options)` has slots of its own at each call: keep it in a constant. */
export const layer = (options: Options): Layer.Layer<Embedder, never, HttpClient.HttpClient> =>
  Layer.effect(Embedder, make(options))

/**
 * The same with the key and the address from `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, and `GEMINI_BASE_URL`, where the
 * options do not say them. The variable's key goes to Google or to the variable's address, never to a `baseUrl` of the
 * options: another server gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Embedder, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Embedder, Effect.flatMap(Server.configured(options), make))
