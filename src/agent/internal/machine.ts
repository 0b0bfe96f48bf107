/** A session as a model uses it: what it is told is text, and never a word about state that is not true. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { CommandResult, Execution, Language, Session } from "../../sandbox/Sandbox.ts"
import type { SandboxError } from "../../sandbox/SandboxError.ts"
import * as Tell from "./machineWords.ts"

/** What the model is told of one call. */
export interface Told {
  readonly text: string
  /** It could not be done, as the text says. A program that fails is no error: it was run. */
  readonly isError: boolean
}

export interface RunInput {
  readonly code: string
  readonly language?: Language | undefined
  readonly timeout_seconds?: number | undefined
}

export interface CommandInput {
  readonly command: string
  readonly timeout_seconds?: number | undefined
}

/** Gives the session, the same one each time; one that is made now may begin with the language that is asked for. */
export type Open = (language: Language) => Effect.Effect<Session, SandboxError>

export interface Limits {
  /** The language of code that names none. */
  readonly language: Language
  /** One run, where the model does not say. */
  readonly timeout: Duration.Duration
  /** The longest that it may say; `timeout`, where that is longer. */
  readonly maxTimeout: Duration.Duration
  /** The most letters of each part of a result. */
  readonly maxCharacters: number
}

/** Told of each piece of output as it comes. */
export type OnOutput = (text: string) => Effect.Effect<void>

const nobody: OnOutput = () => Effect.void

/** What the model brought about and can do better. */
const isModels = ({ reason }: SandboxError): boolean => {
  switch (reason._tag) {
    case "SessionLost":
    case "FileFailed":
    case "UnsupportedLanguage":
    case "Unsupported":
      return true
    case "LimitExceeded":
      return reason.limit === "codeBytes" || reason.limit === "fileBytes"
    default:
      return false
  }
}

export class Machine {
  private readonly open: Open
  readonly limits: Limits
  private readonly lock = Semaphore.makeUnsafe(1)
  private isLost = false
  /** A call was stopped, of which the next result has to tell. */
  private wasStopped = false

  constructor(open: Open, limits: Limits) {
    this.open = open
    this.limits = { ...limits, maxTimeout: Duration.max(limits.timeout, limits.maxTimeout) }
  }

  readonly runCode = (input: RunInput, onOutput: OnOutput = nobody): Effect.Effect<Told, SandboxError> =>
    this.during(
      Effect.suspend(() => {
        const { code, language = this.limits.language } = input
        const timeout = this.timeoutOf(input)
        let last: Execution | undefined
        const events = this.stream((session) => session.streamCode(code, { language, timeout }), language)
        const ran = Stream.runForEach(events, (event) => {
          if (event.type === "done") last = event.execution
          return event.type === "stdout" || event.type === "stderr" ? onOutput(event.text) : Effect.void
        })
        return Effect.map(ran, () => (last === undefined ? Tell.noEnd : this.executed(last, timeout)))
      })
    )

  readonly runCommand = (input: CommandInput, onOutput: OnOutput = nobody): Effect.Effect<Told, SandboxError> =>
    this.during(
      Effect.suspend(() => {
        const timeout = this.timeoutOf(input)
        let last: CommandResult | undefined
        const events = this.stream((session) => session.streamCommand(input.command, { timeout }))
        const ran = Stream.runForEach(events, (event) => {
          if (event.type === "done") last = event.result
          return event.type === "done" ? Effect.void : onOutput(event.text)
        })
        return Effect.map(ran, () =>
          last === undefined ? Tell.noEnd : Tell.command(last, timeout, this.limits.maxCharacters)
        )
      })
    )

  readonly readFile = ({ path }: { readonly path: string }): Effect.Effect<Told, SandboxError> =>
    this.during(
      Effect.map(
        this.use(({ files }) => files.read(path)),
        (bytes) => Tell.file(bytes, this.limits.maxCharacters)
      )
    )

  readonly writeFile = (input: {
    readonly path: string
    readonly content: string
  }): Effect.Effect<Told, SandboxError> => {
    const { content, path } = input
    return this.during(
      Effect.as(
        this.use(({ files }) => files.write(path, content)),
        Tell.written(path, content)
      )
    )
  }

  readonly listFiles = ({ path }: { readonly path?: string | undefined }): Effect.Effect<Told, SandboxError> =>
    this.during(
      Effect.map(
        this.use(({ files }) => files.list(path)),
        (files) => Tell.listing(files, this.limits.maxCharacters)
      )
    )

  readonly reset = (): Effect.Effect<Told, SandboxError> =>
    this.lock.withPermit(
      Effect.map(this.anew, () => {
        this.isLost = false
        this.wasStopped = false
        return { text: Tell.wasReset, isError: false }
      })
    )

  private use<A>(f: (session: Session) => Effect.Effect<A, SandboxError>): Effect.Effect<A, SandboxError> {
    return Effect.flatMap(this.open(this.limits.language), f)
  }

  private stream<A>(
    f: (session: Session) => Stream.Stream<A, SandboxError>,
    language = this.limits.language
  ): Stream.Stream<A, SandboxError> {
    return Stream.unwrap(Effect.map(this.open(language), f))
  }

  private readonly anew: Effect.Effect<void, SandboxError> = Effect.suspend(() => this.use(({ reset }) => reset))

  private timeoutOf({ timeout_seconds }: { readonly timeout_seconds?: number | undefined }): Duration.Duration {
    const { maxTimeout, timeout } = this.limits
    return timeout_seconds === undefined ? timeout : Duration.min(Duration.seconds(timeout_seconds), maxTimeout)
  }

  private executed(execution: Execution, timeout: Duration.Duration): string {
    if (execution.sessionState === "lost") this.isLost = true
    return Tell.execution(execution, timeout, this.limits.maxCharacters)
  }

  /** A machine that was lost is a fresh one before the next call; the call that lost it has told so. */
  private readonly fresh: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    this.isLost
      ? this.lock.withPermit(
          Effect.suspend(() =>
            this.isLost ? Effect.tap(this.anew, () => Effect.sync(() => (this.isLost = false))) : Effect.void
          )
        )
      : Effect.void
  )

  private during(call: Effect.Effect<string, SandboxError>): Effect.Effect<Told, SandboxError> {
    return Effect.andThen(this.fresh, call).pipe(
      Effect.map((text) => ({ text: this.noted(text), isError: false })),
      Effect.catch((error) => this.failed(error)),
      // Who stopped it hears nothing more of it: the next result says what may be left of it.
      Effect.onInterrupt(() => Effect.sync(() => (this.wasStopped = true)))
    )
  }

  private failed(error: SandboxError): Effect.Effect<Told, SandboxError> {
    if (!isModels(error)) return Effect.fail(error)
    const { reason } = error
    if (reason._tag !== "SessionLost")
      return Effect.succeed({ text: this.noted(`Error: ${reason.message}`), isError: true })
    // Nothing is run again by itself: the call may have had effects outside, such as files that somebody has read.
    this.isLost = true
    this.wasStopped = false
    return Effect.succeed({ text: Tell.lost(reason.why, reason.description), isError: true })
  }

  private noted(text: string): string {
    if (!this.wasStopped) return text
    this.wasStopped = false
    return `${Tell.interrupted}\n\n${text}`
  }
}
