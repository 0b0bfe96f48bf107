/** Faults on a `Sandbox`: sessions that cannot be made, and sessions that are lost. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CreateOptions, Execution, ExecutionEvent, RunOptions, Sandbox, Session } from "../../sandbox/Sandbox.ts"
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

/** A session that may be lost; once it is, it stays so. */
class FaultySession implements Session {
  readonly id: string
  readonly userId: string | undefined
  readonly languages: Session["languages"]
  readonly isolation: Session["isolation"]
  private readonly session: Session
  private readonly created: CreateOptions
  private readonly plan: Plan
  private readonly latency: Duration.Input
  private lost: SandboxError | undefined

  constructor(session: Session, created: CreateOptions, plan: Plan, latency: Duration.Input) {
    this.id = session.id
    this.userId = session.userId
    this.languages = session.languages
    this.isolation = session.isolation
    this.session = session
    this.created = created
    this.plan = plan
    this.latency = latency
  }

  runCode: Session["runCode"] = (code, options = {}) =>
    Effect.suspend(() => {
      if (this.lost !== undefined) return Effect.fail(this.lost)
      const { answered, kind } = this.deal(code, options)
      const run = this.session.runCode(code, options)
      if (kind === undefined) return Effect.tap(run, answered)
      if (kind === "latency") return Effect.delay(Effect.tap(run, answered), this.latency)
      if (kind === "stall") return this.hang(options)
      return kind === "reset" ? this.lose(kind) : Effect.andThen(run, this.lose(kind))
    })

  streamCode: Session["streamCode"] = (code, options = {}) =>
    Stream.suspend(() => {
      if (this.lost !== undefined) return Stream.fail(this.lost)
      const { answered, kind } = this.deal(code, options)
      const events = this.session.streamCode(code, options)
      const whole = Stream.tap(events, ({ type }) => (type === "done" ? answered : Effect.void))
      if (kind === undefined) return whole
      if (kind === "latency") return Stream.unwrap(Effect.delay(Effect.succeed(whole), this.latency))
      if (kind === "stall") return Stream.fromEffect(Effect.map(this.hang(options), doneWith))
      const before = Stream.takeWhile(events, ({ type }) => type !== "done")
      const said = kind === "reset" ? Stream.empty : kind === "garbage" ? Stream.drain(before) : before
      return Stream.concat(said, Stream.fromEffect(this.lose(kind)))
    })

  private deal(code: string, options: RunOptions) {
    const key = JSON.stringify(["run", options.language ?? this.created.language, code])
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
  private hang(options: RunOptions): Effect.Effect<Execution> {
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "30 seconds")
    return Effect.sleep(timeout).pipe(
      Effect.as(timedOut(Duration.toMillis(timeout))),
      Effect.ensuring(
        Effect.sync(() => {
          this.lost = failure(new SessionLost({ why: "killed", description: said("killed at its timeout") }))
        })
      )
    )
  }
}

const doneWith = (execution: Execution): ExecutionEvent => ({ type: "done", execution })

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
