/**
 * holdfast for scripts and REPLs: calls that block until they are done. A promise client runs in a thread of its own,
 * which is started by the first call and never keeps the process alive; the caller's thread sleeps meanwhile.
 *
 * Not for servers: nothing else runs while a call blocks, no timer and no signal handler.
 */
import * as Duration from "effect/Duration"
import type { Answer } from "../llm/Llm.ts"
import type * as CostBudget from "../policy/CostBudget.ts"
import { Draining } from "../policy/PolicyError.ts"
import type { Language } from "../sandbox/Sandbox.ts"
import type { GenerateOptions, Input } from "./Input.ts"
import { checkPlain } from "./internal/syncInput.ts"
import { SyncError } from "./internal/syncError.ts"
import { type Asked, type Reply, type Settings, Thread } from "./internal/syncThread.ts"
import type { CircuitOptions } from "./Limits.ts"
import type { FallbackOptions, PoolOptions, SingleOptions } from "./Model.ts"
import type { ClientOptions } from "./Options.ts"
import type { RetryOptions } from "./Retry.ts"
import type { ExecuteOptions, Execution } from "./Session.ts"
import { type Time, toDuration } from "./Time.ts"

export * from "./Errors.ts"
export type { Execution, GenerateOptions, Input, Time }
export { SyncError }

/** The options of `createClient` that can cross to another thread: no functions, and nothing for what it does not do. */
export interface SyncOptions extends Omit<
  ClientOptions,
  "circuit" | "costBudget" | "embedder" | "fetch" | "http" | "llm" | "logger" | "retry" | "vectors"
> {
  /** Default: none, and a call to a model throws with what to set. */
  readonly llm?: SingleOptions | Omit<PoolOptions, "onMove"> | Omit<FallbackOptions, "onFallback"> | undefined
  readonly retry?: Omit<RetryOptions, "classify" | "onRetry" | "retryIf" | "retryWhen"> | undefined
  readonly circuit?: Omit<CircuitOptions, "failureIf"> | undefined
  /** Counts tokens: a price is a function. Default: none. */
  readonly costBudget?: Omit<CostBudget.Options, "price" | "unit"> | undefined
  /**
   * The most that one call blocks, whatever its own times allow; then it throws `SyncError`. Default: `"1 hour"`, four
   * times the longest call to a model by default.
   */
  readonly maxBlock?: Time | undefined
}

/** What `generateText` takes: the options of the promise client, without a signal. */
export type SyncGenerateOptions = Omit<GenerateOptions, "signal">

/** What running code takes: the options of the promise client, without a signal. */
export type SyncRunOptions = Omit<ExecuteOptions, "signal">

export interface SyncClient extends Disposable {
  /** Asks the model and blocks until the whole answer is there. */
  readonly generateText: (input: Input, options?: SyncGenerateOptions) => Answer
  /** Runs code in a session of its own. Throws `ExecutionFailed` or `ExecutionTimeout` when the program does. */
  readonly executeCode: (code: string, language?: Language, options?: SyncRunOptions) => Execution
  /**
   * Runs code in the one session of this client, which keeps its variables and files from run to run. A failing program
   * is a value. A session that is lost says so once, and the next run has a new one. Default language: `"python"`.
   */
  readonly runCode: (code: string, options?: SyncRunOptions) => Execution
  /** Ends the session and the thread; calls after it throw `Draining`. More closes do nothing. */
  readonly close: () => void
}

/** What the thread may take beyond `maxBlock`: it has to start, on a busy machine, and to stop what took too long. */
const marginMillis = 30_000

/** Compiled or source, as this file is. */
const workerFile = `${import.meta.dirname}/internal/syncWorker.${import.meta.filename.endsWith(".ts") ? "ts" : "js"}`

const unexpected = (reply: Reply): never => {
  throw new SyncError({ code: "WorkerLost", description: `the thread of this sync client answered "${reply.is}"` })
}

class HoldfastSyncClient implements SyncClient {
  private readonly settings: Settings
  private thread: Thread | undefined
  private isClosed = false

  constructor(options: SyncOptions) {
    if (typeof options !== "object" || options === null) {
      throw new TypeError("createSyncClient: give an object of options")
    }
    const { maxBlock = "1 hour", ...client } = options
    checkPlain(client, "")
    const maxBlockMillis = Duration.toMillis(toDuration(maxBlock, "maxBlock"))
    // As they are now: the thread reads them at the first call.
    this.settings = { client: structuredClone(client), maxBlockMillis }
  }

  generateText: SyncClient["generateText"] = (input, options) => {
    checkPlain(input, "input")
    checkPlain(options, "options")
    const reply = this.ask({ call: "generateText", input, options }, this.generateText)
    return reply.is === "answer" ? reply.answer : unexpected(reply)
  }

  executeCode: SyncClient["executeCode"] = (code, language, options) => {
    checkPlain({ code, language, options }, "")
    const reply = this.ask({ call: "executeCode", code, language, options }, this.executeCode)
    return reply.is === "execution" ? reply.execution : unexpected(reply)
  }

  runCode: SyncClient["runCode"] = (code, options) => {
    checkPlain({ code, options }, "")
    const reply = this.ask({ call: "runCode", code, options }, this.runCode)
    return reply.is === "execution" ? reply.execution : unexpected(reply)
  }

  close: SyncClient["close"] = () => {
    if (this.isClosed) return
    this.isClosed = true
    if (this.thread?.isLost === false) this.ask({ call: "close" }, this.close)
  }

  private ask(asked: Asked, method: (...args: never) => unknown): Reply {
    if (this.isClosed && asked.call !== "close") throw new Draining({ key: "client" })
    this.thread ??= new Thread(workerFile, this.settings.maxBlockMillis + marginMillis)
    return this.thread.ask(this.settings, asked, method)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * Makes a client whose calls block. Throws a `TypeError` that names an option which cannot cross to a thread; other
 * wrong options throw it from the first call, which starts the thread.
 */
export const createSyncClient = (options: SyncOptions): SyncClient => new HoldfastSyncClient(options)
