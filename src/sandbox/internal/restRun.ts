/**
 * One run on a server: its events as they come, its time kept on this side. At the timeout, and when it is interrupted,
 * the server is asked to stop it; what does not stop within the grace is deleted with its sandbox.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as Cause from "effect/Cause"
import * as Release from "../../policy/Release.ts"
import type { Retryable } from "../../policy/Retryable.ts"
import * as Timer from "../../policy/Timer.ts"
import { ConnectionLost } from "../../http/ServiceReason.ts"
import type { Execution, ExecutionEvent, MimeBundle } from "../Sandbox.ts"
import { type SandboxError } from "../SandboxError.ts"
import type { Said } from "./restApi.ts"
import { bundlesIn, executionOf, type Feature, type Ran } from "./restDecode.ts"
import type { Machine, Machines } from "./restMachines.ts"

/** How a run is asked for. */
export interface Asked {
  readonly endpoint: "execute" | "commands"
  readonly body: unknown
  readonly timeout: Duration.Duration
  readonly grace: Duration.Duration
  readonly features: ReadonlySet<Feature>
}

/** What a run said that is kept; more is passed on, and cut from the end's account of it. */
const maxKept = 16 * 1024 * 1024

const sizeOf = (result: MimeBundle): number => Object.values(result).reduce((size, shown) => size + shown.length, 0)

/** How long the answer may go on after the run's end. */
const maxTail = "1 second"

export class Run {
  private readonly machines: Machines
  private readonly machine: Machine
  private readonly asked: Asked
  private readonly emit: (event: ExecutionEvent) => Effect.Effect<unknown>
  private readonly stopping = Deferred.makeUnsafe<"timedOut" | "interrupted">()
  private readonly done = Deferred.makeUnsafe<void>()
  private readonly over = Deferred.makeUnsafe<void>()
  private readonly said = { stdout: "", stderr: "", results: new Array<MimeBundle>() }
  private cancel: () => void = () => undefined
  private shown = 0
  private isCut = false
  private isKilled = false
  /** It was refused, so nothing runs until it is sent again. */
  private isWaiting = false
  private sentAt: number | undefined
  private stopped: "timedOut" | "interrupted" | undefined
  private ran: Ran | undefined

  constructor(
    machines: Machines,
    machine: Machine,
    asked: Asked,
    emit: (event: ExecutionEvent) => Effect.Effect<unknown>
  ) {
    this.machines = machines
    this.machine = machine
    this.asked = asked
    this.emit = emit
  }

  /** Stops it and waits until it is over. */
  readonly interrupt: Effect.Effect<void> = Effect.suspend(() => {
    Deferred.doneUnsafe(this.stopping, Effect.succeed("interrupted"))
    return Deferred.await(this.over)
  })

  readonly execution: Effect.Effect<Execution, SandboxError> = Effect.clockWith((clock) => {
    const onSend = (): void => {
      this.sentAt = clock.currentTimeMillisUnsafe()
      this.isWaiting = false
      const late = (): boolean => Deferred.doneUnsafe(this.stopping, Effect.succeed("timedOut"))
      this.cancel = Timer.after(clock, this.patienceMillis, late)
    }
    return Effect.raceAllFirst([this.read(onSend), this.supervise, this.lost]).pipe(
      // What ended the sandbox on this side explains what the server says of it.
      Effect.mapError((error) => this.machine.loss ?? error),
      Effect.onExit((exit) => this.abandon(exit)),
      Effect.ensuring(Effect.sync(this.settle)),
      Effect.andThen(Effect.suspend(() => this.end(clock))),
      Effect.tap((execution) => this.emit({ type: "done", execution }))
    )
  })

  private readonly settle = (): void => {
    this.cancel()
    Deferred.doneUnsafe(this.over, Effect.void)
  }

  /** Counted from each send: while a refused one waits to be sent again, nothing runs. */
  private get patienceMillis(): number {
    const { grace, timeout } = this.asked
    // A server that keeps the time itself is asked to stop only when it has not.
    return Duration.toMillis(this.has("timeout") ? Duration.sum(timeout, grace) : timeout)
  }

  /** Reads the run to its end. */
  private read(onSend: () => void): Effect.Effect<void, SandboxError> {
    const { body, endpoint, grace, timeout } = this.asked
    // The watch of this side is over before: the transport's is for a clock that is not.
    const limit = Duration.sum(timeout, Duration.times(grace, 4))
    const onFail = ({ phase }: Retryable): void => {
      this.cancel()
      this.isWaiting = phase === "notSent" || phase === "rejected"
    }
    const running = { body, limit, onSend, onFail }
    const events = this.machines.api.execute(endpoint, this.machine.made.id, running)
    // Read to its end, so that the connection can be used again; a server that does not end it is left.
    const reading = Effect.raceFirst(
      Stream.runForEach(events, this.add),
      Effect.andThen(Deferred.await(this.done), Effect.sleep(maxTail))
    )
    return Effect.andThen(
      reading,
      Effect.suspend(() => (this.ran === undefined ? Effect.fail(this.cut) : Effect.void))
    )
  }

