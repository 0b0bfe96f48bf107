/**
 * A model that turns texts into vectors: what is alike in meaning is near.
 *
 * This module says what it does. `OpenAiEmbedder` and `GeminiEmbedder` say how.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Attempt } from "../policy/Attempt.ts"
import type { EmbedderError } from "./EmbedderError.ts"
import type { Usage } from "./Usage.ts"

/** One vector; all of one model have the same length. */
export type Vector = ReadonlyArray<number>

/** What to embed. */
export interface Request {
  /** None of them empty. Any number, also none: the layer splits them by what its provider takes at once. */
  readonly inputs: ReadonlyArray<string>
  /** Default: the layer's model. */
  readonly model?: string | undefined
  /** The length of the vectors, for models that can shorten them. Default: the layer's, else the model's own. */
  readonly dimensions?: number | undefined
  /** What the vectors are for, where a model has vectors of several kinds. Default: the provider's own. */
  readonly purpose?: "query" | "document" | undefined
  /** Extra headers of each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * One key for the logical call, the same on each attempt. Sent as `Idempotency-Key`; of several requests, those after the
   * first have the place of their first input behind it, as `-2001`.
   */
  readonly idempotencyKey?: string | undefined
  /** Fields of the provider's own, merged into each body as they are. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** Texts, or a whole request. */
export type Input = ReadonlyArray<string> | Request

export interface Embeddings {
  /** One for each input, in the order of the inputs. */
  readonly vectors: ReadonlyArray<Vector>
  /** Of all requests together. */
  readonly usage: Usage
  /** What it cost in US dollars, by `Price.Table`. Absent where the table does not have the model. */
  readonly cost?: number | undefined
  readonly model: string
  /** One entry for each send, of all requests. */
  readonly attempts: ReadonlyArray<Attempt>
}

/** Embeds texts. */
export class Embedder extends Context.Service<
  Embedder,
  {
    /**
     * Waits for all vectors. After a failure, the deadline around included, no further request begins; those on their way
     * come in, and the error has all that is finished. Interrupting it, by `Effect.timeout` for one, aborts the requests
     * and loses what is finished.
     */
    readonly embed: (request: Request) => Effect.Effect<Embeddings, EmbedderError>
  }
>()("holdfast/llm/Embedder") {}

/** The vector of one text. */
export const embed = (input: string): Effect.Effect<Vector, EmbedderError, Embedder> =>
  Effect.map(embedMany([input]), ({ vectors: [vector = []] }) => vector)

/** The vectors of many texts, or of a whole request, in their order. */
export const embedMany = (input: Input): Effect.Effect<Embeddings, EmbedderError, Embedder> =>
  Effect.flatMap(Embedder, (embedder) => embedder.embed("inputs" in input ? input : { inputs: input }))
