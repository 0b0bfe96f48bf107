/**
 * A sandbox: a scoped machine that runs code and holds files.
 *
 * This module says what a sandbox does. `LocalSandbox` says how.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { SandboxError } from "./SandboxError.ts"

/** A language that a layer may run. Which ones it does is in `Session.languages`. */
export type Language = "python" | "javascript"

/** How to make a session. */
export interface CreateOptions {
  /** The language the session starts with, and `runCode`'s default. Default: `"python"`. */
  readonly language?: Language | undefined
  /** Environment variables that the guest sees. Default: none. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** The longest wait for a usable session. Default: `"30 seconds"`. */
  readonly createTimeout?: Duration.Input | undefined
  /** Whose session this is; kept as `session.userId`, never sent into the guest. */
  readonly userId?: string | undefined
}

/** How to run one piece of code. */
export interface RunOptions {
  /** Default: the session's language. */
  readonly language?: Language | undefined
  /** The run is interrupted at this time and killed half a second later. Default: `"30 seconds"`. */
  readonly timeout?: Duration.Input | undefined
  /** Environment variables for this run alone, over the session's. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Working directory inside the guest, absolute. Default: the guest's home. */
  readonly cwd?: string | undefined
}

/** What a program raised: a value, because a failing program is an answer. */
export interface ExecutionError {
  /** The exception's class, e.g. `"ZeroDivisionError"`. */
  readonly name: string
  readonly value: string
  /** The traceback as the language prints it, without frames of the sandbox itself. */
  readonly traceback: string
}

/** A value to show, by MIME type: always `text/plain`, and what richer forms the value has. */
export type MimeBundle = Readonly<Record<string, string>>

/**
 * How one run ended. `outcome` is decided outside the guest: nothing that it prints or raises can forge it.
 *
 * `sessionState` is `"lost"` when the guest had to be killed: its variables are gone, and the next run starts afresh
 * or fails with `SessionLost`, as the layer says.
 */
export interface Execution {
  readonly outcome: "ok" | "failed" | "timedOut" | "interrupted"
  readonly stdout: string
  readonly stderr: string
  /** The last expression's value, and what `display()` was given, in order. */
  readonly results: ReadonlyArray<MimeBundle>
  readonly error?: ExecutionError | undefined
  /** `0` for `"ok"`, the program's own code after `sys.exit(n)`, `1` for `"failed"`, `124` for `"timedOut"`, `130` for `"interrupted"`. */
  readonly exitCode: number
  readonly durationMillis: number
  /** Memory that the guest holds after the run, in bytes. */
  readonly memoryBytes: number
  readonly sessionState: "kept" | "lost"
  /** Output or results were cut at the layer's limit. */
  readonly truncated: boolean
}

/** What a run says while it runs. The last event is always `"done"`. */
export type ExecutionEvent =
  | { readonly type: "stdout"; readonly text: string }
  | { readonly type: "stderr"; readonly text: string }
  | { readonly type: "result"; readonly result: MimeBundle }
  | { readonly type: "done"; readonly execution: Execution }

/** The walls in force around a session's guest, as they were probed, never as they were wished for. */
export interface Isolation {
  /** What interprets the code, e.g. `"pyodide-wasm"`. */
  readonly engine: string
  /** `"child"`: a process of its own. */
  readonly process: "child" | "remote" | "none"
  /** The operating system's wall. */
  readonly os: "bubblewrap" | "none" | "remote"
  /** Whether the guest's process could reach the network after breaking out of its engine. */
  readonly network: "none" | "host" | "remote"
}

/** A machine that keeps its variables and files between runs, until its scope closes. */
export interface Session {
  readonly id: string
  readonly userId: string | undefined
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Isolation
  /**
   * Runs code and waits for its end. Runs of one session go one after another. Interrupting the effect interrupts
   * the code. Never re-sent by itself: a run may have had effects.
   */
  readonly runCode: (code: string, options?: RunOptions) => Effect.Effect<Execution, SandboxError>
  /** The same, as events while it runs. */
  readonly streamCode: (code: string, options?: RunOptions) => Stream.Stream<ExecutionEvent, SandboxError>
}

/** Makes sessions. */
export class Sandbox extends Context.Service<
  Sandbox,
  {
    /** Makes a session; the scope's close kills it, on failure and interruption too. */
    readonly create: (options?: CreateOptions) => Effect.Effect<Session, SandboxError, Scope.Scope>
  }
>()("holdfast/sandbox/Sandbox") {}

/** Makes a session in the current scope. */
export const create = (options?: CreateOptions): Effect.Effect<Session, SandboxError, Sandbox | Scope.Scope> =>
  Effect.flatMap(Sandbox, (sandbox) => sandbox.create(options))

/** Runs code in a session of its own, which is gone when the run ends. */
export const runCode = (
  code: string,
  options?: RunOptions & CreateOptions
): Effect.Effect<Execution, SandboxError, Sandbox> =>
  Effect.scoped(Effect.flatMap(create(options), (session) => session.runCode(code, options)))
