/** The machine of a session: which processes it has now, what runs on them, and whose variables a run sees. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Semaphore from "effect/Semaphore"
import type { Context, Isolation, Language, RunOptions } from "../Sandbox.ts"
import { LimitExceeded, SandboxError, SessionLost, UnsupportedLanguage } from "../SandboxError.ts"
import type { KernelLanguage, Run } from "./processFrame.ts"
import type { Exchange, Guest } from "./processGuest.ts"
import { supervise } from "./processRun.ts"

/** What a session is made of. */
export interface Parts {
  readonly id: string
  readonly userId: string | undefined
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly hasShell: boolean
  readonly isolation: Isolation
  readonly cwd: string | undefined
  readonly lifetime: Duration.Duration
  /** Starts a machine; the caller kills it. */
  readonly boot: Effect.Effect<Guest, SandboxError>
  readonly grace: Duration.Duration
  readonly maxTimeout: Duration.Duration
  readonly codeBytes: number
  readonly transferBytes: number
  readonly fileCount: number
}

export const provider = "process"

/** Interpreters of one session: 20 MB each for Python, 60 for Node. */
const maxContexts = 16

/** An interpreter starts in a tenth of a second; this is for a machine that does much else. */
const startTimeout = Duration.seconds(30)

export const fail = (reason: SandboxError["reason"]): SandboxError => new SandboxError({ provider, reason })

export const kernelOf = (language: Language): KernelLanguage =>
  language === "python" || language === "bash" ? language : "javascript"

/** The machine of a session, and what runs on it. */
export class Machine {
  guest: Guest
  readonly lock: Semaphore.Semaphore
  readonly contexts = new Map<string, Context>()
  /** The interpreters that have started. */
  private readonly kernels = new Set<string>()
  private readonly parts: Parts
  private made = 0
  private isClosed = false
  private current: { readonly stop: Deferred.Deferred<void>; readonly over: Deferred.Deferred<void> } | undefined

  constructor(parts: Parts, guest: Guest, lock: Semaphore.Semaphore) {
    this.parts = parts
    this.guest = guest
    this.lock = lock
  }

  /** Does one thing after another; `interrupt` stops what is being done. */
  inTurn<A>(work: (stop: Deferred.Deferred<void>) => Effect.Effect<A, SandboxError>): Effect.Effect<A, SandboxError> {
    return this.lock.withPermit(
      Effect.suspend(() => {
        if (this.guest.loss !== undefined) return Effect.fail(fail(this.guest.loss))
        const mine = { stop: Deferred.makeUnsafe<void>(), over: Deferred.makeUnsafe<void>() }
        this.current = mine
        return Effect.ensuring(
          work(mine.stop),
          Effect.sync(() => {
            this.current = undefined
            Deferred.doneUnsafe(mine.over, Effect.void)
          })
        )
      })
    )
  }

  /** Also what a reset is just starting. */
  readonly close = Effect.suspend(() => {
    this.isClosed = true
    return this.guest.kill("closed", "its session was closed")
  })

  /** The interpreter of the session's own language, which somebody is going to use. */
  readonly warm = Effect.suspend(() => {
    const language = kernelOf(this.parts.language)
    const run = { t: "run", kernel: `${language} `, language, isTyped: false } as const
    return this.start(run, Deferred.makeUnsafe<void>())
  })

  /** Uninterruptible: while the machine changes hands, nobody else would kill the new one. */
  readonly renew = Effect.suspend(() => this.parts.boot).pipe(
    Effect.tap((guest) => {
      this.guest = guest
      this.contexts.clear()
      this.kernels.clear()
      return this.isClosed ? this.close : Effect.void
    }),
    Effect.uninterruptible
  )

  readonly interrupt = Effect.suspend(() => {
    const { current } = this
    return current === undefined
      ? Effect.void
      : Effect.andThen(Deferred.succeed(current.stop, undefined), Deferred.await(current.over))
  })

