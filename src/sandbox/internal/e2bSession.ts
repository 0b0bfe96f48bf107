/** A session on a sandbox of E2B: one run at a time, commands and files beside it, and another machine by `reset`. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type {
  CommandEvent,
  CommandOptions,
  Context,
  ContextOptions,
  ExecutionEvent,
  Isolation,
  Language,
  RunOptions,
  Session
} from "../Sandbox.ts"
import {
  FileFailed,
  LimitExceeded,
  type SandboxError,
  SessionLost,
  Unsupported,
  UnsupportedLanguage
} from "../SandboxError.ts"
import * as Command from "./e2bCommand.ts"
import { refuse } from "./e2bError.ts"
import * as Files from "./e2bFiles.ts"
import { type Kernel, Kernels } from "./e2bKernels.ts"
import type { Machine } from "./e2bMachine.ts"
import type { Limits } from "./e2bOutput.ts"
import * as Run from "./e2bRun.ts"
import * as Variables from "./e2bVariables.ts"

/** What a session is made of. */
export interface Parts {
  readonly userId: string | undefined
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Isolation
  /** Variables that the machine does not have from its making. */
  readonly env: Variables.Variables
  readonly cwd: string | undefined
  readonly grace: Duration.Duration
  readonly limits: Limits & { readonly codeBytes: number }
  readonly machine: Machine
  /** Makes another machine, in the place of one that is killed. Absent where the machine is not the session's own. */
  readonly replace: ((old: Machine) => Effect.Effect<Machine, SandboxError>) | undefined
  /** The session's own. */
  readonly scope: Scope.Scope
}

const notOwn = new Unsupported({
  operation: "reset",
  description: "the sandbox is not the session's own; `create` makes one that can be reset"
})

type Stop = Deferred.Deferred<void>

class E2bSession {
  readonly parts: Parts
  kernels: Kernels
  private readonly lock = Semaphore.makeUnsafe(1)
  private readonly running = new Set<Stop>()

  constructor(parts: Parts) {
    this.parts = parts
    this.kernels = new Kernels(parts.machine)
  }

  get machine(): Machine {
    return this.kernels.machine
  }

  private checked(language: Language): Effect.Effect<Language, SandboxError> {
    const { languages } = this.parts
    return languages.includes(language)
      ? Effect.succeed(language)
      : Effect.fail(refuse(new UnsupportedLanguage({ language, supported: languages })))
  }

  /** The context of a run. Contexts are gone with their machine. */
  private kernelOf({
    context,
    language = context?.language ?? this.parts.language
  }: RunOptions): Effect.Effect<Kernel, SandboxError> {
    return Effect.flatMap(this.checked(language), () => {
      if (context === undefined) return this.kernels.ofLanguage(language)
      const kernel = this.kernels.named(context.id)
      const gone = new SessionLost({ why: "closed", description: `the session has no context ${context.id} any more` })
      return kernel === undefined ? Effect.fail(refuse(gone)) : Effect.succeed(kernel)
    })
  }

  /** Lets `self` be interrupted by `interrupt`. */
  private stoppable<A>(self: (stop: Stop) => Effect.Effect<A, SandboxError>): Effect.Effect<A, SandboxError> {
    return Effect.suspend(() => {
      const stop = Deferred.makeUnsafe<void>()
      this.running.add(stop)
      return Effect.ensuring(
        self(stop),
        Effect.sync(() => this.running.delete(stop))
      )
    })
  }

  execute(code: string, options: RunOptions, emit: (event: ExecutionEvent) => void) {
    const { codeBytes } = this.parts.limits
    if (Buffer.byteLength(code) > codeBytes) {
      const description = `the code is longer than ${codeBytes} bytes`
      return Effect.fail(refuse(new LimitExceeded({ limit: "codeBytes", description })))
    }
    const run = this.alone((use) =>
      Effect.gen({ self: this }, function* () {
        const { kernels, parts } = this
        yield* kernels.machine.alive
        const env = yield* this.variables(options.env)
        const kernel = yield* this.kernelOf(options)
        if (kernel.loss !== undefined) return yield* Effect.fail(refuse(kernel.loss))
        use(kernel)
        const settings = {
          kernels,
          kernel,
          code,
          env: Variables.forCode(env, kernel.language),
          cwd: options.cwd ?? options.context?.cwd ?? parts.cwd ?? kernel.home,
          timeout: Duration.fromInputUnsafe(options.timeout ?? "30 seconds"),
          grace: parts.grace,
          limits: parts.limits,
          emit
        }
        return yield* this.stoppable((stop) => Run.run({ ...settings, stop }))
      })
    )
    return Effect.andThen(
      Effect.suspend(() => this.machine.alive),
      run
    )
  }

