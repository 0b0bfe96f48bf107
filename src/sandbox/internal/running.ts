/** One run on a guest: supervised until it ends, is stopped, or has to be killed. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Execution, ExecutionError, ExecutionEvent, MimeBundle } from "../Sandbox.ts"
import type { SessionLost } from "../SandboxError.ts"
import type { Child, Event, Exchange } from "./child.ts"
import type { End } from "./frame.ts"
import { residentBytes } from "./memory.ts"

/** What a run has said so far. */
export class Transcript {
  stdout = ""
  stderr = ""
  readonly results: Array<MimeBundle> = []
  private readonly tell: (event: ExecutionEvent) => void

  constructor(tell: (event: ExecutionEvent) => void) {
    this.tell = tell
  }

  add(event: Event): void {
    if (event.t === "result") {
      this.results.push(event.result)
      this.tell({ type: "result", result: event.result })
      return
    }
    this[event.stream] += event.text
    this.tell({ type: event.stream, text: event.text })
  }
}

/** How a run may be stopped. */
export interface Bounds {
  readonly timeout: Duration.Duration
  readonly grace: Duration.Duration
  /** Done when somebody interrupts the run from outside. */
  readonly stop: Deferred.Deferred<void>
  /** What the guest process may hold in all before it is killed. */
  readonly residentBytes: number
}

/** How a run ended, before it is told. `end` is absent when the guest had to be killed. */
export interface Ending {
  readonly end: End | undefined
  readonly stopped: "timedOut" | "interrupted" | undefined
}

/** Kills a guest that holds more memory than all its limits together allow: a backstop, four times a second. */
const watch = (child: Child, limit: number): Effect.Effect<never> =>
  Effect.sleep("250 millis").pipe(
    Effect.andThen(
      Effect.suspend(() => {
        const held = child.pid === undefined ? 0 : residentBytes(child.pid)
        return held > limit ? child.kill("outOfMemory", `the guest process held ${held} bytes`) : Effect.void
      })
    ),
    Effect.forever
  )

/** Asks the guest to stop its run, and kills it when it has not `grace` later. */
const halt = Effect.fnUntraced(function* (child: Child, exchange: Exchange, grace: Duration.Duration, what: string) {
  child.cancel(exchange.id)
  // A guest that dies of being stopped has stopped all the same.
  const end = yield* Deferred.await(exchange.end).pipe(
    Effect.option,
    Effect.timeoutOption(grace),
    Effect.map(Option.flatten)
  )
  if (Option.isNone(end)) yield* child.kill("killed", `${what} did not stop, so the guest was killed`)
  return Option.getOrUndefined(end)
})

const words = { timedOut: "a run that was out of time", interrupted: "an interrupted run" } as const

/** Waits for the end of a run within its bounds; when this effect is interrupted, the run is stopped too. */
export const supervise = (child: Child, exchange: Exchange, bounds: Bounds): Effect.Effect<Ending, SessionLost> => {
  const ended = Effect.map(Deferred.await(exchange.end), (end): Ending => ({ end, stopped: undefined }))
  const stop = Effect.raceFirst(
    Effect.as(Effect.sleep(bounds.timeout), "timedOut" as const),
    Effect.as(Deferred.await(bounds.stop), "interrupted" as const)
  )
  return Effect.raceFirst(ended, stop).pipe(
    Effect.flatMap((first) =>
      typeof first === "string"
        ? Effect.map(halt(child, exchange, bounds.grace, words[first]), (end): Ending => ({ end, stopped: first }))
        : Effect.succeed(first)
    ),
    Effect.raceFirst(watch(child, bounds.residentBytes)),
    Effect.onInterrupt(() => halt(child, exchange, bounds.grace, words.interrupted))
  )
}

const errorOf = (ending: Ending, timeout: Duration.Duration): ExecutionError | undefined => {
  const traceback = ending.end?.error?.traceback ?? ""
  if (ending.stopped === "timedOut")
    return { name: "TimeoutError", value: `the program did not end within ${Duration.format(timeout)}`, traceback }
  if (ending.stopped === "interrupted")
    return { name: "InterruptedError", value: "the program was interrupted", traceback }
  return ending.end?.error
}

/** What the caller is told. */
export const tell = (
  ending: Ending,
  timeout: Duration.Duration,
  transcript: Transcript,
  durationMillis: number
): Execution => {
  const { end, stopped } = ending
  const exitCode = end?.exitCode ?? 1
  return {
    outcome: stopped ?? (end?.ok === true ? "ok" : "failed"),
    stdout: transcript.stdout,
    stderr: transcript.stderr,
    results: transcript.results,
    error: errorOf(ending, timeout),
    exitCode: stopped === undefined ? exitCode : stopped === "timedOut" ? 124 : 130,
    durationMillis,
    memoryBytes: end?.memoryBytes ?? 0,
    sessionState: end === undefined ? "lost" : "kept",
    truncated: end?.truncated ?? false
  }
}
