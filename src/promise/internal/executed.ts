/** How runs ended, in the plain form, and as the rejection that `executeCode` promises. */
import * as Duration from "effect/Duration"
import type * as Effectful from "../../sandbox/Sandbox.ts"
import { ExecutionFailed, ExecutionTimeout, SandboxError } from "../../sandbox/SandboxError.ts"
import type { CommandEvent, CommandResult, Execution, ExecutionEvent, RunOptions } from "../Session.ts"
import { toDuration } from "../Time.ts"

export const toExecution = ({ durationMillis, ...rest }: Effectful.Execution): Execution => ({
  ...rest,
  durationMs: durationMillis
})

export const toEvent = (event: Effectful.ExecutionEvent): ExecutionEvent =>
  event.type === "done" ? { type: "done", execution: toExecution(event.execution) } : event

export const toResult = ({ durationMillis, ...rest }: Effectful.CommandResult): CommandResult => ({
  ...rest,
  durationMs: durationMillis
})

export const toCommandEvent = (event: Effectful.CommandEvent): CommandEvent =>
  event.type === "done" ? { type: "done", result: toResult(event.result) } : event

/** A program that failed throws. */
export const throwUnlessOk = (execution: Execution, options: RunOptions, provider: string): Execution => {
  const { error, exitCode, outcome, stderr, stdout } = execution
  if (outcome === "ok") return execution
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
