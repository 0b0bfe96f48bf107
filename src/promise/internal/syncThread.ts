/** The caller's side of a thread that answers while the caller blocks. */
import { startWorkerThread } from "synckit"
import type { Answer } from "../../llm/Llm.ts"
import type { Language } from "../../sandbox/Sandbox.ts"
import type { GenerateOptions, Input } from "../Input.ts"
import type { ClientOptions } from "../Options.ts"
import type { Execution, RunOptions } from "../Session.ts"
import { receive, type Sent } from "./syncCodec.ts"
import { SyncError } from "./syncError.ts"

/** What the thread needs to know before its first call. It comes with each, and the first one counts. */
export interface Settings {
  readonly client: ClientOptions
  /** A call that takes longer is stopped. */
  readonly maxBlockMillis: number
}

/** What the thread is asked. */
export type Asked =
  | { readonly call: "generateText"; readonly input: Input; readonly options: GenerateOptions | undefined }
  | {
      readonly call: "executeCode"
      readonly code: string
      readonly language: Language | undefined
      readonly options: RunOptions | undefined
    }
  | { readonly call: "runCode"; readonly code: string; readonly options: RunOptions | undefined }
  | { readonly call: "close" }

/** What it answers. */
export type Reply =
  | { readonly is: "answer"; readonly answer: Answer }
  | { readonly is: "execution"; readonly execution: Execution }
  | { readonly is: "closed" }
  | { readonly is: "error"; readonly error: Sent }

/** The thread's side. */
export type Serve = (settings: Settings, asked: Asked) => Promise<Reply>

/** The public method that was called: stack traces begin with its caller. */
type Method = (...args: never) => unknown

export class Thread {
  private readonly exchange: (settings: Settings, asked: Asked) => Reply
  private lost: SyncError | undefined

  /** Starts the thread, which keeps no process alive. `fenceMillis` is the longest wait for a reply. */
  constructor(file: string, fenceMillis: number) {
    // `createSyncFn` keeps one thread for each file; clients share nothing, so each has its own.
    this.exchange = startWorkerThread<Serve>(file, { execArgv: [], globalShims: false, timeout: fenceMillis })
  }

  /** It hangs or has ended, and answers no more. */
  get isLost(): boolean {
    return this.lost !== undefined
  }

  /** Blocks until there is a reply. Throws the thread's error as it was there, or a `SyncError`. */
  ask(settings: Settings, asked: Asked, method: Method): Exclude<Reply, { readonly is: "error" }> {
    if (this.lost !== undefined) throw this.lost
    const reply = this.send(settings, asked, method)
    if (reply.is !== "error") return reply
    const error = receive(reply.error)
    if (error instanceof Error) Error.captureStackTrace(error, method)
    throw error
  }

  private send(settings: Settings, asked: Asked, method: Method): Reply {
    try {
      return this.exchange(settings, asked)
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause)
      // synckit's words for a wait that is over.
      const why = said.endsWith("timed-out") ? "hangs" : `ended (${said})`
      this.lost = new SyncError({
        code: "WorkerLost",
        description: `the thread of this sync client ${why}; make a new client, the call may have been done`,
        cause
      })
      Error.captureStackTrace(this.lost, method)
      throw this.lost
    }
  }
}
