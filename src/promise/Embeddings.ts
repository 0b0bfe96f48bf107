/** Embeddings for plain programs. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Embedder, type Request } from "../llm/Embedder.ts"
import type { EmbedderError } from "../llm/EmbedderError.ts"
import type * as OpenAiEmbedder from "../llm/OpenAiEmbedder.ts"
import { checkHeaders, checkTexts } from "./internal/checkLlm.ts"
import type { Shared } from "./internal/connected.ts"
import type { CallOptions } from "./Options.ts"
import { atLeast, httpUrl, oneOf, onlyKnown } from "./Time.ts"

interface Endpoint {
  /** Asked when a call names no model. */
  readonly model: string
  /** Default: the provider's own. */
  readonly baseUrl?: string | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The length of the vectors where a call names none. Default: the model's own. */
  readonly dimensions?: number | undefined
  /** The most inputs of one request. Default: `2048` for OpenAI, `100` for Gemini, their limits. */
  readonly maxInputs?: number | undefined
  /** The most tokens of one request, each byte counted as one. Default: `300000` for OpenAI, none for Gemini. */
  readonly maxTokensPerRequest?: number | undefined
  /** Requests of one call at a time. Default: `4`. */
  readonly concurrency?: number | undefined
}

/** Any OpenAI-compatible endpoint. `encoding` and `scheme` are those of `OpenAiEmbedder.Options`. */
export interface OpenAiEmbedderOptions extends Endpoint, Pick<OpenAiEmbedder.Options, "encoding" | "scheme"> {
  readonly provider: "openai"
  /** Default: the variable `OPENAI_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

export interface GeminiEmbedderOptions extends Endpoint {
  readonly provider: "gemini"
  /** Default: the variable `GEMINI_API_KEY`, then `GOOGLE_API_KEY`; with a `baseUrl` of your own, none. */
  readonly apiKey?: string | undefined
}

/** Which model embeds. */
export type EmbedderOptions = OpenAiEmbedderOptions | GeminiEmbedderOptions

/** `timeout` holds for all requests of a call together; the client's `total` for each of them. */
export interface EmbedOptions extends CallOptions, Omit<Request, "inputs"> {}

const numbers = ["dimensions", "maxInputs", "maxTokensPerRequest", "concurrency"] as const

const names = ["provider", "model", "apiKey", "baseUrl", "headers", ...numbers]

const namesOf: Readonly<Record<EmbedderOptions["provider"], ReadonlyArray<string>>> = {
  openai: [...names, "encoding", "scheme"],
  gemini: names
}

/** What the types promise, checked for programs without types. Throws a `TypeError` that names what is wrong. */
export const checkEmbedder = (options: EmbedderOptions): EmbedderOptions => {
  const { baseUrl, headers, model, provider } = options
  oneOf(provider ?? "nothing", Object.keys(namesOf), "embedder.provider")
  onlyKnown(options, namesOf[provider], "embedder")
  if (typeof model !== "string" || model === "") throw new TypeError("embedder.model: give the name of a model")
  checkTexts(options, ["apiKey"], "embedder")
  httpUrl(baseUrl, "embedder.baseUrl")
  checkHeaders(headers, "embedder.headers")
  for (const name of numbers) atLeast(options[name], 1, `embedder.${name}`)
  if (provider === "openai") {
    oneOf(options.encoding, ["float", "base64"], "embedder.encoding")
    oneOf(options.scheme, ["Bearer", "Api-Key"], "embedder.scheme")
  }
  return options
}

/** A text is a list, too: of letters. */
export const checkInputs = (inputs: unknown): void => {
  if (Array.isArray(inputs) && inputs.every((input) => typeof input === "string")) return
  throw new TypeError("embed: give texts: one to `embed`, a list of them to `embedMany`")
}

/** The embedder of these options. */
export const embedderLayer = (options: EmbedderOptions, shared: Shared): Layer.Layer<Embedder, EmbedderError> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./internal/embedders.ts")),
      (embedders) => embedders.layer(options, shared)
    )
  )

/** In the place of an embedder that was not named. */
export const noEmbedder: Layer.Layer<Embedder, TypeError> = Layer.effect(
  Embedder,
  Effect.suspend(() =>
    Effect.fail(
      new TypeError(
        'this client has no embedder; give createClient the option embedder: { provider: "openai", model: "some-model" }'
      )
    )
  )
)
