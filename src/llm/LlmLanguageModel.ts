/**
 * `LanguageModel` and `EmbeddingModel` of `effect/ai` over `Llm` and `Embedder`: chats, tools, toolkits and MCP servers of
 * Effect work with every provider of ours, and with a pool or a fallback of them.
 *
 * It adds no retries, limits or times: those are of the `Llm` below. Provider contract: effect/ai 4.1.
 */
import type * as AiError from "effect/ai/AiError"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as IdGenerator from "effect/ai/IdGenerator"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { Embedder, type Request as EmbeddingRequest } from "./Embedder.ts"
import { EmbedderError } from "./EmbedderError.ts"
import { fromFailure, toAiError } from "./internal/languageModelError.ts"
import { detailsOf as readDetails } from "./internal/languageModelMark.ts"
import { partsOf, StreamedParts } from "./internal/languageModelParts.ts"
import { toRequest } from "./internal/languageModelRequest.ts"
import { portable } from "./internal/languageModelSchema.ts"
import { type Answer, Llm, type OnCut, type Request, type StreamEvent } from "./Llm.ts"
import { LlmError } from "./LlmError.ts"

/** What a request says that `effect/ai` has no words for. */
export interface Settings extends Pick<
  Request,
  | "extra"
  | "headers"
  | "maxTokens"
  | "model"
  | "parallelToolCalls"
  | "reasoning"
  | "seed"
  | "stop"
  | "temperature"
  | "topP"
> {
  /**
   * What happens when a stream breaks after content. `effect/ai` has no part for beginning again, so a layer's `"restart"`
   * is not used. Default: `"fail"`, whatever the layer's.
   */
  readonly onCut?: Exclude<OnCut, "restart"> | undefined
}

export interface Options extends Settings {
  /**
   * How a schema of `generateObject` is sent. Default: as `LlmObject` does, in the form that every provider's strict mode
   * takes, where the schema has one; an answer in the schema's own form is read, too.
   */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
}

/** What the texts are embedded with. */
export interface EmbeddingOptions extends Omit<EmbeddingRequest, "inputs"> {}

/** The settings of the calls inside, over those of the layer. Default: none. */
export const Current: Context.Reference<Settings> = Context.Reference<Settings>(
  "holdfast/llm/LlmLanguageModel/Current",
  {
    defaultValue: () => ({})
  }
)

/** One model of `effect/ai` over one `Llm`. */
class Bridge {
  private readonly llm: Llm["Service"]
  private readonly settings: Settings
  private readonly transformer: LanguageModel.CodecTransformer

  constructor(llm: Llm["Service"], settings: Settings, transformer: LanguageModel.CodecTransformer) {
    this.llm = llm
    this.settings = settings
    this.transformer = transformer
  }

  private requestOf(
    options: LanguageModel.ProviderOptions,
    method: "generateText" | "streamText"
  ): Effect.Effect<Request, AiError.AiError> {
    return Effect.flatMap(Current, (current) => {
      const { onCut = "fail", ...settings } = { ...this.settings, ...current }
      const asked = method === "streamText" ? { ...settings, onCut } : settings
      return told(method, toRequest(options, asked, this.transformer))
    })
  }

  readonly generateText = Effect.fnUntraced({ self: this }, function* (options: LanguageModel.ProviderOptions) {
    const request = yield* this.requestOf(options, "generateText")
    const answer = yield* Effect.mapError(this.llm.generateText(request), fromFailure("generateText"))
    return yield* told("generateText", partsOf(answer, options, yield* timestamp))
  })

  readonly streamText = (
    options: LanguageModel.ProviderOptions
  ): Stream.Stream<Response.StreamPartEncoded, AiError.AiError, IdGenerator.IdGenerator> =>
    Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        const request = yield* this.requestOf(options, "streamText")
        const ids = yield* IdGenerator.IdGenerator
        const id = yield* ids.generateId()
        return this.llm.streamText(request).pipe(
          Stream.mapError(fromFailure("streamText")),
          Stream.mapAccumEffect(() => new StreamedParts(id, options), push),
          // effect/ai gives its span to the stream and does not run the stream under it.
          Stream.provideService(Tracer.ParentSpan, options.span)
        )
      })
    )
}

const timestamp = Effect.map(DateTime.now, DateTime.formatIso)

