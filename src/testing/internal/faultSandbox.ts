/** Faults on a `Sandbox`: sessions that cannot be made, and sessions that are lost. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type {
  CommandEvent,
  CommandResult,
  CreateOptions,
  Execution,
  ExecutionEvent,
  RunOptions,
  Sandbox,
  Session
} from "../../sandbox/Sandbox.ts"
import { LimitExceeded, type Reason, SandboxError, SessionLost, Unavailable } from "../../sandbox/SandboxError.ts"
import type { Kind, Plan } from "./faultPlan.ts"

/** What can go wrong while a session is made. */
const ofCreate: ReadonlyArray<Kind> = ["rateLimited", "unavailable", "latency", "refuse", "serverError", "silence"]

/** What can go wrong while code runs. */
const ofRun = ["reset", "stall", "cut", "latency", "garbage"] as const

/** The sandbox, with what the plan deals. */
export const over = (sandbox: Sandbox["Service"], plan: Plan, latency: Duration.Input): Sandbox["Service"] => ({
  create: (options = {}) =>
    Effect.suspend(() => {
      const key = JSON.stringify(["create", options.userId, options.language])
      const created = Effect.map(sandbox.create(options), (session) => {
        plan.answeredUnsafe(key)
        return new FaultySession(session, options, plan, latency)
      })
      const kind = plan.dealUnsafe(key, ofCreate)
      if (kind === undefined) return created
      return kind === "latency" ? Effect.delay(created, latency) : refusal(kind, options)
    })
})

const refusal = (kind: Kind, options: CreateOptions): Effect.Effect<never, SandboxError> => {
  const { createTimeout = "30 seconds" } = options
  switch (kind) {
    case "rateLimited":
      return fail(new LimitExceeded({ limit: "sessions", description: said("too many sessions") }))
    case "serverError":
      return fail(new Unavailable({ description: said("the sandbox cannot start") }))
    case "silence": {
      const description = said(`no session within ${Duration.format(Duration.fromInputUnsafe(createTimeout))}`)
      return Effect.andThen(Effect.sleep(createTimeout), fail(new Unavailable({ description, transient: true })))
    }
    default: {
      const what = kind === "refuse" ? "the connection was refused" : "no capacity"
      return fail(new Unavailable({ description: said(what), transient: true }))
    }
  }
}

/** A session that may be lost; once it is, it stays so until it is reset. */
class FaultySession implements Session {
  readonly id: string
  readonly userId: string | undefined
  readonly language: Session["language"]
  readonly languages: Session["languages"]
  readonly isolation: Session["isolation"]
  readonly hasShell: boolean
  readonly files: Session["files"]
  private readonly session: Session
  private readonly created: CreateOptions
  private readonly plan: Plan
  private readonly latency: Duration.Input
  private lost: SandboxError | undefined

  constructor(session: Session, created: CreateOptions, plan: Plan, latency: Duration.Input) {
    this.id = session.id
    this.userId = session.userId
    this.language = session.language
    this.languages = session.languages
    this.isolation = session.isolation
    this.hasShell = session.hasShell
    this.session = session
    this.created = created
    this.plan = plan
    this.latency = latency
    this.files = this.guarded(session.files)
  }

  /** The same, while the session is there. */
  private kept<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SandboxError, R> {
    return Effect.suspend((): Effect.Effect<A, E | SandboxError, R> =>
      this.lost === undefined ? self : Effect.fail(this.lost)
    )
  }

  private guarded(files: Session["files"]): Session["files"] {
    return {
      read: (path) => this.kept(files.read(path)),
      readText: (path) => this.kept(files.readText(path)),
      write: (path, data) => this.kept(files.write(path, data)),
      list: (path) => this.kept(files.list(path)),
      remove: (path) => this.kept(files.remove(path)),
      upload: (path, data) => this.kept(files.upload(path, data)),
      download: (path) => Stream.unwrap(this.kept(Effect.succeed(files.download(path))))
    }
  }

  private whole<A>(
    key: ReadonlyArray<unknown>,
    run: Effect.Effect<A, SandboxError>,
    hang: Effect.Effect<A>
  ): Effect.Effect<A, SandboxError> {
    return Effect.suspend(() => {
      if (this.lost !== undefined) return Effect.fail(this.lost)
      const { answered, kind } = this.deal(key)
      if (kind === undefined) return Effect.tap(run, answered)
      if (kind === "latency") return Effect.delay(Effect.tap(run, answered), this.latency)
      if (kind === "stall") return hang
      return kind === "reset" ? this.lose(kind) : Effect.andThen(run, this.lose(kind))
    })
  }

