/** A sandbox session for plain programs: the same nouns, durations in milliseconds, `await using`. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Carried from "../http/internal/carried.ts"
import * as Effectful from "../sandbox/Sandbox.ts"
import { SandboxError, SessionLost } from "../sandbox/SandboxError.ts"
import { type Calls, heard, run } from "./Bridge.ts"
import { type Files, make as makeFiles } from "./Files.ts"
import { signalOf } from "./internal/callOptions.ts"
import { carrying } from "./internal/carrying.ts"
import { toCommandEvent, toEvent, toExecution, toResult } from "./internal/executed.ts"
import { readingCommand, readingRun } from "./internal/reading.ts"
import {
  checkOptions,
  toCommandOptions,
  toContextOptions,
  toCreateOptions,
  toRunOptions
} from "./internal/runOptions.ts"
import type { SandboxCalls } from "./internal/sandboxCalls.ts"
import type { RequestOptions } from "./Options.ts"
import type { Reading } from "./Reading.ts"
import { type Time, toDuration } from "./Time.ts"

/** How one run ended. A failing program is a value: `outcome` says how, `error` what it raised. */
export interface Execution extends Omit<Effectful.Execution, "durationMillis"> {
  readonly durationMs: number
}

/** What a run says while it runs. The last event is always `"done"`. */
export type ExecutionEvent =
  | Exclude<Effectful.ExecutionEvent, { readonly type: "done" }>
  | { readonly type: "done"; readonly execution: Execution }

/** How one command ended: a command that fails is an answer. */
export interface CommandResult extends Omit<Effectful.CommandResult, "durationMillis"> {
  readonly durationMs: number
}

/** What a command says while it runs. The last event is always `"done"`. */
export type CommandEvent =
  | Exclude<Effectful.CommandEvent, { readonly type: "done" }>
  | { readonly type: "done"; readonly result: CommandResult }

/**
 * `timeout` stands for `createTimeout` where that is not given. `headers` are on the request that ends the session, too, and
 * on no others of its life.
 */
export interface SessionOptions extends RequestOptions, Omit<Effectful.CreateOptions, "createTimeout" | "lifetime"> {
  /** The longest wait for a usable session. Default: `"30 seconds"`. */
  readonly createTimeout?: Time | undefined
  /**
   * How long the session may live, whatever it does; then it is killed and every use of it rejects with `SessionLost`.
   * `session.extend` sets it anew. Default: the sandbox's own.
   */
  readonly lifetime?: Time | undefined
}

/** `timeout` bounds the program itself. Default: `"30 seconds"`. */
export interface RunOptions extends RequestOptions, Omit<Effectful.RunOptions, "timeout"> {}

/** What a run in a session of its own takes: it has no contexts. */
export interface ExecuteOptions extends Omit<RunOptions, "context"> {}

/** `timeout` bounds the command itself. Default: `"30 seconds"`. */
export interface CommandOptions extends RequestOptions, Omit<Effectful.CommandOptions, "timeout"> {}

/** `timeout` bounds the making. Default: none. */
export interface ContextOptions extends RequestOptions, Effectful.ContextOptions {}

/** A machine that keeps its variables and files between runs, until it is closed. */
export interface Session extends AsyncDisposable {
  readonly id: string
  readonly userId: string | undefined
  /** The language it started with: of code that names none. */
  readonly language: Effectful.Language
  readonly languages: ReadonlyArray<Effectful.Language>
  /** The walls in force around the guest. */
  readonly isolation: Effectful.Isolation
  /** Runs code and waits for its end. Aborting the signal interrupts the code. */
  readonly runCode: (code: string, options?: RunOptions) => Promise<Execution>
  /** The same, as events while it runs. Leaving the loop interrupts the code. */
  readonly streamCode: (code: string, options?: RunOptions) => Reading<ExecutionEvent, Execution>
  /**
   * Runs a command line in the guest's shell. Rejects with `Unsupported` where the sandbox has none, as
   * `session.hasShell` says beforehand.
   */
  readonly runCommand: (command: string, options?: CommandOptions) => Promise<CommandResult>
  /** The same, as events while it runs. Leaving the loop kills the command. */
  readonly streamCommand: (command: string, options?: CommandOptions) => Reading<CommandEvent, CommandResult>
  readonly hasShell: boolean
  readonly files: Files
  /** Makes a context: variables of its own, in the same guest. A run's option `context` takes it. */
  readonly createContext: (options?: ContextOptions) => Promise<Effectful.Context>
  /**
   * Stops what runs now: its outcome is `"interrupted"`, and variables are kept where the guest obeys in time. Does
   * nothing when nothing runs.
   */
  readonly interrupt: (options?: RequestOptions) => Promise<void>
  /** Gives a fresh machine under the same session: variables, contexts and files are gone. Also after `SessionLost`. */
  readonly reset: (options?: RequestOptions) => Promise<void>
  /** Sets the lifetime anew, counted from now. */
  readonly extend: (lifetime: Time, options?: RequestOptions) => Promise<void>
  /** Ends the guest. More calls do nothing. */
  readonly close: () => Promise<void>
}

