/** The providers that a `LanguageModel` is tried over, each against its fake on loopback. Another one is another line. */
import { Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import {
  AnthropicLlm,
  type Embedder,
  GeminiEmbedder,
  GeminiLlm,
  type Llm,
  OpenAiEmbedder,
  OpenAiLlm
} from "holdfast/llm"
import { Policy } from "holdfast/policy"
import type { Name } from "../fixtures/endpoint.ts"

interface Provider {
  readonly name: string
  readonly endpoint: Name
  readonly llm: (baseUrl: string) => Layer.Layer<Llm.Llm>
  readonly embedder?: (baseUrl: string) => Layer.Layer<Embedder.Embedder>
  /** It shows what it thinks, and wants a turn that calls tools back as it was. */
  readonly reasons: boolean
  /** What a refusal looks like: words of its own, or nothing. */
  readonly refusal: "words" | "empty"
  /** How its provider says that it is busy: a row of `test/fixtures/errors.ts`. */
  readonly busy: string
}

const options = { model: "some-model", apiKey: Redacted.make("key"), policy: Policy.make({ retry: { retries: 0 } }) }

const network = UndiciHttpClient.layer()

export const providers: ReadonlyArray<Provider> = [
  {
    name: "OpenAiLlm",
    endpoint: "openai",
    llm: (baseUrl) => Layer.provide(OpenAiLlm.layer({ ...options, baseUrl }), network),
    embedder: (baseUrl) => Layer.provide(OpenAiEmbedder.layer({ ...options, baseUrl }), network),
    reasons: false,
    refusal: "words",
    busy: "error-503"
  },
  {
    name: "AnthropicLlm",
    endpoint: "anthropic",
    llm: (baseUrl) => Layer.provide(AnthropicLlm.layer({ ...options, baseUrl }), network),
    reasons: true,
    refusal: "empty",
    busy: "error-529"
  },
  {
    name: "GeminiLlm",
    endpoint: "gemini",
    llm: (baseUrl) => Layer.provide(GeminiLlm.layer({ ...options, baseUrl }), network),
    embedder: (baseUrl) => Layer.provide(GeminiEmbedder.layer({ ...options, baseUrl }), network),
    reasons: true,
    refusal: "empty",
    busy: "error-503"
  }
]
