/** A sandbox session for plain programs: the same nouns, durations in milliseconds, `await using`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Effectful from "../sandbox/Sandbox.ts"
import { ExecutionFailed, ExecutionTimeout, SandboxError } from "../sandbox/SandboxError.ts"
import { type Calls, iterate, run } from "./Bridge.ts"
import type { CallOptions } from "./Options.ts"
import { type Time, toDuration } from "./Time.ts"

/** How one run ended. A failing program is a value: `outcome` says how, `error` what it raised. */
export interface Execution extends Omit<Effectful.Execution, "durationMillis"> {
  readonly durationMs: number
}

/** What a run says while it runs. The last event is always `"done"`. */
export type ExecutionEvent =
  | Exclude<Effectful.ExecutionEvent, { readonly type: "done" }>
  | { readonly type: "done"; readonly execution: Execution }

export interface SessionOptions extends Omit<Effectful.CreateOptions, "createTimeout"> {
  /** The longest wait for a usable session. Default: `"30 seconds"`. */
  readonly createTimeout?: Time | undefined
}

/** `timeout` bounds the program itself. */
export interface RunOptions extends CallOptions, Omit<Effectful.RunOptions, "timeout"> {}

export interface Session extends AsyncDisposable {
  readonly id: string
  readonly userId: string | undefined
  readonly languages: ReadonlyArray<Effectful.Language>
  /** The walls in force around the guest. */
  readonly isolation: Effectful.Isolation
  /** Runs code and waits for its end. Aborting the signal interrupts the code. */
  readonly runCode: (code: string, options?: RunOptions) => Promise<Execution>
  /** The same, as events while it runs. Leaving the loop interrupts the code. */
  readonly streamCode: (code: string, options?: RunOptions) => AsyncIterableIterator<ExecutionEvent> & AsyncDisposable
  /** Ends the guest. More calls do nothing. */
  readonly close: () => Promise<void>
}

/** The plain form of a run. */
export const toExecution = ({ durationMillis, ...rest }: Effectful.Execution): Execution => ({
  ...rest,
  durationMs: durationMillis
})

const toRunOptions = ({ signal: _signal, timeout, ...rest }: RunOptions): Effectful.RunOptions => ({
  ...rest,
  timeout: timeout === undefined ? undefined : toDuration(timeout, "timeout")
})

/** Runs code in a session of its own. */
export const runOnce = (
  code: string,
  options: RunOptions
): Effect.Effect<Effectful.Execution, SandboxError, Effectful.Sandbox> =>
  Effect.suspend(() => Effectful.runCode(code, toRunOptions(options)))

/** Makes a session that lives until it is closed, or the client is. */
export const make = async (
  runtime: ManagedRuntime.ManagedRuntime<Effectful.Sandbox, never>,
  calls: Calls,
  options: SessionOptions & CallOptions
): Promise<Session> => {
  const { createTimeout, signal, timeout, ...rest } = options
  const longest = createTimeout ?? timeout
  const created = Effectful.create({
    ...rest,
    createTimeout: longest === undefined ? undefined : toDuration(longest, "createTimeout")
  })
  const [session, scope] = await run(scoped(created), runtime, calls, signal)
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
    runCode: async (code, runOptions = {}) =>
      toExecution(await run(session.runCode(code, toRunOptions(runOptions)), runtime, calls, runOptions.signal)),
    streamCode: (code, runOptions = {}) => {
      const events = Stream.map(
        Stream.suspend(() => session.streamCode(code, toRunOptions(runOptions))),
        (event): ExecutionEvent =>
          event.type === "done" ? { type: "done", execution: toExecution(event.execution) } : event
      )
      return iterate(events, runtime, calls, runOptions.signal)
    },
    close,
    [Symbol.asyncDispose]: close
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
