/** holdfast for plain programs: promises, AbortSignal, `for await`, `await using`. */
export {
  type Client,
  type CloseReport,
  createClient,
  type GenerateOptions,
  type Input,
  type MapOptions,
  type Settled
} from "./Client.ts"
export * from "./Errors.ts"
export type { CallOptions, ClientOptions, LlmOptions, RetryOptions, SandboxOptions, TimeoutOptions } from "./Options.ts"
export type { Execution, ExecutionEvent, RunOptions, Session, SessionOptions } from "./Session.ts"
export type { Time } from "./Time.ts"