const told = <A>(method: string, result: Result.Result<A, AiError.AiErrorReason>): Effect.Effect<A, AiError.AiError> =>
  Effect.fromResult(Result.mapError(result, (reason) => toAiError(method, reason)))

/** The parts that an event adds. */
const push = (
  parts: StreamedParts,
  event: StreamEvent
): Effect.Effect<readonly [StreamedParts, ReadonlyArray<Response.StreamPartEncoded>], AiError.AiError> => {
  if (event.type === "finish") {
    const finished = Effect.flatMap(timestamp, (now) => told("streamText", parts.finish(event, now)))
    return Effect.map(finished, (last) => [parts, last])
  }
  if (event.type !== "reset") return Effect.succeed([parts, parts.push(event)])
  // It was not asked for, and what was said cannot be taken back.
  const failure = new LlmError({ provider: "llm", reason: event.reason, attempts: [] })
  return Effect.fail(fromFailure("streamText")(failure))
}

/** Makes the language model over the `Llm` in context. */
export const make = (options: Options = {}): Effect.Effect<LanguageModel.LanguageModel, never, Llm> =>
  Effect.flatMap(Llm, (llm) => {
    const { codecTransformer = portable, ...settings } = options
    const { generateText, streamText } = new Bridge(llm, settings, codecTransformer)
    return LanguageModel.make({ generateText, streamText, codecTransformer })
  })

/** Makes the embedding model over the `Embedder` in context. */
export const makeEmbedding = (
  options: EmbeddingOptions = {}
): Effect.Effect<EmbeddingModel.EmbeddingModel, never, Embedder> =>
  Effect.flatMap(Embedder, (embedder) =>
    EmbeddingModel.make({
      embedMany: ({ inputs }) =>
        Effect.mapBoth(embedder.embed({ ...options, inputs }), {
          onFailure: fromFailure("embedMany"),
          onSuccess: ({ usage, vectors }) => ({
            results: vectors.map((vector) => [...vector]),
            // No tokens at all is a provider that did not say.
            usage: { inputTokens: usage.inputTokens === 0 ? undefined : usage.inputTokens }
          })
        })
    })
  )

/** The `LanguageModel` alone, over an `Llm`. */
export const layerText = (options: Options = {}): Layer.Layer<LanguageModel.LanguageModel, never, Llm> =>
  Layer.effect(LanguageModel.LanguageModel, make(options))

/** The `EmbeddingModel` alone, over an `Embedder`. */
export const layerEmbedding = (
  options: EmbeddingOptions = {}
): Layer.Layer<EmbeddingModel.EmbeddingModel, never, Embedder> =>
  Layer.effect(EmbeddingModel.EmbeddingModel, makeEmbedding(options))

/** Both models, over an `Llm` and an `Embedder`. `options` are of the texts, `embedding` of the vectors. */
export const layer = (
  options: Options = {},
  embedding: EmbeddingOptions = {}
): Layer.Layer<LanguageModel.LanguageModel | EmbeddingModel.EmbeddingModel, never, Llm | Embedder> =>
  Layer.merge(layerText(options), layerEmbedding(embedding))

/** One model by its name, for an `ExecutionPlan` and for whoever asks for `Model.ModelName`. */
export const model = <const Provider extends string, const Name extends string>(
  provider: Provider,
  name: Name,
  options: Omit<Options, "model"> = {}
): Model.Model<Provider, LanguageModel.LanguageModel, Llm> =>
  Model.make(provider, name, layerText({ ...options, model: name }))

/** What an answer tells beyond `effect/ai`. */
export interface Details extends Pick<Answer, "attempts" | "cost" | "requestId" | "servedBy"> {
  /** The usage is a guess. Default: `false`. */
  readonly isEstimate?: boolean | undefined
}

/** The details of an answer: of a response's `content`, or of all that a stream has told. Absent until its finish. */
export const detailsOf = (parts: Iterable<Response.AnyPart>): Details | undefined => {
  for (const part of parts) if (part.type === "finish") return readDetails(part.metadata)
  return undefined
}

/** Our error behind one of `effect/ai`, with its attempts, its usage and what had arrived of a broken stream. */
export const errorOf = ({ reason: { cause } }: AiError.AiError): LlmError | EmbedderError | undefined =>
  cause instanceof LlmError || cause instanceof EmbedderError ? cause : undefined