  /** Supervises, and measures. */
  readonly attend = Effect.fnUntraced(function* (
    this: Machine,
    exchange: Exchange,
    timeout: Duration.Duration,
    stop: Deferred.Deferred<void>,
    isCommand: boolean
  ) {
    const { grace } = this.parts
    const started = yield* Clock.currentTimeMillis
    const ending = yield* Effect.mapError(supervise(this.guest, exchange, { timeout, grace, stop, isCommand }), fail)
    return { ending, durationMillis: (yield* Clock.currentTimeMillis) - started }
  })

  /**
   * Starts an interpreter by an empty run, so that no program's time goes into it. Gives how that was stopped, where
   * it was.
   */
  readonly start = Effect.fnUntraced(function* (
    this: Machine,
    run: Pick<Run, "t" | "kernel" | "language" | "isTyped">,
    stop: Deferred.Deferred<void>
  ) {
    if (this.kernels.has(run.kernel)) return undefined
    const empty = { ...run, code: "", env: {}, cwd: this.guest.home }
    const attended = yield* this.attend(
      this.guest.send(empty, () => undefined),
      startTimeout,
      stop,
      false
    )
    if (attended.ending.stopped !== undefined) return attended
    this.kernels.add(run.kernel)
    return undefined
  })

  timeout(asked: Duration.Input | undefined): Duration.Duration {
    return Duration.min(Duration.fromInputUnsafe(asked ?? "30 seconds"), this.parts.maxTimeout)
  }

  isKnown(language: Language): boolean {
    return this.parts.languages.includes(language)
  }

  unknown(language: string): SandboxError {
    return fail(new UnsupportedLanguage({ language, supported: this.parts.languages }))
  }

  refuseLong(text: string): Effect.Effect<void, SandboxError> {
    const { codeBytes } = this.parts
    return Buffer.byteLength(text) <= codeBytes
      ? Effect.void
      : Effect.fail(
          fail(new LimitExceeded({ limit: "codeBytes", description: `the code is longer than ${codeBytes} bytes` }))
        )
  }

  /** Makes a context; its interpreter starts with its first run. */
  createContext(language: Language, cwd: string | undefined): Effect.Effect<Context, SandboxError> {
    return Effect.suspend(() => {
      if (!this.isKnown(language)) return Effect.fail(this.unknown(language))
      if (this.guest.loss !== undefined) return Effect.fail(fail(this.guest.loss))
      if (this.contexts.size >= maxContexts)
        return Effect.fail(
          fail(new LimitExceeded({ limit: "contexts", description: `a session has ${maxContexts} contexts at most` }))
        )
      // Never used again, so that no context from before a reset is taken for another.
      const context: Context = { id: String(++this.made), language, cwd }
      this.contexts.set(context.id, context)
      return Effect.succeed(context)
    })
  }

  /** Which variables a run sees. */
  find({ context, language }: RunOptions): Effect.Effect<Context, SandboxError> {
    return Effect.suspend(() => {
      const wanted = language ?? context?.language ?? this.parts.language
      if (!this.isKnown(wanted)) return Effect.fail(this.unknown(wanted))
      if (context === undefined) return Effect.succeed({ id: "", language: wanted, cwd: undefined })
      const known = this.contexts.get(context.id)
      if (known === undefined)
        return Effect.fail(
          fail(new SessionLost({ why: "gone", description: `context ${context.id} is not of this session any more` }))
        )
      if (kernelOf(known.language) !== kernelOf(wanted))
        return Effect.fail(
          fail(new UnsupportedLanguage({ language: wanted, supported: [`${known.language} in this context`] }))
        )
      return Effect.succeed({ ...known, language: wanted })
    })
  }

  /** Where something runs that says nothing else. */
  cwd(...asked: ReadonlyArray<string | undefined>): string {
    return asked.find((path) => path !== undefined) ?? this.parts.cwd ?? this.guest.home
  }
}