  /** One run at a time. Who leaves a run behind that may go on keeps the others waiting until it has ended, and waits for nothing. */
  private alone<A>(
    self: (use: (kernel: Kernel) => void) => Effect.Effect<A, SandboxError>
  ): Effect.Effect<A, SandboxError> {
    const { lock, parts } = this
    const free = lock.release(1)
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        let kernel: Kernel | undefined
        const started = restore(self((used) => (kernel = used)))
        const settling = (kernel: Kernel): Effect.Effect<unknown> => {
          const settled = Effect.interruptible(this.kernels.settle(kernel, parts.grace))
          // Begun at once, so that it gives the place back whenever the session closes.
          return Effect.forkIn(Effect.ensuring(settled, free), parts.scope, { startImmediately: true })
        }
        const left = (): Effect.Effect<unknown> =>
          Effect.matchEffect(this.machine.alive, {
            onFailure: () => free,
            onSuccess: () => (kernel === undefined ? free : settling(kernel))
          })
        const after = Effect.onExit(started, (exit) => {
          if (Exit.isSuccess(exit)) return free
          const { reasons } = exit.cause
          const failed = reasons.find((reason) => reason._tag === "Fail")
          return failed !== undefined && !Run.mayRun(failed.error) ? free : left()
        })
        return Effect.andThen(restore(lock.take(1)), after)
      })
    )
  }

  private variables(env: Variables.Variables | undefined): Effect.Effect<Variables.Variables, SandboxError> {
    const all = { ...this.parts.env, ...env }
    return Effect.mapError(Effect.fromResult(Variables.checked(all)), refuse)
  }

  command(command: string, options: CommandOptions, emit: (event: CommandEvent) => void) {
    return Effect.flatMap(this.variables(options.env), (env) =>
      this.stoppable((stop) => {
        const { machine, parts } = this
        const { outputBytes } = parts.limits
        return Command.run({ machine, command, options, cwd: options.cwd ?? parts.cwd, env, outputBytes, stop, emit })
      })
    )
  }

  createContext({ cwd, language = this.parts.language }: ContextOptions): Effect.Effect<Context, SandboxError> {
    const wanted = cwd ?? this.parts.cwd
    const { kernels } = this
    return Effect.gen({ self: this }, function* () {
      yield* this.checked(language)
      const kernel = yield* kernels.create(language, true)
      // The server accepts any folder without a word, so it is gone to by a program, which fails.
      const error = wanted === undefined ? undefined : yield* kernels.move(kernel, wanted)
      if (error === undefined) return { id: kernel.id, language, cwd: wanted }
      yield* kernels.drop(kernel)
      const description = `${error.name}: ${error.value}`
      return yield* Effect.fail(refuse(new FileFailed({ path: wanted ?? "", why: "notFound", description })))
    })
  }

  readonly interrupt: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach([...this.running], (stop) => Deferred.succeed(stop, undefined), { discard: true })
  )

  readonly reset: Effect.Effect<void, SandboxError> = Effect.suspend(() => {
    const { lock, parts } = this
    const { replace } = parts
    if (replace === undefined) return Effect.fail(refuse(notOwn))
    // What waits for its turn does not run any more.
    this.machine.lose(new SessionLost({ why: "closed", description: "its session was reset" }))
    // Another reset may have made a machine meanwhile.
    const replaced = Effect.tap(
      Effect.suspend(() => replace(this.machine)),
      (fresh) =>
        Effect.sync(() => {
          this.kernels = new Kernels(fresh)
        })
    )
    return Effect.andThen(this.interrupt, Effect.asVoid(lock.withPermit(replaced)))
  })
}

/** Events of something that tells its end by a last one. */
const streamed = <Event>(start: (emit: (event: Event) => void) => Effect.Effect<unknown, SandboxError>) =>
  // Unbounded, and bounded all the same: output and results have limits.
  Stream.callback<Event, SandboxError>(
    (queue) =>
      start((event) => Queue.offerUnsafe(queue, event)).pipe(
        Effect.matchCauseEffect({
          onFailure: (cause) => Queue.failCause(queue, cause),
          onSuccess: () => Queue.end(queue)
        })
      ),
    { bufferSize: Number.POSITIVE_INFINITY }
  )

export const make = (parts: Parts): Session => {
  const session = new E2bSession(parts)
  const { isolation, language, languages, userId } = parts
  const nothing = () => undefined
  return {
    id: parts.machine.id,
    userId,
    language,
    languages,
    isolation,
    hasShell: true,
    runCode: Effect.fn("E2bSandbox.runCode")((code: string, options: RunOptions = {}) =>
      session.execute(code, options, nothing)
    ),
    streamCode: (code, options = {}) => streamed((emit) => session.execute(code, options, emit)),
    runCommand: Effect.fn("E2bSandbox.runCommand")((command: string, options: CommandOptions = {}) =>
      session.command(command, options, nothing)
    ),
    streamCommand: (command, options = {}) => streamed((emit) => session.command(command, options, emit)),
    files: Files.make(() => session.machine),
    createContext: (options = {}) => session.createContext(options),
    interrupt: session.interrupt,
    reset: session.reset,
    extend: (lifetime) => Effect.suspend(() => session.machine.extend(Duration.fromInputUnsafe(lifetime)))
  }
}