  private get cut(): SandboxError {
    return this.machines.fail(new ConnectionLost({ description: "the run's output ended without its end" }))
  }

  private readonly add = (said: Said): Effect.Effect<unknown> => {
    switch (said.type) {
      case "done":
        this.ran = said.ran
        return Deferred.succeed(this.done, undefined)
      case "other":
        return Effect.void
      case "result":
        return Effect.forEach(bundlesIn(said.value), (result) => {
          this.shown += sizeOf(result)
          if (this.shown > maxKept) this.isCut = true
          else this.said.results.push(result)
          return this.emit({ type: "result", result })
        })
      default: {
        const room = maxKept - this.said[said.type].length
        this.isCut ||= said.text.length > room
        this.said[said.type] += said.text.slice(0, Math.max(0, room))
        return said.text === "" ? Effect.void : this.emit(said)
      }
    }
  }

  /** Whether nothing of it runs on the server. */
  private get isIdle(): boolean {
    return this.sentAt === undefined || this.isWaiting
  }

  /** Ends when the run had to be killed, or nothing of it runs. */
  private readonly supervise: Effect.Effect<void> = Effect.suspend(() =>
    Effect.flatMap(Deferred.await(this.stopping), (why) => {
      this.stopped = why
      if (this.isIdle) return Effect.void
      const { grace } = this.asked
      // Past every limit: the run may hold the last slot, and would wait for itself.
      const asked = Release.run(this.machines.api.interrupt(this.machine.made.id), grace)
      const asking = Effect.andThen(Effect.ignore(asked), Effect.sleep(grace))
      const killing = Effect.suspend(() => this.kill("a run did not stop, so the sandbox was deleted"))
      return this.has("interrupt") ? Effect.andThen(asking, killing) : killing
    })
  )

  /** Ends when somebody else ended the sandbox. */
  private readonly lost: Effect.Effect<void, SandboxError> = Effect.suspend(() =>
    Effect.catch(Deferred.await(this.machine.lost), (loss) => (this.isKilled ? Effect.never : Effect.fail(loss)))
  )

  private has(feature: Feature): boolean {
    return this.asked.features.has(feature)
  }

  private kill(description: string): Effect.Effect<void> {
    this.isKilled = true
    return this.machines.lose(this.machine, "killed", description)
  }

  /** After an interruption or a broken connection: the program may run on, and must not. */
  private abandon(exit: Exit.Exit<void, SandboxError>): Effect.Effect<void> {
    if (Exit.isSuccess(exit) || this.isIdle || this.machine.loss !== undefined) return Effect.void
    const error = Cause.findErrorOption(exit.cause)
    if (error._tag === "Some") {
      const { phase, reason } = error.value
      if (reason._tag === "SessionLost") return this.machines.lose(this.machine, reason.why, reason.description)
      if (phase === "notSent" || phase === "rejected") return Effect.void
    }
    // An answer that makes no sense is an answer: what was asked for is over, as far as anybody can say.
    const isAnswered = error._tag === "Some" && error.value.phase === "answered"
    const killed = isAnswered
      ? Effect.void
      : Effect.suspend(() => this.kill("a run was given up, so the sandbox was deleted"))
    if (!this.has("interrupt")) return killed
    return Effect.catch(Release.run(this.machines.api.interrupt(this.machine.made.id)), () => killed)
  }

  private end(clock: Clock.Clock): Effect.Effect<Execution> {
    const { stopped } = this
    const now = clock.currentTimeMillisUnsafe()
    const durationMillis = now - (this.sentAt ?? now)
    const execution = executionOf(this.ran ?? {}, this.said, durationMillis)
    const truncated = execution.truncated || this.isCut
    const sessionState = this.machine.loss === undefined ? execution.sessionState : "lost"
    const ended = { ...execution, truncated, sessionState }
    if (stopped === undefined) return Effect.succeed(ended)
    if (stopped === "timedOut") {
      const value = `the program did not end within ${Duration.format(this.asked.timeout)}`
      const error = { name: "TimeoutError", value, traceback: execution.error?.traceback ?? "" }
      return Effect.succeed({ ...ended, outcome: stopped, error, exitCode: 124 })
    }
    // It may have ended by itself before it could be interrupted.
    const isStopped = this.ran === undefined || (this.ran.outcome ?? execution.outcome) !== "ok"
    return Effect.succeed(isStopped ? { ...ended, outcome: stopped, exitCode: 130 } : ended)
  }
}
