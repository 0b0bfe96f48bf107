/**
 * One logical call under an open policy: the sends of its loop, its slot, its timers and its story.
 *
 * Each send is one `Effect.callback` that starts one fiber. Taking the slot, starting the fiber and arming the timer
 * happen in one synchronous step, so that no interruption can come between them.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import type { Attempt, Recorder } from "../Attempt.ts"
import type * as Concurrency from "../Concurrency.ts"
import * as Deadline from "../Deadline.ts"
import { AttemptTimeout, DeadlineExceeded, Draining, type PolicyError, type Shed } from "../PolicyError.ts"
import * as Retry from "../Retry.ts"
import type { Phase } from "../Retryable.ts"
import * as Telemetry from "../Telemetry.ts"
import type * as Timeout from "../Timeout.ts"
import * as Timer from "../Timer.ts"

/** What a run is told by the policy around it. */
export interface Settings {
  readonly key: string
  readonly safety: Retry.Safety
  readonly retry: Retry.Retry
  readonly timeout: Timeout.Timeout
  readonly recorder: Recorder | undefined
  readonly concurrency: Concurrency.Concurrency
  /** Marks the context of a send. */
  readonly mark: <R>(context: Context.Context<R>) => Context.Context<R>
  /** Whether the slot outlives a successful send. */
  readonly isLease: boolean
  /** Whether each send gets a span. */
  readonly isTraced: boolean
  readonly onDiscard: ((error: unknown) => void) | undefined
}

type Resume<A, E> = (effect: Effect.Effect<A, E | PolicyError>) => void

/** The tag that a story shows for a failure: its reason's, where it has one. */
const outcomeOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return "failed"
  if ("reason" in error && typeof error.reason === "object" && error.reason !== null) return outcomeOf(error.reason)
  return "_tag" in error && typeof error._tag === "string" ? error._tag : error instanceof Error ? error.name : "failed"
}

export class Run<R> implements Retry.Call {
  readonly key: string
  readonly safety: Retry.Safety
  readonly retry: Retry.Retry
  readonly timeout: Timeout.Timeout
  readonly recorder: Recorder | undefined
  readonly deadlineAt: number
  readonly totalMillis: number
  readonly onDiscard: ((error: unknown) => void) | undefined
  /** Ends what the call waits for at the moment; set by each kind of waiting. */
  stop: ((error: Draining) => void) | undefined = undefined
  private refused: Draining | undefined
  private readonly settings: Settings
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<R>
  private holdsSlot = false
  private startedAt = 0
  private queuedMillis = 0
  private lastWait: Retry.Wait = Retry.noWait
  private sends = 0
  private span: Tracer.Span | undefined = undefined

  constructor(settings: Settings, context: Context.Context<R>) {
    this.settings = settings
    this.key = settings.key
    this.safety = settings.safety
    // What a lease succeeds with is the opening, which is nobody's result.
    this.retry = settings.isLease ? { ...settings.retry, retryWhen: undefined } : settings.retry
    this.timeout = settings.timeout
    this.recorder = settings.recorder
    this.onDiscard = settings.onDiscard
    this.clock = Context.get(context, Clock.Clock)
    const now = this.clock.currentTimeMillisUnsafe()
    this.deadlineAt = Math.min(Context.get(context, Deadline.Current), now + settings.timeout.totalMillis)
    this.totalMillis = Math.max(0, this.deadlineAt - now)
    const marked = settings.mark(context)
    this.context = this.deadlineAt === Infinity ? marked : Context.add(marked, Deadline.Current, this.deadlineAt)
  }

  /** Ends the call: what it waits for now, and whatever it would begin later. */
  refuse(error: Draining): void {
    this.refused = error
    this.stop?.(error)
  }

  /** Why nothing may be sent: the client is closing, or the time was over before the call began. */
  private get obstacle(): PolicyError | undefined {
    if (this.refused !== undefined) return this.refused
    return this.totalMillis === 0 ? this.exceeded("notSent") : undefined
  }

  /** Takes a slot, runs the effect in a fiber of its own under the times in force, gives the slot back. */
  send<A, E>(self: Effect.Effect<A, E, R>, wait: Retry.Wait): Effect.Effect<A, E | PolicyError> {
    return Effect.callback<A, E | PolicyError>((resume) => {
      this.lastWait = wait
      const { obstacle } = this
      if (obstacle !== undefined) return resume(Effect.fail(obstacle))
      if (!this.settings.concurrency.takeUnsafe(this.key)) return resume(this.sendQueued(self))
      this.queuedMillis = 0
      return this.start(self, resume)
    })
  }