type Runtime = ManagedRuntime.ManagedRuntime<Effectful.Sandbox, unknown>

/** Runs code in a session of its own: the making and the run have a key each. */
export const runOnce = (
  code: string,
  options: ExecuteOptions
): Effect.Effect<Effectful.Execution, SandboxError, Effectful.Sandbox> =>
  Effect.suspend(() => {
    const asked = toRunOptions(code, options)
    const created = Effectful.create(asked)
    return Effect.scoped(Effect.flatMap(created, (session) => Carried.nth(1)(session.runCode(code, asked))))
  })

/** Makes a session that lives until it is closed, or the client is. */
export const make = async (
  runtime: Runtime,
  calls: Calls,
  options: SessionOptions,
  around: SandboxCalls
): Promise<Session> => {
  const created = Effectful.create(toCreateOptions(options))
  const [session, scope] = await run(around.within(scoped(created), options), runtime, calls, options.signal)
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    calls.resources.delete(close)
    const { headers } = options
    return (closing ??= Effect.runPromise(carrying(Scope.close(scope, Exit.void), { headers })))
  }
  calls.resources.add(close)
  const { hasShell, id, isolation, language, languages, userId } = session
  return {
    id,
    userId,
    language,
    languages,
    isolation,
    hasShell,
    ...runsOf(session, runtime, calls, around),
    ...stateOf({ ...session, reset: unless(() => closing !== undefined, session.reset) }, runtime, calls, around),
    files: makeFiles(session.files, runtime, calls, around),
    close,
    [Symbol.asyncDispose]: close
  }
}

/** A session that was closed is not made again: nobody would close it. */
const unless = (isClosed: () => boolean, reset: Effectful.Session["reset"]): Effectful.Session["reset"] =>
  Effect.suspend(() => {
    if (!isClosed()) return reset
    const reason = new SessionLost({ why: "closed", description: "close() was called" })
    return Effect.fail(new SandboxError({ provider: "sandbox", reason }))
  })

type Runs = Pick<Session, "runCode" | "streamCode" | "runCommand" | "streamCommand">

const runsOf = (session: Effectful.Session, runtime: Runtime, calls: Calls, around: SandboxCalls): Runs => ({
  runCode: (code, options = {}) =>
    heard(async () => {
      const ran = session.runCode(code, toRunOptions(code, options))
      return toExecution(await run(around.within(ran, options), runtime, calls, options.signal))
    }),
  streamCode: (code, options = {}) => {
    // What is wrong with a stream's options fails its first pull.
    const events = Stream.suspend(() => session.streamCode(code, toRunOptions(code, options)))
    return readingRun(Stream.map(around.stream(events, options), toEvent), runtime, calls, signalOf(options))
  },
  runCommand: (command, options = {}) =>
    heard(async () => {
      const ran = session.runCommand(command, toCommandOptions(command, options))
      return toResult(await run(around.within(ran, options), runtime, calls, options.signal))
    }),
  streamCommand: (command, options = {}) => {
    const events = Stream.suspend(() => session.streamCommand(command, toCommandOptions(command, options)))
    return readingCommand(Stream.map(around.stream(events, options), toCommandEvent), runtime, calls, signalOf(options))
  }
})

type State = Pick<Session, "createContext" | "interrupt" | "reset" | "extend">

const stateOf = (session: Effectful.Session, runtime: Runtime, calls: Calls, around: SandboxCalls): State => {
  const call = <A>(self: Effect.Effect<A, SandboxError>, options: RequestOptions): Promise<A> => {
    const { signal, timeout } = options
    const own = timeout === undefined ? undefined : toDuration(timeout, "timeout")
    return run(around.within(self, options, own), runtime, calls, signal)
  }
  const plain = (self: Effect.Effect<void, SandboxError>, options: RequestOptions): Promise<void> => {
    checkOptions(options, "call")
    return call(self, options)
  }
  return {
    createContext: (options = {}) => heard(() => call(session.createContext(toContextOptions(options)), options)),
    interrupt: (options = {}) => heard(() => plain(session.interrupt, options)),
    reset: (options = {}) => heard(() => plain(session.reset, options)),
    extend: (lifetime, options = {}) => heard(() => plain(session.extend(toDuration(lifetime, "lifetime")), options))
  }
}

/** A resource in a scope of its own, closed at once if the making fails. */
const scoped = <A, E, R>(
  self: Effect.Effect<A, E, R | Scope.Scope>
): Effect.Effect<readonly [A, Scope.Closeable], E, Exclude<R, Scope.Scope>> =>
  Effect.suspend(() => {
    const scope = Scope.makeUnsafe()
    return Effect.onExit(
      Effect.map(Scope.provide(self, scope), (value) => [value, scope] as const),
      (exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
    )
  })
