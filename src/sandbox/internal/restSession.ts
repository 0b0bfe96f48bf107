/** A session on a server: one run at a time, its lifetime kept on this side too, a fresh sandbox after `reset`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type {
  CommandOptions,
  Context,
  ContextOptions,
  CreateOptions,
  Execution,
  Language,
  RunOptions,
  Session
} from "../Sandbox.ts"
import { type SandboxError, Unsupported, UnsupportedLanguage } from "../SandboxError.ts"
import type { RestApi } from "./restApi.ts"
import type { Feature } from "./restDecode.ts"
import { type Emit, resultOf, streaming, streamingCommand } from "./restEvents.ts"
import * as RestFiles from "./restFiles.ts"
import type { Machine, Machines } from "./restMachines.ts"
import { type Asked, Run } from "./restRun.ts"

export interface Parts {
  readonly machines: Machines
  readonly created: CreateOptions
  /** What the options say of the server, over what it says itself. */
  readonly features: ReadonlyArray<Feature> | undefined
  readonly languages: ReadonlyArray<Language> | undefined
  readonly runtimeOf: (language: Language) => string
  readonly grace: Duration.Duration
  readonly createTotal: Duration.Duration
  readonly scope: Scope.Scope
}

const defaultTimeout = "30 seconds"

export class RestSession implements Session {
  readonly id: string
  readonly userId: string | undefined
  readonly language: Language
  readonly languages: ReadonlyArray<Language>
  readonly isolation: Session["isolation"]
  readonly hasShell: boolean
  readonly files: Session["files"]
  private readonly parts: Parts
  private readonly features: ReadonlySet<Feature>
  private readonly lock = Semaphore.makeUnsafe(1)
  private machine: Machine
  private run: Run | undefined
  private expiry: Fiber.Fiber<void> | undefined

  private constructor(parts: Parts, machine: Machine) {
    const { created, features, languages } = parts
    const { made } = machine
    this.parts = parts
    this.machine = machine
    this.id = made.id
    this.userId = created.userId
    this.language = created.language ?? "python"
    this.languages = languages ?? made.languages ?? [this.language]
    this.features = new Set(features ?? made.features ?? [])
    this.hasShell = this.features.has("commands")
    this.isolation = { engine: made.engine ?? "remote", process: "remote", os: "remote", network: "remote" }
    this.files = RestFiles.make((operation, use) => this.use("files", operation, use))
  }

  /** The scope's close deletes what the session has on the server. */
  static make(parts: Parts): Effect.Effect<RestSession, SandboxError> {
    const { createTotal, machines, scope } = parts
    return machines.create(bodyOf(parts), createTotal, (machine) => {
      const session = new RestSession(parts, machine)
      const ending = Effect.suspend(() => machines.remove(session.machine))
      return Effect.as(Effect.andThen(Scope.addFinalizer(scope, ending), session.live), session)
    })
  }

  private get alive(): Effect.Effect<Machine, SandboxError> {
    return Effect.suspend(() => {
      const { loss } = this.machine
      return loss === undefined ? Effect.succeed(this.machine) : Effect.fail(loss)
    })
  }

  /** Starts the lifetime, if there is one. */
  private readonly live: Effect.Effect<void> = Effect.suspend(() => {
    const { lifetime } = this.parts.created
    return lifetime === undefined ? Effect.void : this.expireAfter(Duration.fromInputUnsafe(lifetime))
  })

  private expireAfter(lifetime: Duration.Duration): Effect.Effect<void> {
    const { machine } = this
    const description = `its lifetime of ${Duration.format(lifetime)} was over`
    const expiring = Effect.andThen(
      Effect.sleep(lifetime),
      Effect.suspend(() => this.parts.machines.lose(machine, "expired", description))
    )
    return Effect.gen({ self: this }, function* () {
      const before = this.expiry
      this.expiry = yield* Effect.forkIn(expiring, this.parts.scope)
      if (before !== undefined) yield* Fiber.interrupt(before)
    })
  }

  /** Uses the sandbox on the server; what it says of the sandbox's end is remembered. */
  private use<A>(
    feature: Feature | undefined,
    operation: string,
    use: (api: RestApi, id: string) => Effect.Effect<A, SandboxError>
  ): Effect.Effect<A, SandboxError> {
    const { machines } = this.parts
    return Effect.flatMap(this.alive, (machine) => {
      if (feature !== undefined && !this.features.has(feature)) return Effect.fail(this.unsupported(operation))
      return Effect.catch(use(machines.api, machine.made.id), (error) => this.seen(machine, error))
    })
  }

  private seen(machine: Machine, error: SandboxError): Effect.Effect<never, SandboxError> {
    const { reason } = error
    if (machine.loss !== undefined) return Effect.fail(machine.loss)
    if (reason._tag !== "SessionLost") return Effect.fail(error)
    return Effect.andThen(this.parts.machines.lose(machine, reason.why, reason.description), Effect.fail(error))
  }

  private unsupported(operation: string): SandboxError {
    return this.parts.machines.fail(new Unsupported({ operation, description: "the server does not have this" }))
  }

  private refusalOf(language: Language): SandboxError | undefined {
    const { languages } = this
    return languages.includes(language)
      ? undefined
      : this.parts.machines.fail(new UnsupportedLanguage({ language, supported: languages }))
  }

