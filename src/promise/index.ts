/** holdfast for plain programs: promises, AbortSignal, `for await`, `await using`. */
export {
  type Client,
  type CloseReport,
  createClient,
  type GenerateOptions,
  type Input,
  type MapOptions,
  type Settled,
  type Derived
} from "./Client.ts"
export type { EmbedderOptions, EmbedOptions } from "./Embeddings.ts"
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
  PoolMember,
  PoolOptions,
  SingleOptions
} from "./Model.ts"
export {
  type ObjectAnswer,
  type ObjectOptions,
  type ObjectSource,
  tool,
  type Tool,
  type ToolAnswer,
  type ToolCallContext,
  type ToolEvent,
  type ToolOptions
} from "./Objects.ts"
export type { CallDefaults, CallOptions, ClientOptions, SandboxOptions, TimeoutOptions } from "./Options.ts"
export type { Classified, RetryEvent, RetryOptions } from "./Retry.ts"
export type { Execution, ExecutionEvent, RunOptions, Session, SessionOptions } from "./Session.ts"
export { type ClosedBySignal, closeOnSignals, type SignalOptions } from "./Shutdown.ts"
export type { Time } from "./Time.ts"
