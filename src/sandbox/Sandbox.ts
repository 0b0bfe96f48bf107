/**
 * A sandbox: a scoped machine that runs code and holds files.
 *
 * This module says what a sandbox does. `LocalSandbox` says how.
 */
import * as Tag from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { SandboxError } from "./SandboxError.ts"

/** A language that a layer may run. Which ones it does is in `Session.languages`. */
export type Language = "python" | "javascript" | "typescript" | "bash" | "r" | "java"

/** How to make a session. */
export interface CreateOptions {
  /** The language the session starts with, and `runCode`'s default. Default: `"python"`. */
  readonly language?: Language | undefined
  /** Environment variables that the guest sees. Default: none. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Working directory of runs and commands that name none, absolute. Default: the guest's home. */
  readonly cwd?: string | undefined
  /**
   * How long the session may live, whatever it does; then it is killed and every use of it fails with `SessionLost`,
   * `why: "expired"`. `session.extend` sets it anew. Default: the layer's own.
   */
  readonly lifetime?: Duration.Input | undefined
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
  /** Working directory inside the guest, absolute. Default: the context's, else the session's. */
  readonly cwd?: string | undefined
  /** Which variables the code sees. Default: those of the session's own context for the language. */
  readonly context?: Context | undefined
}

/** How to make a context. */
export interface ContextOptions {
  /** Default: the session's language. */
  readonly language?: Language | undefined
  /** Working directory of its runs. Default: the session's. */
  readonly cwd?: string | undefined
}

/** Variables of one language, apart from those of other contexts. It lives as long as its session; files are shared. */
export interface Context {
  readonly id: string
  readonly language: Language
  readonly cwd: string | undefined
}

/** How to run one command of a shell. */
export interface CommandOptions {
  /** The command is killed at this time. Default: `"30 seconds"`. */
  readonly timeout?: Duration.Input | undefined
  /** Environment variables for this command alone, over the session's. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Working directory, absolute. Default: the session's. */
  readonly cwd?: string | undefined
  /** What the command reads from its standard input. Default: nothing, it is closed. */
  readonly stdin?: string | Uint8Array | undefined
}

/** How one command ended: a command that fails is an answer. */
export interface CommandResult {
  readonly outcome: "ok" | "failed" | "timedOut" | "interrupted"
  /** The command's own, `124` for `"timedOut"`, `130` for `"interrupted"`, 128 and the signal's number when one killed it. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly durationMillis: number
  /** Output was cut at the layer's limit. */
  readonly truncated: boolean
}

/** What a command says while it runs. The last event is always `"done"`. */
export type CommandEvent =
  | { readonly type: "stdout"; readonly text: string }
  | { readonly type: "stderr"; readonly text: string }
  | { readonly type: "done"; readonly result: CommandResult }

/** A file or a folder of the guest. */
export interface FileInfo {
  /** Without its folder. */
  readonly name: string
  /** Absolute. */
  readonly path: string
  readonly type: "file" | "folder" | "other"
  /** Of a file. `0` for a folder. */
  readonly bytes: number
}

/**
 * The guest's files. A path that is not absolute is meant from the guest's home. All languages and contexts of a session
 * see the same files. What cannot be done fails with `FileFailed`.
 */
export interface Files {
  /** Reads a whole file. */
  readonly read: (path: string) => Effect.Effect<Uint8Array, SandboxError>
  /** Reads a whole file as UTF-8. */
  readonly readText: (path: string) => Effect.Effect<string, SandboxError>
  /** Writes a whole file, over what was there, and makes the folders that it needs. Text is written as UTF-8. */
  readonly write: (path: string, data: string | Uint8Array) => Effect.Effect<void, SandboxError>
  /** What a folder holds, by name. Default: the guest's home. */
  readonly list: (path?: string) => Effect.Effect<ReadonlyArray<FileInfo>, SandboxError>
  /** Removes a file, or a folder with all that it holds. */
  readonly remove: (path: string) => Effect.Effect<void, SandboxError>
  /** Writes a file from a stream; a file that was not written to its end is removed. */
  readonly upload: <E, R>(
    path: string,
    data: Stream.Stream<Uint8Array, E, R>
  ) => Effect.Effect<void, E | SandboxError, R>
  /** Reads a file in pieces of at most 64 KiB. */
  readonly download: (path: string) => Stream.Stream<Uint8Array, SandboxError>
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
  /** Memory that the guest holds after the run, in bytes; `0` where the sandbox does not say. */
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
  readonly os: "bubblewrap" | "seatbelt" | "none" | "remote"
  /** Whether the guest's process could reach the network after breaking out of its engine. */
  readonly network: "none" | "host" | "remote"
}

/**
 * A machine that keeps its variables and files between runs, until its scope closes. All that it has is its own, so that
 * `{ ...session, runCode }` is a session, too.
 */
export interface Session {
  readonly id: string
  readonly userId: string | undefined
  /** The language it started with: of code that names none. */
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Isolation
  /**
   * Runs code and waits for its end. Runs of one session go one after another. Interrupting the effect interrupts
   * the code. Never re-sent by itself: a run may have had effects.
   */
  readonly runCode: (code: string, options?: RunOptions) => Effect.Effect<Execution, SandboxError>
  /** The same, as events while it runs. */
  readonly streamCode: (code: string, options?: RunOptions) => Stream.Stream<ExecutionEvent, SandboxError>
  /**
   * Runs a command line in the guest's shell. Fails with `Unsupported` where the sandbox has none, as
   * `session.hasShell` says beforehand. Never re-sent by itself.
   */
  readonly runCommand: (command: string, options?: CommandOptions) => Effect.Effect<CommandResult, SandboxError>
  /** The same, as events while it runs. */
  readonly streamCommand: (command: string, options?: CommandOptions) => Stream.Stream<CommandEvent, SandboxError>
  readonly hasShell: boolean
  readonly files: Files
  /** Makes a context: variables of its own, in the same guest. */
  readonly createContext: (options?: ContextOptions) => Effect.Effect<Context, SandboxError>
  /**
   * Stops what runs now: its outcome is `"interrupted"`, and variables are kept where the guest obeys in time. Does
   * nothing when nothing runs. What waits behind it runs next.
   */
  readonly interrupt: Effect.Effect<void, SandboxError>
  /** Gives a fresh machine under the same session: variables, contexts and files are gone. Also after `SessionLost`. */
  readonly reset: Effect.Effect<void, SandboxError>
  /** Sets the lifetime anew, counted from now. */
  readonly extend: (lifetime: Duration.Input) => Effect.Effect<void, SandboxError>
}

/** Makes sessions. */
export class Sandbox extends Tag.Service<
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
