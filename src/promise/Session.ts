/** A sandbox session for plain programs: the same nouns, durations in milliseconds, `await using`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Effectful from "../sandbox/Sandbox.ts"
import { ExecutionFailed, ExecutionTimeout, SandboxError } from "../sandbox/SandboxError.ts"
import { type Calls, heard, run } from "./Bridge.ts"
import { checkCall, signalOf } from "./internal/callOptions.ts"
import { readingRun } from "./internal/reading.ts"
import type { CallOptions } from "./Options.ts"
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

/** Code is in no line for slots: it has a signal and a time. */
type StopOptions = Pick<CallOptions, "signal" | "timeout">

/** `timeout` stands for `createTimeout` where that is not given. */
export interface SessionOptions extends StopOptions, Omit<Effectful.CreateOptions, "createTimeout"> {
  /** The longest wait for a usable session. Default: `"30 seconds"`. */
  readonly createTimeout?: Time | undefined
}

/** `timeout` bounds the program itself. */
export interface RunOptions extends StopOptions, Omit<Effectful.RunOptions, "timeout"> {}

export interface Session extends AsyncDisposable {
  readonly id: string
  readonly userId: string | undefined
  readonly languages: ReadonlyArray<Effectful.Language>
  /** The walls in force around the guest. */
  readonly isolation: Effectful.Isolation
  /** Runs code and waits for its end. Aborting the signal interrupts the code. */
  readonly runCode: (code: string, options?: RunOptions) => Promise<Execution>
  /** The same, as events while it runs. Leaving the loop interrupts the code. */
  readonly streamCode: (code: string, options?: RunOptions) => Reading<ExecutionEvent, Execution>
  /** Ends the guest. More calls do nothing. */
  readonly close: () => Promise<void>
}

/** The plain form of a run. */
export const toExecution = ({ durationMillis, ...rest }: Effectful.Execution): Execution => ({
  ...rest,
  durationMs: durationMillis
})

/** Throws a `TypeError` that names what is wrong. */
const checkRun = (code: unknown, options: RunOptions): void => {
  checkCall(options)
  if (typeof code !== "string") throw new TypeError(`code: ${JSON.stringify(code) ?? typeof code} is no text`)
}

const toRunOptions = ({ signal: _signal, timeout, ...rest }: RunOptions): Effectful.RunOptions => ({
  ...rest,
  timeout: timeout === undefined ? undefined : toDuration(timeout, "timeout")
})

/** Keeps a call within the deadline that its client has. */
export type InTime = <A, R>(self: Effect.Effect<A, SandboxError, R>) => Effect.Effect<A, SandboxError, R>

/** Runs code in a session of its own. */
export const runOnce = (
  code: string,
  options: RunOptions
): Effect.Effect<Effectful.Execution, SandboxError, Effectful.Sandbox> =>
  Effect.suspend(() => {
    checkRun(code, options)
    return Effectful.runCode(code, toRunOptions(options))
  })

/** Makes a session that lives until it is closed, or the client is. */
export const make = async (
  runtime: ManagedRuntime.ManagedRuntime<Effectful.Sandbox, unknown>,
  calls: Calls,
  options: SessionOptions,
  inTime: InTime
): Promise<Session> => {
  checkCall(options)
  const { createTimeout, signal, timeout, ...rest } = options
  const longest = createTimeout ?? timeout
  const created = Effectful.create({
    ...rest,
    createTimeout: longest === undefined ? undefined : toDuration(longest, "createTimeout")
  })
  const [session, scope] = await run(inTime(scoped(created)), runtime, calls, signal)
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    calls.resources.delete(close)
    return (closing ??= Effect.runPromise(Scope.close(scope, Exit.void)))
  }
  calls.resources.add(close)
  return {
    id: session.id,
    userId: session.userId,
    languages: session.languages,
    isolation: session.isolation,
    runCode: (code, runOptions = {}) =>
      heard(async () => {
        checkRun(code, runOptions)
        const ran = inTime(session.runCode(code, toRunOptions(runOptions)))
        return toExecution(await run(ran, runtime, calls, runOptions.signal))
      }),
    streamCode: (code, runOptions = {}) => {
      const events = Stream.suspend(() => {
        checkRun(code, runOptions)
        return session.streamCode(code, toRunOptions(runOptions))
      })
      return readingRun(Stream.map(events, toEvent), runtime, calls, signalOf(runOptions))
    },
    close,
    [Symbol.asyncDispose]: close
  }
}

const toEvent = (event: Effectful.ExecutionEvent): ExecutionEvent =>
  event.type === "done" ? { type: "done", execution: toExecution(event.execution) } : event

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

/** A program that failed, as the rejection that `executeCode` promises. */
export const throwUnlessOk = (execution: Execution, options: RunOptions): Execution => {
  const { error, exitCode, outcome, stderr, stdout } = execution
  if (outcome === "ok") return execution
  const provider = "local"
  if (outcome === "timedOut") {
    const { timeout } = options
    const timeoutMillis =
      timeout === undefined ? execution.durationMs : Duration.toMillis(toDuration(timeout, "timeout"))
    throw new SandboxError({ provider, reason: new ExecutionTimeout({ timeoutMillis, stdout, stderr }) })
  }
  const { name, value, traceback } = error ?? { name: "Exit", value: `exit code ${exitCode}`, traceback: "" }
  throw new SandboxError({
    provider,
    reason: new ExecutionFailed({ name, value, traceback, exitCode, stdout, stderr })
  })
}
