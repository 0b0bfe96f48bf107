/**
 * `Embedder` over any endpoint that speaks OpenAI's embeddings: OpenAI itself, Ollama, vLLM, TEI and many more.
 *
 * https://platform.openai.com/docs/api-reference/embeddings (2026-11). Embedding a text again gives the same vector and
 * costs little, so a lost answer is asked for again.
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
import { reasonOfResponse } from "./internal/openai.ts"
import * as Wire from "./internal/openaiEmbedding.ts"
import * as Server from "./internal/openaiServer.ts"
import { ownHeaders } from "./internal/server.ts"
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
  /** The path of the API, without `/embeddings`. Default: `"https://api.openai.com/v1"`. */
  readonly baseUrl?: string | undefined
  /** The name in errors and attempts. Default: `"openai"`. */
  readonly provider?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The length of the vectors where a request names none. Default: the model's own. */
  readonly dimensions?: number | undefined
  /**
   * How vectors are asked for; whatever comes is read. Default: `"base64"`: of 1536 numbers it has 8 kB where decimals
   * have 21 to 35, and is read in 24 µs where they take 64 to 108 (Node 24, 2026-11). A server that does not know it sends
   * decimals.
   */
  readonly encoding?: "float" | "base64" | undefined
  /** The most inputs of one request. Default: `2048`, OpenAI's limit. Servers of one's own may take fewer. */
  readonly maxInputs?: number | undefined
  /**
   * The most tokens of one request, of which each byte is counted as one: a text is never more. One input goes whatever it
   * has. Default: `300000`, OpenAI's limit.
   */
  readonly maxTokensPerRequest?: number | undefined
  /** Requests of one call at a time. Default: `4`: a large call is fast and leaves slots of the policy to others. */
  readonly concurrency?: number | undefined
  /** How requests hold; an open policy shares its slots with others who hold it. Default: `Policy.defaults`. */
  readonly policy?: Policy.Policy | Policy.Held | undefined
}

const protocol = (options: Options): Embedding.Protocol => {
  const { concurrency = 4, dimensions, encoding = "base64", maxInputs = 2048, maxTokensPerRequest = 300_000 } = options
  const { auth, key, post, provider, redact } = Server.make(options)
  return {
    provider,
    key,
    auth,
    model: options.model,
    maxInputs,
    maxTokens: maxTokensPerRequest,
    concurrency,
    dimensions,
    encode: (request, inputs, token) =>
      post("/embeddings", Wire.encode(request, options.model, encoding, inputs), token, ownHeaders(request)),
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
 * The same with the key and the address from `OPENAI_API_KEY` and `OPENAI_BASE_URL`, where the options do not say them.
 * An address of one's own may need no key. The variable's key goes to OpenAI or to the variable's address, never to a
 * `baseUrl` of the options: another server gets the key that it is given.
 */
export const layerConfig = (options: Options): Layer.Layer<Embedder, ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Embedder, Effect.flatMap(Server.configured(options), make))
