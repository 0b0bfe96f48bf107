/**
 * `OpenAI`: the class of the `openai` package (7.55.0) for chat completions, embeddings and models, over our policies.
 *
 * Changing the import line is the migration: `import OpenAI from "holdfast/openai"`. Answers and chunks are the server's
 * own, errors have the package's classes with ours as their `cause`. docs/migrate-from-openai.md has what is in the subset
 * and what gets better. There is one owner of retries, and it is the policy.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { Calls } from "./Bridge.ts"
import { Door, type Wire } from "./internal/openAiCalls.ts"
import type * as ChatShapes from "./internal/openAiChat.ts"
import * as Errors from "./internal/openAiErrors.ts"
import {
  type ClientOptions as Options,
  defaultTimeout,
  type RequestOptions as CallOptions,
  type Settings,
  toSettings
} from "./internal/openAiOptions.ts"
import { Chat, Embeddings, Models } from "./internal/openAiResources.ts"
import type {
  Base64EmbeddingResponse,
  ChatCompletion,
  ChatCompletionAllowedToolChoice,
  ChatCompletionAssistantMessageParam,
  ChatCompletionAudio,
  ChatCompletionAudioParam,
  ChatCompletionChunk,
  ChatCompletionContentPart,
  ChatCompletionContentPartImage,
  ChatCompletionContentPartInputAudio,
  ChatCompletionContentPartRefusal,
  ChatCompletionContentPartText,
  ChatCompletionCreateParams,
  ChatCompletionCreateParamsNonStreaming,
  ChatCompletionCreateParamsStreaming,
  ChatCompletionCustomTool,
  ChatCompletionDeveloperMessageParam,
  ChatCompletionFunctionMessageParam,
  ChatCompletionFunctionTool,
  ChatCompletionMessage,
  ChatCompletionMessageCustomToolCall,
  ChatCompletionMessageFunctionToolCall,
  ChatCompletionMessageParam,
  ChatCompletionMessageToolCall,
  ChatCompletionNamedToolChoice,
  ChatCompletionPredictionContent,
  ChatCompletionRole,
  ChatCompletionStreamOptions,
  ChatCompletionSystemMessageParam,
  ChatCompletionTokenLogprob,
  ChatCompletionTool,
  ChatCompletionToolChoiceOption,
  ChatCompletionToolMessageParam,
  ChatCompletionUserMessageParam,
  CompletionUsage,
  CreateEmbeddingResponse,
  Embedding,
  EmbeddingCreateParams,
  FunctionDefinition,
  FunctionParameters,
  Metadata,
  Model,
  ReasoningEffort,
  ResponseFormatJSONObject,
  ResponseFormatJSONSchema,
  ResponseFormatText
} from "./internal/openAiShapes.ts"

export {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  ContentFilterFinishReasonError,
  InternalServerError,
  LengthFinishReasonError,
  NotFoundError,
  OpenAIError,
  PermissionDeniedError,
  RateLimitError,
  UnprocessableEntityError
} from "./internal/openAiErrors.ts"
export type { ChatCompletionStreamEvents } from "./internal/openAiEvents.ts"
export type { ClientOptions, HeadersLike, PolicyOptions, RequestOptions } from "./internal/openAiOptions.ts"
export { APIPromise, Page, PagePromise } from "./internal/openAiPromise.ts"
export { Chat, Completions, Embeddings, Models } from "./internal/openAiResources.ts"
export { ChatCompletionStream } from "./internal/openAiRunner.ts"
export type { ChatCompletionSnapshot } from "./internal/openAiSnapshot.ts"
export { Stream } from "./internal/openAiStream.ts"

/** The wire of these settings; it is loaded when a call is first sent. */
const wireOf = (settings: Settings): Layer.Layer<Wire> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./internal/openAiWire.ts")),
      ({ layer }) => layer(settings)
    )
  )

/** A client of an OpenAI-compatible server. It opens nothing before the first call, and keeps no program alive. */
export class OpenAI implements AsyncDisposable {
  static readonly OpenAI = OpenAI
  static readonly DEFAULT_TIMEOUT: number = defaultTimeout
  static readonly OpenAIError = Errors.OpenAIError
  static readonly APIError = Errors.APIError
  static readonly APIConnectionError = Errors.APIConnectionError
  static readonly APIConnectionTimeoutError = Errors.APIConnectionTimeoutError
  static readonly APIUserAbortError = Errors.APIUserAbortError
  static readonly NotFoundError = Errors.NotFoundError
  static readonly ConflictError = Errors.ConflictError
  static readonly RateLimitError = Errors.RateLimitError
  static readonly BadRequestError = Errors.BadRequestError
  static readonly AuthenticationError = Errors.AuthenticationError
  static readonly InternalServerError = Errors.InternalServerError
  static readonly PermissionDeniedError = Errors.PermissionDeniedError
  static readonly UnprocessableEntityError = Errors.UnprocessableEntityError

