/** One run of code in a context of E2B: read by its lines to its own end, its time's, or somebody's interruption. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ConnectionLost, InvalidResponse } from "../../http/ServiceReason.ts"
import type { Execution, ExecutionError, ExecutionEvent } from "../Sandbox.ts"
import { type SandboxError, Unavailable } from "../SandboxError.ts"
import { refuse } from "./e2bError.ts"
import type { Kernel, Kernels } from "./e2bKernels.ts"
import { type Limits, Transcript } from "./e2bOutput.ts"
import { Patience } from "./patience.ts"

/** What a run needs of its session. */
export interface Settings {
  readonly kernels: Kernels
  readonly kernel: Kernel
  readonly code: string
  readonly env: Readonly<Record<string, string>>
  /** Where it runs. */
  readonly cwd: string
  readonly timeout: Duration.Duration
  /** How long an interrupted program has until its context is dropped. */
  readonly grace: Duration.Duration
  readonly limits: Limits
  /** Done when somebody interrupts it. */
  readonly stop: Deferred.Deferred<void>
  readonly emit: (event: ExecutionEvent) => void
}

/** Errors that are none of the program's: the server makes them, without a traceback (`template/server/messaging.py`). */
const isSynthetic = (error: ExecutionError, name: string): boolean => error.name === name && error.traceback === ""

/** `sys.exit(n)` is an error line like any other. */
const exitCodeOf = ({ name, value }: ExecutionError): number => {
  if (name !== "SystemExit") return 1
  if (value === "" || value === "None") return 0
  return /^-?\d+$/.test(value) ? Number(value) & 0xff : 1
}

type Ended = "ended" | "timedOut" | "interrupted"

const exitCodes = { timedOut: 124, interrupted: 130 } as const

/** Reads the lines to the end marker. A body that ends without it is a body that was cut. */
const read = (settings: Settings, transcript: Transcript, patience: Patience): Effect.Effect<Ended, SandboxError> => {
  const { code, env, kernel, kernels } = settings
  const { machine } = kernels
  let isEnded = false
  let isReadable = true
  const lines = kernels.lines(kernel, code, env, patience, true).pipe(
    Stream.takeUntil((line) => {
      const meaning = transcript.line(line)
      isEnded ||= meaning === "ended"
      isReadable &&= meaning !== "unreadable"
      return isEnded || !isReadable
    }),
    Stream.runDrain
  )
  const finished = Effect.suspend((): Effect.Effect<Ended, SandboxError> => {
    if (isEnded) return Effect.succeed("ended")
    const description = "the execution's lines ended before its end"
    if (!isReadable)
      return Effect.fail(refuse(new InvalidResponse({ description: "a line is no JSON", delivered: true })))
    return Effect.fail(refuse(new ConnectionLost({ description })))
  })
  return machine.use(lines).pipe(
    Effect.andThen(finished),
    Effect.catch((error) => understood(error, settings))
  )
}

/** What a failure of the stream means: the sandbox or the context may be gone. */
const understood = (error: SandboxError, { kernel, kernels }: Settings): Effect.Effect<never, SandboxError> => {
  const { reason } = error
  if (reason._tag === "InvalidRequest" && reason.status === 404)
    return Effect.fail(refuse(kernels.lose(kernel, reason.description, "gone")))
  // The proxy says 502 to who comes, and cuts who is there.
  return reason._tag === "ConnectionLost"
    ? Effect.andThen(kernels.machine.check, Effect.fail(error))
    : Effect.fail(error)
}

/** Errors of the server's own, which say nothing of what the program did. */
const refused = (error: ExecutionError): SandboxError | undefined => {
  const description = `${error.name}: ${error.value}`
  if (isSynthetic(error, "ExecutionAborted")) return refuse(new Unavailable({ description, transient: true }))
  if (isSynthetic(error, "UnexpectedEndOfExecution") || isSynthetic(error, "WebSocketError"))
    return refuse(new ConnectionLost({ description }))
  return undefined
}

const timedOut = (timeout: Duration.Duration): ExecutionError => ({
  name: "TimeoutError",
  value: `the program did not end within ${Duration.format(timeout)}`,
  traceback: ""
})

const interrupted: ExecutionError = { name: "InterruptedError", value: "the program was interrupted", traceback: "" }

/** An execution whose folder cannot be gone to: it is the program's failure, as where it went there itself. */
const misplaced = (error: ExecutionError): Execution => ({
  outcome: "failed",
  stdout: "",
  stderr: "",
  results: [],
  error,
  exitCode: 1,
  durationMillis: 0,
  memoryBytes: 0,
  sessionState: "kept",
  truncated: false
})

/** Whether a context may still be busy with a program that nobody waits for. */
export const mayRun = (error: SandboxError): boolean => error.phase === "maybeSent" || error.phase === "answered"

/** How a run ended, in all that is known of it. */
const told = (
  ended: Ended,
  { error, output, results, truncated }: Transcript,
  timeout: Duration.Duration
): Omit<Execution, "durationMillis" | "sessionState"> => ({
  outcome: ended === "ended" ? (error === undefined ? "ok" : "failed") : ended,
  stdout: output.stdout,
  stderr: output.stderr,
  results,
  error: ended === "ended" ? error : ended === "timedOut" ? timedOut(timeout) : interrupted,
  exitCode: ended === "ended" ? (error === undefined ? 0 : exitCodeOf(error)) : exitCodes[ended],
  // The interpreter does not say.
  memoryBytes: 0,
  truncated
})

/** Whether the context has its variables still. */
const stateAfter = (ended: Ended, error: ExecutionError | undefined, { grace, kernel, kernels }: Settings) => {
  if (ended !== "ended") return kernels.settle(kernel, grace)
  if (error === undefined || !isSynthetic(error, "ContextRestarting")) return Effect.succeed("kept" as const)
  kernels.lose(kernel, "the context died: out of memory, or its program ended it", "crashed")
  return Effect.succeed("lost" as const)
}

/** Runs code to its end, its time's, or somebody's interruption. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const { cwd, emit, kernel, kernels, limits, stop, timeout } = settings
  const lost = yield* kernels.move(kernel, cwd)
  if (lost !== undefined) {
    const execution = misplaced(lost)
    emit({ type: "done", execution })
    return execution
  }
  const startedAt = yield* Clock.currentTimeMillis
  const transcript = new Transcript(limits, emit)
  const patience = new Patience(yield* Clock.Clock, Duration.toMillis(timeout))
  const ended = yield* Effect.raceAllFirst([
    read(settings, transcript, patience),
    Effect.as(patience.over, "timedOut" as const),
    Effect.as(Deferred.await(stop), "interrupted" as const)
  ])
  const durationMillis = (yield* Clock.currentTimeMillis) - startedAt
  const { error } = transcript
  const failure = ended === "ended" && error !== undefined ? refused(error) : undefined
  if (failure !== undefined) return yield* Effect.fail(failure)
  const sessionState = yield* stateAfter(ended, error, settings)
  const execution: Execution = { ...told(ended, transcript, timeout), durationMillis, sessionState }
  emit({ type: "done", execution })
  return execution
})