  private execute(asked: Omit<Asked, "grace" | "features">, emit: Emit): Effect.Effect<Execution, SandboxError> {
    const { grace, machines } = this.parts
    const running = Effect.flatMap(this.alive, (machine) => {
      const run = new Run(machines, machine, { ...asked, grace, features: this.features }, emit)
      this.run = run
      return Effect.ensuring(
        run.execution,
        Effect.sync(() => {
          this.run = undefined
        })
      )
    })
    return this.lock.withPermit(running)
  }

  private askedOf(code: string, options: RunOptions): Omit<Asked, "grace" | "features"> {
    const { context, cwd, env } = options
    const timeout = Duration.fromInputUnsafe(options.timeout ?? defaultTimeout)
    const language = options.language ?? context?.language ?? this.language
    const body = {
      code,
      // A server that has one language a sandbox may know no such field.
      language: language === this.language ? undefined : this.parts.runtimeOf(language),
      env,
      cwd: cwd ?? context?.cwd,
      context: context?.id,
      timeoutMillis: this.timeoutField(timeout)
    }
    return { endpoint: "execute", body, timeout }
  }

  private timeoutField(timeout: Duration.Duration): number | undefined {
    return this.features.has("timeout") ? finiteMillis(timeout) : undefined
  }

  private code(code: string, options: RunOptions, emit: Emit): Effect.Effect<Execution, SandboxError> {
    return Effect.suspend(() => {
      const refusal = this.refusalOf(options.language ?? this.language)
      return refusal === undefined ? this.execute(this.askedOf(code, options), emit) : Effect.fail(refusal)
    })
  }

  readonly runCode: Session["runCode"] = (code, options = {}) => this.code(code, options, () => Effect.void)

  readonly streamCode: Session["streamCode"] = (code, options = {}) =>
    streaming((emit) => this.code(code, options, emit))

  private command(command: string, options: CommandOptions, emit: Emit): Effect.Effect<Execution, SandboxError> {
    return Effect.suspend(() => {
      if (!this.hasShell) return Effect.fail(this.unsupported("runCommand"))
      const { cwd, env, stdin } = options
      const timeout = Duration.fromInputUnsafe(options.timeout ?? defaultTimeout)
      const body = {
        command,
        env,
        cwd,
        stdin: typeof stdin === "string" ? stdin : undefined,
        stdinBase64: stdin instanceof Uint8Array ? Buffer.from(stdin).toString("base64") : undefined,
        timeoutMillis: this.timeoutField(timeout)
      }
      return this.execute({ endpoint: "commands", body, timeout }, emit)
    })
  }

  readonly runCommand: Session["runCommand"] = (command, options = {}) =>
    Effect.map(
      this.command(command, options, () => Effect.void),
      resultOf
    )

  readonly streamCommand: Session["streamCommand"] = (command, options = {}) =>
    streamingCommand((emit) => this.command(command, options, emit))

  readonly createContext = (options: ContextOptions = {}): Effect.Effect<Context, SandboxError> => {
    const { cwd, language = this.language } = options
    return Effect.suspend(() => {
      const refusal = this.refusalOf(language)
      if (refusal !== undefined) return Effect.fail(refusal)
      const made = this.use("contexts", "createContext", (api, id) =>
        api.createContext(id, this.parts.runtimeOf(language), cwd)
      )
      return Effect.map(made, (id): Context => ({ id, language, cwd }))
    })
  }

  readonly interrupt: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    Effect.andThen(this.alive, this.run === undefined ? Effect.void : this.run.interrupt)
  )

  readonly reset: Effect.Effect<void, SandboxError> = Effect.suspend(() => {
    const { createTotal, machines, scope } = this.parts
    const fresh = machines.create(bodyOf(this.parts), createTotal, (made) => {
      this.machine = made
      // A scope that has closed meanwhile ends nothing any more.
      return scope.state._tag === "Closed" ? machines.remove(made) : this.live
    })
    const closed = Effect.suspend(() => machines.lose(this.machine, "closed", "its session was reset"))
    // First what runs and what waits for it, then what another reset may have made meanwhile.
    return Effect.andThen(closed, this.lock.withPermit(Effect.andThen(closed, fresh)))
  })

  readonly extend = (lifetime: Duration.Input): Effect.Effect<void, SandboxError> => {
    const duration = Duration.fromInputUnsafe(lifetime)
    const told = this.features.has("lifetime")
      ? this.use(undefined, "extend", (api, id) => api.extend(id, finiteMillis(duration)))
      : Effect.asVoid(this.alive)
    return Effect.andThen(
      told,
      Effect.suspend(() => this.expireAfter(duration))
    )
  }
}

/** JSON has no infinity: it is said by nothing. */
const finiteMillis = (duration: Duration.Duration): number | undefined =>
  Duration.isFinite(duration) ? Duration.toMillis(duration) : undefined

/** Only what is asked for: a server that checks its fields may know `runtime` alone. */
const bodyOf = ({ created, runtimeOf }: Parts): unknown => {
  const { cwd, env, language = "python", lifetime } = created
  const lifetimeMillis = lifetime === undefined ? undefined : finiteMillis(Duration.fromInputUnsafe(lifetime))
  return { runtime: runtimeOf(language), env, cwd, lifetimeMillis }
}