  private streamed<A extends { readonly type: string }>(
    key: ReadonlyArray<unknown>,
    events: Stream.Stream<A, SandboxError>,
    hang: Effect.Effect<A>
  ): Stream.Stream<A, SandboxError> {
    return Stream.suspend(() => {
      if (this.lost !== undefined) return Stream.fail(this.lost)
      const { answered, kind } = this.deal(key)
      const whole = Stream.tap(events, ({ type }) => (type === "done" ? answered : Effect.void))
      if (kind === undefined) return whole
      if (kind === "latency") return Stream.unwrap(Effect.delay(Effect.succeed(whole), this.latency))
      if (kind === "stall") return Stream.fromEffect(hang)
      const before = Stream.takeWhile(events, ({ type }) => type !== "done")
      const said = kind === "reset" ? Stream.empty : kind === "garbage" ? Stream.drain(before) : before
      return Stream.concat(said, Stream.fromEffect(this.lose(kind)))
    })
  }

  private keyOf(code: string, { language = this.created.language }: RunOptions): ReadonlyArray<unknown> {
    return ["run", language, code]
  }

  runCode: Session["runCode"] = (code, options = {}) =>
    this.whole(this.keyOf(code, options), this.session.runCode(code, options), this.hang(options))

  streamCode: Session["streamCode"] = (code, options = {}) => {
    const hang = Effect.map(this.hang(options), (execution): ExecutionEvent => ({ type: "done", execution }))
    return this.streamed(this.keyOf(code, options), this.session.streamCode(code, options), hang)
  }

  runCommand: Session["runCommand"] = (command, options = {}) =>
    this.whole(
      ["command", command],
      this.session.runCommand(command, options),
      Effect.map(this.hang(options), resultOf)
    )

  streamCommand: Session["streamCommand"] = (command, options = {}) => {
    const hang = Effect.map(this.hang(options), (execution): CommandEvent => ({
      type: "done",
      result: resultOf(execution)
    }))
    return this.streamed(["command", command], this.session.streamCommand(command, options), hang)
  }

  createContext: Session["createContext"] = (options) => this.kept(this.session.createContext(options))

  extend: Session["extend"] = (lifetime) => this.kept(this.session.extend(lifetime))

  readonly interrupt: Session["interrupt"] = this.kept(Effect.suspend(() => this.session.interrupt))

  readonly reset: Session["reset"] = Effect.tap(
    Effect.suspend(() => this.session.reset),
    () =>
      Effect.sync(() => {
        this.lost = undefined
      })
  )

  private deal(parts: ReadonlyArray<unknown>) {
    const key = JSON.stringify(parts)
    const answered = Effect.sync(() => this.plan.answeredUnsafe(key))
    return { answered, kind: this.plan.dealUnsafe(key, ofRun) }
  }

  private lose(kind: "reset" | "cut" | "garbage"): Effect.Effect<never, SandboxError> {
    return Effect.suspend(() => {
      this.lost = failure(new SessionLost({ why: whys[kind], description: said(losses[kind]) }))
      return Effect.fail(this.lost)
    })
  }

  /** The code hangs and is killed at its timeout; the session is lost from then on, or from when it is given up. */
  private hang(options: Pick<RunOptions, "timeout">): Effect.Effect<Execution> {
    return Effect.suspend(() => {
      const timeout = Duration.fromInputUnsafe(options.timeout ?? "30 seconds")
      return Effect.sleep(timeout).pipe(
        Effect.as(timedOut(Duration.toMillis(timeout))),
        Effect.ensuring(
          Effect.sync(() => {
            this.lost = failure(new SessionLost({ why: "killed", description: said("killed at its timeout") }))
          })
        )
      )
    })
  }
}

const resultOf = (execution: Execution): CommandResult => {
  const { durationMillis, exitCode, outcome, stderr, stdout, truncated } = execution
  return { outcome, exitCode, stdout, stderr, durationMillis, truncated }
}

const timedOut = (durationMillis: number): Execution => ({
  outcome: "timedOut",
  stdout: "",
  stderr: "",
  results: [],
  error: { name: "TimeoutError", value: said("the code hangs"), traceback: "" },
  exitCode: 124,
  durationMillis,
  memoryBytes: 0,
  sessionState: "lost",
  truncated: false
})

const said = (what: string): string => `injected fault: ${what}`
const failure = (reason: Reason): SandboxError => new SandboxError({ provider: "fault", reason })
const fail = (reason: Reason): Effect.Effect<never, SandboxError> => Effect.fail(failure(reason))

const whys = { reset: "crashed", cut: "killed", garbage: "protocol" } as const
const losses = {
  reset: "the guest crashed before the code ran",
  cut: "the guest was killed before the run's end was told",
  garbage: "the guest's answer is not valid"
}