  /** `null` where it is a function. */
  readonly apiKey: string | null
  readonly organization: string | null
  readonly project: string | null
  readonly baseURL: string
  readonly timeout: number
  readonly maxRetries: number
  readonly chat: Chat
  readonly embeddings: Embeddings
  readonly models: Models
  readonly #options: Options
  readonly #runtime: ManagedRuntime.ManagedRuntime<Wire, never>
  readonly #calls = new Calls()
  #closing: Promise<void> | undefined

  /** Throws an `OpenAIError` without a key, and for an option that is wrong or not in the subset; `policy` a `TypeError`. */
  constructor(options: Options = {}) {
    const settings = toSettings(options)
    const { apiKey } = settings
    this.apiKey = typeof apiKey === "string" ? apiKey : null
    this.organization = settings.organization
    this.project = settings.project
    this.baseURL = settings.baseURL
    this.timeout = settings.timeout
    this.maxRetries = settings.maxRetries
    this.#options = options
    this.#runtime = ManagedRuntime.make(wireOf(settings))
    const door = new Door(this.#runtime, this.#calls)
    this.chat = new Chat(door)
    this.embeddings = new Embeddings(door)
    this.models = new Models(door)
  }

  /** A client with other options over those of this one. It has connections and slots of its own. */
  withOptions(options: Partial<Options>): OpenAI {
    return new OpenAI({ ...this.#options, ...options })
  }

  /** Interrupts what is under way and closes all connections. The package has no such method: who never calls it, loses nothing. */
  close(): Promise<void> {
    return (this.#closing ??= (async () => {
      this.#calls.isClosing = true
      this.#calls.interruptAll()
      await this.#runtime.dispose()
    })())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

// The package exports its class so, and a program imports it so.
// oxlint-disable-next-line import/no-default-export -- the one import line that a migration changes
export default OpenAI

/** The package's types by the names that programs know them by. Erased: there is nothing of it at run time. */
export declare namespace OpenAI {
  export type ClientOptions = Options
  export type ChatModel = string
  export {
    type CallOptions as RequestOptions,
    type ChatShapes as Chat,
    type Base64EmbeddingResponse,
    type ChatCompletion,
    type ChatCompletionAllowedToolChoice,
    type ChatCompletionAssistantMessageParam,
    type ChatCompletionAudio,
    type ChatCompletionAudioParam,
    type ChatCompletionChunk,
    type ChatCompletionContentPart,
    type ChatCompletionContentPartImage,
    type ChatCompletionContentPartInputAudio,
    type ChatCompletionContentPartRefusal,
    type ChatCompletionContentPartText,
    type ChatCompletionCreateParams,
    type ChatCompletionCreateParamsNonStreaming,
    type ChatCompletionCreateParamsStreaming,
    type ChatCompletionCustomTool,
    type ChatCompletionDeveloperMessageParam,
    type ChatCompletionFunctionMessageParam,
    type ChatCompletionFunctionTool,
    type ChatCompletionMessage,
    type ChatCompletionMessageCustomToolCall,
    type ChatCompletionMessageFunctionToolCall,
    type ChatCompletionMessageParam,
    type ChatCompletionMessageToolCall,
    type ChatCompletionNamedToolChoice,
    type ChatCompletionPredictionContent,
    type ChatCompletionRole,
    type ChatCompletionStreamOptions,
    type ChatCompletionSystemMessageParam,
    type ChatCompletionTokenLogprob,
    type ChatCompletionTool,
    type ChatCompletionToolChoiceOption,
    type ChatCompletionToolMessageParam,
    type ChatCompletionUserMessageParam,
    type CompletionUsage,
    type CreateEmbeddingResponse,
    type Embedding,
    type EmbeddingCreateParams,
    type FunctionDefinition,
    type FunctionParameters,
    type Metadata,
    type Model,
    type ReasoningEffort,
    type ResponseFormatJSONObject,
    type ResponseFormatJSONSchema,
    type ResponseFormatText
  }
}