  /** The same where no slot is free. Only the waiting and the send can be interrupted, never the step between. */
  private sendQueued<A, E>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | PolicyError> {
    return Effect.uninterruptibleMask((restore) => {
      const since = this.clock.currentTimeMillisUnsafe()
      const granted = Effect.catch(
        this.settings.concurrency.acquire(this.key, this.deadlineAt - since, restore),
        (shed) => Effect.fail(this.refusal(shed))
      )
      const sent = Effect.suspend(() => {
        this.holdsSlot = true
        this.queuedMillis = this.clock.currentTimeMillisUnsafe() - since
        let isStarted = false
        const send = Effect.callback<A, E | PolicyError>((resume) => {
          const { obstacle } = this
          if (obstacle !== undefined) return resume(Effect.fail(obstacle))
          isStarted = true
          return this.start(self, resume)
        })
        // A send that was interrupted before it began has nobody else to give its slot back.
        return Effect.onExit(restore(send), () => Effect.sync(() => (isStarted ? undefined : this.release())))
      })
      return Effect.andThen(granted, sent)
    })
  }

  private refusal(shed: Shed): PolicyError {
    if (shed.closed === true) return new Draining({ key: this.key })
    return this.clock.currentTimeMillisUnsafe() >= this.deadlineAt ? this.exceeded("notSent") : shed
  }

  private start<A, E>(self: Effect.Effect<A, E, R>, resume: Resume<A, E>): Effect.Effect<void> {
    this.holdsSlot = true
    const now = this.clock.currentTimeMillisUnsafe()
    this.startedAt = now
    let over: PolicyError | undefined
    const child = Effect.runForkWith(this.begin())(self)
    const end = (error: PolicyError): void => {
      over = error
      child.interruptUnsafe()
    }
    const left = this.deadlineAt - now
    const attempt = this.settings.isLease ? Infinity : this.timeout.attemptMillis
    const cancel =
      child.pollUnsafe() === undefined
        ? Timer.after(this.clock, Math.min(left, attempt), () =>
            end(
              left <= attempt
                ? this.exceeded("maybeSent")
                : new AttemptTimeout({ key: this.key, timeoutMillis: attempt })
            )
          )
        : undefined
    this.stop = end
    child.addObserver((exit) => {
      cancel?.()
      this.stop = undefined
      const outcome = over !== undefined && Exit.hasInterrupts(exit) ? Exit.fail(over) : exit
      this.settle(outcome)
      resume(outcome)
    })
    return Effect.suspend(() => {
      cancel?.()
      return Fiber.interrupt(child)
    })
  }

  /** The context of one send: below a span of its own where there is a tracer. */
  private begin(): Context.Context<R> {
    this.sends += 1
    if (!this.settings.isTraced) return this.context
    this.span = Telemetry.startAttempt(this.context, {
      number: this.sends,
      endpoint: this.key,
      waitMillis: this.lastWait.millis,
      waitCause: this.lastWait.cause,
      queuedMillis: this.queuedMillis
    })
    return Telemetry.under(this.context, this.span)
  }

  /** Waits before a retry; the call's place is kept by nobody meanwhile. */
  sleep(millis: number): Effect.Effect<void, Draining> {
    return Effect.callback<void, Draining>((resume) => {
      if (this.refused !== undefined) return resume(Effect.fail(this.refused))
      const cancel = Timer.after(this.clock, millis, () => {
        this.stop = undefined
        resume(Effect.void)
      })
      this.stop = (error) => {
        cancel()
        resume(Effect.fail(error))
      }
      return Effect.sync(cancel)
    })
  }

  private exceeded(phase: "notSent" | "maybeSent"): DeadlineExceeded {
    return new DeadlineExceeded({ key: this.key, totalMillis: this.totalMillis, phase })
  }

  private settle(exit: Exit.Exit<unknown, unknown>): void {
    if (this.settings.isLease && Exit.isSuccess(exit)) return
    this.release()
    if (Exit.isSuccess(exit)) return this.record("ok", undefined)
    const error = Cause.findErrorOption(exit.cause)
    if (error._tag === "None") return this.record(Cause.hasDies(exit.cause) ? "defect" : "interrupted", undefined, exit)
    this.record(outcomeOf(error.value), this.retry.classify(error.value).phase, exit)
  }

  /** Ends a lease: the slot goes back and the attempt is written down. More calls do nothing. */
  endLease(outcome: string): void {
    if (!this.holdsSlot) return
    this.stop = undefined
    this.release()
    this.record(outcome, undefined)
  }

  private release(): void {
    if (!this.holdsSlot) return
    this.holdsSlot = false
    this.settings.concurrency.releaseUnsafe(this.key)
  }

  private record(outcome: string, phase: Phase | undefined, exit?: Exit.Exit<unknown, unknown>): void {
    if (this.span !== undefined) Telemetry.endWith(this.context, this.span, outcome, exit)
    const attempt: Attempt = {
      endpoint: this.key,
      startMillis: this.startedAt,
      durationMillis: this.clock.currentTimeMillisUnsafe() - this.startedAt,
      outcome,
      waitMillis: this.lastWait.millis,
      waitCause: this.lastWait.cause,
      queuedMillis: this.queuedMillis
    }
    Telemetry.recordAttempt(this.context, attempt)
    this.recorder?.attempts.push(phase === undefined ? attempt : { ...attempt, phase })
  }
}
