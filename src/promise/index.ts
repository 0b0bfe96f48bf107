/** holdfast for plain programs: promises, AbortSignal, `for await`, `await using`. */
export { type Client, type CloseReport, createClient, type Derived, type DrainReport, type Tools } from "./Client.ts"
export type { EmbedderOptions, EmbedOptions, GeminiEmbedderOptions, OpenAiEmbedderOptions } from "./Embeddings.ts"
export * from "./Errors.ts"
export {
  type Http,
  type HttpBodyOptions,
  type HttpCallOptions,
  HttpError,
  type HttpErrorCode,
  type HttpFile,
  type HttpMethod,
  type HttpOptions,
  type HttpProgress,
  type HttpResponse,
  type HttpTlsOptions
} from "./Http.ts"
export type { GenerateOptions, Input } from "./Input.ts"
export type { CircuitOptions, HedgeOptions, LimitOptions, RateLimitOptions } from "./Limits.ts"
export type { Logger, LogFields, PlainLogger } from "./Logger.ts"
export type {
  AnthropicOptions,
  DeepSeekOptions,
  EvolutionOptions,
  FallbackMember,
  FallbackOptions,
  GeminiOptions,
  LlmOptions,
  OpenAiOptions,
  OpenAiWays,
  PoolMember,
  PoolOptions,
  SingleOptions
} from "./Model.ts"
export {
  type BareTool,
  type ObjectAnswer,
  type ObjectOptions,
  type ObjectSource,
  tool,
  type Tool,
  type ToolAnswer,
  type ToolCallContext,
  type ToolEvent,
  type ToolOptions,
  type ToolWith
} from "./Objects.ts"
export type { CallDefaults, CallOptions, ClientOptions, SandboxOptions, TimeoutOptions } from "./Options.ts"
export type { Reading, StreamAnswer, StreamToolAnswer, TextReading } from "./Reading.ts"
export type { Classified, RetryEvent, RetryOptions } from "./Retry.ts"
export type { Execution, ExecutionEvent, RunOptions, Session, SessionOptions } from "./Session.ts"
export { type MapContext, type MapOptions, MapStopped, type Settled } from "./Settled.ts"
export { type ClosedBySignal, closeOnSignals, type SignalOptions } from "./Shutdown.ts"
export type { Time } from "./Time.ts"
export type { Answer, StreamEvent } from "../llm/Llm.ts"
