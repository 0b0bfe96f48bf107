/** A session on guest processes: one run at a time, each stopped in time, the guest killed when it does not stop. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type {
  Execution,
  ExecutionError,
  ExecutionEvent,
  Isolation,
  Language,
  MimeBundle,
  RunOptions,
  Session
} from "../Sandbox.ts"
import { LimitExceeded, SandboxError, type SessionLost } from "../SandboxError.ts"
import type { Child, Event, Exchange } from "./child.ts"
import type { End } from "./frame.ts"
import { residentBytes } from "./memory.ts"

/** What a session is made of. */
export interface Parts {
  readonly id: string
  readonly userId: string | undefined
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Isolation
  readonly env: Readonly<Record<string, string>>
  /** The guest of a language, started at the first run in it. */
  readonly guest: (language: Language) => Effect.Effect<Child, SandboxError>
  readonly grace: Duration.Duration
  readonly codeBytes: number
  /** What a guest process may hold in all before it is killed. */
  readonly residentBytes: number
}

const provider = "local"

const fail = (reason: SandboxError["reason"]) => new SandboxError({ provider, reason })

/** What a run has said so far. */
class Transcript {
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

/** How a run ended, before it is told. `end` is absent when the guest had to be killed. */
interface Ending {
  readonly end: End | undefined
  readonly isTimedOut: boolean
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

/** Waits for the end; at `timeout` it asks the guest to stop, `grace` later it kills it. */
const supervise = Effect.fnUntraced(function* (
  child: Child,
  exchange: Exchange,
  timeout: Duration.Duration,
  grace: Duration.Duration
) {
  const end = Deferred.await(exchange.end)
  const inTime = yield* Effect.timeoutOption(end, timeout)
  if (Option.isSome(inTime)) return { end: inTime.value, isTimedOut: false }
  child.cancel(exchange.id)
  // A guest that dies of being stopped has timed out all the same.
  const late = yield* end.pipe(Effect.option, Effect.timeoutOption(grace), Effect.map(Option.flatten))
  if (Option.isNone(late)) yield* child.kill("killed", "a run did not stop at its timeout, so the guest was killed")
  return { end: Option.getOrUndefined(late), isTimedOut: true }
})

/** After an interruption: stops the run and keeps the guest when it obeys, kills it when it does not. */
const abandon = (child: Child, exchange: Exchange, grace: Duration.Duration) =>
  Effect.suspend(() => {
    child.cancel(exchange.id)
    return Deferred.await(exchange.end).pipe(
      Effect.timeoutOption(grace),
      Effect.flatMap((end) =>
        Option.isSome(end)
          ? Effect.void
          : child.kill("killed", "an interrupted run did not stop, so the guest was killed")
      ),
      Effect.ignore
    )
  })

const timedOut = (timeout: Duration.Duration, end: End | undefined): ExecutionError => ({
  name: "TimeoutError",
  value: `the program did not end within ${Duration.format(timeout)}`,
  traceback: end?.error?.traceback ?? ""
})

const tell = (
  ending: Ending,
  timeout: Duration.Duration,
  transcript: Transcript,
  durationMillis: number
): Execution => {
  const { end, isTimedOut } = ending
  const outcome = isTimedOut ? "timedOut" : end?.ok === true ? "ok" : "failed"
  return {
    outcome,
    stdout: transcript.stdout,
    stderr: transcript.stderr,
    results: transcript.results,
    error: isTimedOut ? timedOut(timeout, end) : end?.error,
    exitCode: isTimedOut ? 124 : (end?.exitCode ?? 1),
    durationMillis,
    memoryBytes: end?.memoryBytes ?? 0,
    sessionState: end === undefined ? "lost" : "kept",
    truncated: end?.truncated ?? false
  }
}

/** Makes the session's methods. */
export const make = Effect.fnUntraced(function* (parts: Parts): Effect.fn.Return<Session> {
  const lock = yield* Semaphore.make(1)
  let runs = 0

  const execute = Effect.fnUntraced(function* (
    code: string,
    options: RunOptions,
    emit: (event: ExecutionEvent) => void
  ) {
    if (Buffer.byteLength(code) > parts.codeBytes)
      return yield* fail(
        new LimitExceeded({ limit: "codeBytes", description: `the code is longer than ${parts.codeBytes} bytes` })
      )
    const child = yield* parts.guest(options.language ?? parts.language)
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "30 seconds")
    const transcript = new Transcript(emit)
    const started = yield* Clock.currentTimeMillis
    const env = { ...parts.env, ...options.env }
    const exchange = child.send({ id: ++runs, code, env, cwd: options.cwd ?? "" }, (event) => transcript.add(event))
    const ending = yield* supervise(child, exchange, timeout, parts.grace).pipe(
      Effect.raceFirst(watch(child, parts.residentBytes)),
      Effect.onInterrupt(() => abandon(child, exchange, parts.grace)),
      Effect.mapError((reason: SessionLost) => fail(reason))
    )
    const execution = tell(ending, timeout, transcript, (yield* Clock.currentTimeMillis) - started)
    emit({ type: "done", execution })
    return execution
  }, lock.withPermit)

  const runCode = Effect.fn("LocalSandbox.runCode")((code: string, options: RunOptions = {}) =>
    execute(code, options, () => undefined)
  )

  const streamCode = (code: string, options: RunOptions = {}) =>
    // Unbounded, and bounded all the same: the guest's output and results have limits.
    Stream.callback<ExecutionEvent, SandboxError>(
      (queue) =>
        execute(code, options, (event) => Queue.offerUnsafe(queue, event)).pipe(
          Effect.matchCauseEffect({
            onFailure: (cause) => Queue.failCause(queue, cause),
            onSuccess: () => Queue.end(queue)
          })
        ),
      { bufferSize: Number.POSITIVE_INFINITY }
    )

  const { id, userId, languages, isolation } = parts
  return { id, userId, languages, isolation, runCode, streamCode }
})
