/** A session that runs nothing: replies to its runs and commands come from a script, all else is done in memory. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type {
  CommandOptions,
  CommandResult,
  Context,
  ContextOptions,
  CreateOptions,
  Execution,
  ExecutionEvent,
  Language,
  RunOptions,
  Session
} from "../../sandbox/Sandbox.ts"
import { type Reason, SandboxError, SessionLost, Unsupported, UnsupportedLanguage } from "../../sandbox/SandboxError.ts"
import { type Emit, resultOf, streaming, streamingCommand } from "../../sandbox/internal/restEvents.ts"
import { home, resolve, ScriptedFiles } from "./scriptedFiles.ts"

/** One run, as the sandbox got it. */
export interface Run {
  readonly sessionId: string
  readonly code: string
  readonly language: Language
  readonly options: RunOptions
}

/** One command, as the sandbox got it. */
export interface Command {
  readonly sessionId: string
  readonly command: string
  readonly options: CommandOptions
}

/** What a program can do before it ends. */
export interface Means {
  /** The session's environment, and the run's over it. */
  readonly env: Readonly<Record<string, string>>
  /** Absolute. */
  readonly cwd: string
  readonly files: Session["files"]
  /** Prints before the reply does, to streams at once. */
  readonly print: (text: string, stream?: "stdout" | "stderr") => Effect.Effect<void>
}

/** What a session is told of its double. */
export interface Script {
  readonly languages: ReadonlyArray<Language>
  readonly files: Readonly<Record<string, string | Uint8Array>>
  readonly run: (run: Run, means: Means) => Effect.Effect<Partial<Execution>, SandboxError>
  /** `undefined` where there is no shell. */
  readonly command:
    | ((command: Command, means: Means) => Effect.Effect<Partial<CommandResult>, SandboxError>)
    | undefined
  readonly onContext: (sessionId: string, context: Context) => Effect.Effect<void>
  readonly onInterrupt: (sessionId: string) => Effect.Effect<void>
  readonly onReset: (sessionId: string) => Effect.Effect<void>
  readonly onExtend: (sessionId: string, lifetime: Duration.Duration) => Effect.Effect<void>
}

const fail = (reason: Reason): SandboxError => new SandboxError({ provider: "test", reason })

const success: Execution = {
  outcome: "ok",
  stdout: "",
  stderr: "",
  results: [],
  exitCode: 0,
  durationMillis: 1,
  memoryBytes: 0,
  sessionState: "kept",
  truncated: false
}

const timedOut = (timeout: Duration.Duration): Partial<Execution> => ({
  outcome: "timedOut",
  exitCode: 124,
  error: { name: "TimeoutError", value: `no reply within ${Duration.format(timeout)}`, traceback: "" }
})

export class ScriptedSession implements Session {
  readonly id: string
  readonly userId: string | undefined
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Session["isolation"] = { engine: "test", process: "none", os: "none", network: "none" }
  readonly hasShell: boolean
  readonly files: ScriptedFiles
  private readonly created: CreateOptions
  private readonly script: Script
  private readonly scope: Scope.Scope
  private readonly lock = Semaphore.makeUnsafe(1)
  private lost = Deferred.makeUnsafe<never, SandboxError>()
  private loss: SandboxError | undefined
  private expiry: Fiber.Fiber<void> | undefined
  private running: Deferred.Deferred<void> | undefined
  private contexts = 0

  private constructor(id: string, created: CreateOptions, script: Script, scope: Scope.Scope) {
    this.id = id
    this.userId = created.userId
    this.language = created.language ?? "python"
    this.languages = script.languages
    this.hasShell = script.command !== undefined
    this.created = created
    this.script = script
    this.scope = scope
    this.files = new ScriptedFiles(script.files, this.alive, fail)
  }

  static make(
    id: string,
    created: CreateOptions,
    script: Script
  ): Effect.Effect<ScriptedSession, SandboxError, Scope.Scope> {
    return Effect.gen(function* () {
      const session = new ScriptedSession(id, created, script, yield* Scope.Scope)
      yield* session.speaks(session.language)
      yield* session.live
      return session
    })
  }

