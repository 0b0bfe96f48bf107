/** holdfast for plain programs: promises, AbortSignal, `for await`, `await using`. */
export { type Client, type CloseReport, createClient, type Derived, type DrainReport, type Tools } from "./Client.ts"
export type { EmbedderOptions, EmbedOptions, GeminiEmbedderOptions, OpenAiEmbedderOptions } from "./Embeddings.ts"
export * from "./Errors.ts"
export type { FileOptions, Files, FileSource } from "./Files.ts"
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
export type { CallDefaults, CallOptions, ClientOptions, RequestOptions, TimeoutOptions } from "./Options.ts"
export type { Flow, Reading, StreamAnswer, StreamToolAnswer, TextReading } from "./Reading.ts"
export type { Classified, RetryEvent, RetryOptions } from "./Retry.ts"
export type {
  E2bSandboxOptions,
  LocalSandboxOptions,
  ProcessSandboxOptions,
  RestSandboxOptions,
  SandboxOptions
} from "./Sandboxes.ts"
export type {
  CommandEvent,
  CommandOptions,
  CommandResult,
  ContextOptions,
  ExecuteOptions,
  Execution,
  ExecutionEvent,
  RunOptions,
  Session,
  SessionOptions
} from "./Session.ts"
export { type MapContext, type MapOptions, MapStopped, type Settled } from "./Settled.ts"
export { type ClosedBySignal, closeOnSignals, type SignalOptions } from "./Shutdown.ts"
export type { Time } from "./Time.ts"
export type {
  ChromaVectorsOptions,
  MemoryVectorsOptions,
  PostgresVectorsOptions,
  QdrantVectorsOptions,
  SqliteVectorsOptions,
  VectorCallOptions,
  Vectors,
  VectorsOptions
} from "./Vectors.ts"
export type { Answer, StreamEvent } from "../llm/Llm.ts"
export type { Context as RunContext, FileInfo, Isolation, Language, MimeBundle } from "../sandbox/Sandbox.ts"
export type { Filter as VectorFilter } from "../vector/MetadataFilter.ts"
export type {
  Item as VectorItem,
  Match as VectorMatch,
  Metric as VectorMetric,
  Query as VectorQuery,
  Scan as VectorScan,
  Stored as StoredVector
} from "../vector/VectorStore.ts"
