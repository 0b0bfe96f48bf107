/** A session on guest processes: one thing at a time, each run stopped in time, and all of it over at its lifetime. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { ContextOptions, ExecutionEvent, Isolation, Language, RunOptions, Session } from "../Sandbox.ts"
import { LimitExceeded, SandboxError, Unsupported, UnsupportedLanguage } from "../SandboxError.ts"
import { Contexts } from "./contexts.ts"
import type { Engine } from "./engines.ts"
import type { Guests } from "./guests.ts"
import * as Idle from "./idle.ts"
import { supervise, tell, Transcript } from "./running.ts"
import * as SessionFiles from "./sessionFiles.ts"

/** What a session is made of. */
export interface Parts {
  readonly id: string
  readonly userId: string | undefined
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Isolation
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string | undefined
  readonly lifetime: Duration.Duration
  readonly guests: Guests
  /** What runs a language; `undefined` for one that nothing here runs. */
  readonly engineOf: (language: Language) => Engine["language"] | undefined
  readonly grace: Duration.Duration
  readonly maxTimeout: Duration.Duration
  readonly codeBytes: number
  readonly transferBytes: number
  readonly fileCount: number
  /** What a guest process may hold in all before it is killed. */
  readonly residentBytes: (engine: Engine["language"]) => number
}

const provider = "local"

const fail = (reason: SandboxError["reason"]) => new SandboxError({ provider, reason })

const noShell = new Unsupported({
  operation: "runCommand",
  description: "the embedded sandbox has no shell; ProcessSandbox and E2bSandbox have one"
})

/** A run in flight, for those who want to stop it. */
interface Current {
  readonly stop: Deferred.Deferred<void>
  readonly over: Deferred.Deferred<void>
}

/** Kills the session at the end of its lifetime, which may be set anew. */
const mortality = Effect.fnUntraced(function* (guests: Guests) {
  const clock = yield* FiberHandle.make()
  return (lifetime: Duration.Duration) =>
    Effect.asVoid(
      FiberHandle.run(
        clock,
        Effect.andThen(
          Idle.after(lifetime),
          guests.kill("expired", `its lifetime of ${Duration.format(lifetime)} is over; extend sets it anew`)
        )
      )
    )
})

/** Runs of one session, one after another. */
const runner = (parts: Parts, lock: Semaphore.Semaphore, contexts: Contexts) => {
  const { guests } = parts
  let runs = 0
  let current: Current | undefined

  const target = (options: RunOptions) =>
    Effect.suspend(() => {
      const language = options.language ?? options.context?.language ?? parts.language
      const engine = parts.languages.includes(language) ? parts.engineOf(language) : undefined
      if (engine === undefined)
        return Effect.fail(fail(new UnsupportedLanguage({ language, supported: parts.languages })))
      return Effect.map(contexts.find(options.context, engine), (context) => ({ language, engine, context }))
    })

  const run = Effect.fnUntraced(function* (code: string, options: RunOptions, stop: Current["stop"], emit: Emit) {
    const { language, engine, context } = yield* target(options)
    const child = yield* guests.use(engine)
    const timeout = Duration.min(Duration.fromInputUnsafe(options.timeout ?? "30 seconds"), parts.maxTimeout)
    const transcript = new Transcript(emit)
    const started = yield* Clock.currentTimeMillis
    const request = {
      id: ++runs,
      code,
      isTyped: language === "typescript",
      context: context.number,
      env: { ...parts.env, ...options.env },
      cwd: options.cwd ?? context.cwd ?? parts.cwd ?? ""
    }
    const exchange = child.send(request, (event) => transcript.add(event))
    const bounds = { timeout, grace: parts.grace, stop, residentBytes: parts.residentBytes(engine) }
    const ending = yield* Effect.mapError(supervise(child, exchange, bounds), fail)
    const execution = tell(ending, timeout, transcript, (yield* Clock.currentTimeMillis) - started)
    emit({ type: "done", execution })
    return execution
  })

  const execute = (code: string, options: RunOptions, emit: Emit) =>
    lock.withPermit(
      Effect.suspend(() => {
        if (Buffer.byteLength(code) > parts.codeBytes)
          return Effect.fail(
            fail(
              new LimitExceeded({ limit: "codeBytes", description: `the code is longer than ${parts.codeBytes} bytes` })
            )
          )
        const mine = { stop: Deferred.makeUnsafe<void>(), over: Deferred.makeUnsafe<void>() }
        current = mine
        return Effect.ensuring(
          run(code, options, mine.stop, emit),
          Effect.sync(() => {
            current = undefined
            Deferred.doneUnsafe(mine.over, Effect.void)
          })
        )
      })
    )

  const interrupt = Effect.suspend(() => {
    if (current === undefined) return Effect.void
    Deferred.doneUnsafe(current.stop, Effect.void)
    return Deferred.await(current.over)
  })

  return { execute, interrupt }
}

type Emit = (event: ExecutionEvent) => void

/** Makes the session's methods. */
export const make = Effect.fnUntraced(function* (parts: Parts): Effect.fn.Return<Session, never, Scope.Scope> {
  const { guests } = parts
  const lock = yield* Semaphore.make(1)
  const live = yield* mortality(guests)
  const contexts = new Contexts(guests, fail)
  const { execute, interrupt } = runner(parts, lock, contexts)
  yield* live(parts.lifetime)

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

  const createContext = Effect.fn("LocalSandbox.createContext")((options: ContextOptions = {}) => {
    const language = options.language ?? parts.language
    const engine = parts.languages.includes(language) ? parts.engineOf(language) : undefined
    return engine === undefined
      ? Effect.fail(fail(new UnsupportedLanguage({ language, supported: parts.languages })))
      : contexts.create(language, engine, options.cwd)
  })

  const reset = guests
    .kill("closed", "the session was reset")
    .pipe(
      Effect.andThen(lock.withPermit(guests.renew)),
      Effect.andThen(Effect.sync(() => contexts.clear())),
      Effect.andThen(live(parts.lifetime)),
      Effect.withSpan("LocalSandbox.reset")
    )

  const extend = (lifetime: Duration.Input) =>
    Effect.suspend(() =>
      guests.loss === undefined ? live(Duration.fromInputUnsafe(lifetime)) : Effect.fail(fail(guests.loss))
    )

  const { id, userId, languages, isolation } = parts
  return {
    id,
    userId,
    language: parts.language,
    languages,
    isolation,
    runCode,
    streamCode,
    runCommand: () => Effect.fail(fail(noShell)),
    streamCommand: () => Stream.fail(fail(noShell)),
    hasShell: false,
    files: SessionFiles.make({
      provider,
      guests,
      inTurn: lock.withPermit,
      transferBytes: parts.transferBytes,
      fileCount: parts.fileCount
    }),
    createContext,
    interrupt,
    reset,
    extend
  }
})