  private readonly alive: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    this.loss === undefined ? Effect.void : Effect.fail(this.loss)
  )

  private readonly live: Effect.Effect<void> = Effect.suspend(() => {
    const { lifetime } = this.created
    if (lifetime !== undefined) return this.expireAfter(Duration.fromInputUnsafe(lifetime))
    // A machine that a reset gives has none, whatever the one before it was extended to.
    const { expiry } = this
    this.expiry = undefined
    return expiry === undefined ? Effect.void : Fiber.interrupt(expiry)
  })

  private expireAfter(lifetime: Duration.Duration): Effect.Effect<void> {
    const expiring = Effect.andThen(
      Effect.sleep(lifetime),
      Effect.sync(() => {
        this.loss = fail(new SessionLost({ why: "expired", description: "its lifetime was over" }))
        Deferred.doneUnsafe(this.lost, Effect.fail(this.loss))
      })
    )
    return Effect.gen({ self: this }, function* () {
      const before = this.expiry
      this.expiry = yield* Effect.forkIn(expiring, this.scope)
      if (before !== undefined) yield* Fiber.interrupt(before)
    })
  }

  private speaks(language: Language): Effect.Effect<void, SandboxError> {
    const { languages } = this
    return languages.includes(language)
      ? Effect.void
      : Effect.fail(fail(new UnsupportedLanguage({ language, supported: languages })))
  }

  private meansOf(options: CommandOptions & RunOptions, print: Means["print"]): Means {
    const { created, files } = this
    const cwd = resolve(options.cwd ?? options.context?.cwd ?? created.cwd ?? home, home)
    return { env: { ...created.env, ...options.env }, cwd, files, print }
  }

  /** One reply, under the run's timeout and whatever ends the session. */
  private execute(
    options: CommandOptions & RunOptions,
    emit: Emit,
    reply: (means: Means) => Effect.Effect<Partial<Execution>, SandboxError>
  ): Effect.Effect<Execution, SandboxError> {
    const executed = Effect.suspend(() => {
      const printed = { stdout: "", stderr: "" }
      const print: Means["print"] = (text, stream = "stdout") =>
        Effect.suspend(() => {
          printed[stream] += text
          return Effect.asVoid(emit({ type: stream, text }))
        })
      const timeout = Duration.fromInputUnsafe(options.timeout ?? "30 seconds")
      const stop = Deferred.makeUnsafe<void>()
      this.running = stop
      const ended = Effect.raceAllFirst([
        reply(this.meansOf(options, print)),
        Effect.as(Effect.sleep(timeout), timedOut(timeout)),
        Effect.as(Deferred.await(stop), { outcome: "interrupted" as const, exitCode: 130 }),
        Deferred.await(this.lost)
      ])
      return Effect.ensuring(
        Effect.flatMap(ended, (reply) => this.told(reply, printed, emit)),
        Effect.sync(() => {
          this.running = undefined
        })
      )
    })
    return this.lock.withPermit(Effect.andThen(this.alive, executed))
  }

  /** What was printed has been told; what the reply has more is told now. */
  private told(
    reply: Partial<Execution>,
    printed: Pick<Execution, "stdout" | "stderr">,
    emit: Emit
  ): Effect.Effect<Execution> {
    const { results = [], stderr = "", stdout = "" } = reply
    const execution = {
      ...success,
      ...reply,
      stdout: printed.stdout + stdout,
      stderr: printed.stderr + stderr
    }
    const events: ReadonlyArray<ExecutionEvent> = [
      ...(stdout === "" ? [] : [{ type: "stdout" as const, text: stdout }]),
      ...(stderr === "" ? [] : [{ type: "stderr" as const, text: stderr }]),
      ...results.map((result) => ({ type: "result" as const, result })),
      { type: "done", execution }
    ]
    return Effect.as(Effect.forEach(events, emit, { discard: true }), execution)
  }

  private run(code: string, options: RunOptions, emit: Emit): Effect.Effect<Execution, SandboxError> {
    const language = options.language ?? options.context?.language ?? this.language
    const run = { sessionId: this.id, code, language, options }
    const executed = this.execute(options, emit, (means) => this.script.run(run, means))
    return Effect.andThen(this.speaks(language), executed)
  }

  readonly runCode: Session["runCode"] = (code, options = {}) => this.run(code, options, () => Effect.void)

  readonly streamCode: Session["streamCode"] = (code, options = {}) =>
    streaming((emit) => this.run(code, options, emit))

  private command(command: string, options: CommandOptions, emit: Emit): Effect.Effect<Execution, SandboxError> {
    const { command: reply } = this.script
    const description = "no commands are scripted"
    if (reply === undefined) return Effect.fail(fail(new Unsupported({ operation: "runCommand", description })))
    return this.execute(options, emit, (means) => reply({ sessionId: this.id, command, options }, means))
  }

  readonly runCommand: Session["runCommand"] = (command, options = {}) =>
    Effect.map(
      this.command(command, options, () => Effect.void),
      resultOf
    )

  readonly streamCommand: Session["streamCommand"] = (command, options = {}) =>
    streamingCommand((emit) => this.command(command, options, emit))

  readonly createContext = ({ cwd = this.created.cwd, language = this.language }: ContextOptions = {}): Effect.Effect<
    Context,
    SandboxError
  > =>
    Effect.gen({ self: this }, function* () {
      yield* this.alive
      yield* this.speaks(language)
      const context: Context = { id: `${this.id}-context-${++this.contexts}`, language, cwd }
      yield* this.script.onContext(this.id, context)
      return context
    })

  readonly interrupt: Effect.Effect<void, SandboxError> = Effect.suspend(() => {
    if (this.running !== undefined) Deferred.doneUnsafe(this.running, Effect.void)
    return Effect.andThen(this.alive, this.script.onInterrupt(this.id))
  })

  readonly reset: Effect.Effect<void, SandboxError> = Effect.suspend(() => {
    const closed = fail(new SessionLost({ why: "closed", description: "its session was reset" }))
    Deferred.doneUnsafe(this.lost, Effect.fail(closed))
    this.lost = Deferred.makeUnsafe()
    this.loss = undefined
    this.files.clear()
    return Effect.andThen(this.live, this.script.onReset(this.id))
  })

  readonly extend = (lifetime: Duration.Input): Effect.Effect<void, SandboxError> => {
    const duration = Duration.fromInputUnsafe(lifetime)
    return this.alive.pipe(
      Effect.andThen(this.expireAfter(duration)),
      Effect.andThen(this.script.onExtend(this.id, duration))
    )
  }
}
