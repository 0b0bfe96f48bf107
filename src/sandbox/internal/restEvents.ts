/** A run that tells what it says, as a stream of that. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { CommandEvent, CommandResult, Execution, ExecutionEvent } from "../Sandbox.ts"
import type { SandboxError } from "../SandboxError.ts"

export type Emit = (event: ExecutionEvent) => Effect.Effect<unknown>

/** Output that waits for its reader; then the run waits. */
const maxWaitingEvents = 64

export const streaming = (
  run: (emit: Emit) => Effect.Effect<unknown, SandboxError>
): Stream.Stream<ExecutionEvent, SandboxError> =>
  Stream.callback<ExecutionEvent, SandboxError>(
    (queue) =>
      Effect.matchCauseEffect(
        run((event) => Queue.offer(queue, event)),
        { onFailure: (cause) => Queue.failCause(queue, cause), onSuccess: () => Queue.end(queue) }
      ),
    { bufferSize: maxWaitingEvents, strategy: "suspend" }
  )

export const resultOf = (execution: Execution): CommandResult => {
  const { durationMillis, exitCode, outcome, stderr, stdout, truncated } = execution
  return { outcome, exitCode, stdout, stderr, durationMillis, truncated }
}

/** The same of a command, which has no values to show. */
export const streamingCommand = (
  run: (emit: Emit) => Effect.Effect<unknown, SandboxError>
): Stream.Stream<CommandEvent, SandboxError> =>
  Stream.flatMap(streaming(run), (event): Stream.Stream<CommandEvent> => {
    if (event.type === "done") return Stream.succeed({ type: "done", result: resultOf(event.execution) })
    return event.type === "result" ? Stream.empty : Stream.succeed(event)
  })
