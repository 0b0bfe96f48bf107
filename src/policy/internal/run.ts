/** One logical call under an open policy: its time, its waits, and its sends one after another. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Recorder } from "../Attempt.ts"
import type * as Circuit from "../Circuit.ts"
import type * as Concurrency from "../Concurrency.ts"
import type * as CostBudget from "../CostBudget.ts"
import * as Deadline from "../Deadline.ts"
import type * as Hedge from "../Hedge.ts"
import type { Call } from "../Policy.ts"
import { DeadlineExceeded, Draining, type PolicyError, type Shed } from "../PolicyError.ts"
import type * as RateLimit from "../RateLimit.ts"
import type * as Retry from "../Retry.ts"
import type { RetryBudget } from "../RetryBudget.ts"
import type * as Timeout from "../Timeout.ts"
import * as Timer from "../Timer.ts"
import * as Elsewhere from "./elsewhere.ts"
import type * as Loop from "./loop.ts"
import { Send } from "./send.ts"

/** What the calls of an open policy share. */
export interface State {
  readonly concurrency: Concurrency.Concurrency
  readonly rateLimit: RateLimit.RateLimit | undefined
  readonly circuit: Circuit.Circuit | undefined
  readonly hedge: Hedge.Hedge | undefined
  /** The budget of retries for what a key leads to. */
  readonly budgetOf: (key: string) => RetryBudget | undefined
}

/** What a run is told by the policy around it. */
export interface Settings {
  readonly call: Call
  readonly state: State
  readonly retry: Retry.Retry
  readonly timeout: Timeout.Timeout
  readonly recorder: Recorder | undefined
  readonly costs: ReadonlyArray<CostBudget.CostBudget>
  readonly priority: Concurrency.Priority | undefined
  readonly tenant: string | undefined
  /** Marks the context of a send. */
  readonly mark: <R>(context: Context.Context<R>) => Context.Context<R>
  /** Whether the slot outlives a successful send. */
  readonly isLease: boolean
  /** Whether each send gets a span. */
  readonly isTraced: boolean
  /** Whether it is a finalizer's call, which nothing holds back. */
  readonly isRelease: boolean
}

/** A send under way. */
interface Ongoing {
  readonly stop: ((error: PolicyError) => void) | undefined
  readonly endLease: (outcome: string, usage: CostBudget.Usage | undefined) => void
}

export class Run<R> implements Loop.Call {
  readonly settings: Settings
  readonly key: string
  readonly safety: Retry.Safety
  readonly retry: Retry.Retry
  readonly timeout: Timeout.Timeout
  readonly recorder: Recorder | undefined
  readonly deadlineAt: number
  readonly totalMillis: number
  readonly onDiscard: ((error: unknown) => void) | undefined
  readonly clock: Clock.Clock
  readonly context: Context.Context<R>
  readonly budget: RetryBudget | undefined
  /** The sends under way: one, or two while a hedge runs. */
  readonly sends: Array<Ongoing> = []
  /** Milliseconds since the epoch. */
  readonly beganAt: number
  /** How many sends there were. */
  sent = 0
  /** Ends what the call waits for beside its sends: a backoff, or the reader of its stream. */
  stop: ((error: Draining) => void) | undefined = undefined
  /** Why it may send no more: the client is closing. */
  private refused: Draining | undefined
  /** The same, said of what is sent already. */
  cut: Draining | undefined
  private told: CostBudget.Estimate | undefined

  constructor(settings: Settings, context: Context.Context<R>) {
    const { call, isLease, timeout } = settings
    this.settings = settings
    this.key = call.key
    this.safety = call.safety
    // What a lease succeeds with is the opening, which is nobody's result.
    this.retry = isLease ? { ...settings.retry, retryWhen: undefined } : settings.retry
    this.timeout = timeout
    this.recorder = settings.recorder
    this.onDiscard = call.onDiscard
    this.budget = settings.state.budgetOf(call.key)
    this.budget?.depositUnsafe()
    this.clock = Context.get(context, Clock.Clock)
    const now = this.now()
    this.beganAt = now
    this.deadlineAt = Math.min(Context.get(context, Deadline.Current), now + timeout.totalMillis)
    this.totalMillis = Math.max(0, this.deadlineAt - now)
    const marked = settings.mark(context)
    this.context = this.deadlineAt === Infinity ? marked : Context.add(marked, Deadline.Current, this.deadlineAt)
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** Ends the call: what it waits for now, and whatever it would begin later. */
  refuse(error: Draining): void {
    this.refused = error
    this.cut = new Draining({ key: error.key, isSent: true })
    // What is sent, or read by now, may have been done; a backoff holds nothing.
    this.stop?.(this.sends.length > 0 ? this.cut : error)
    for (const send of this.sends.slice()) send.stop?.(this.cut)
  }

  /** Why nothing may be sent: the client is closing, or the time is over. */
  obstacle(now: number): PolicyError | undefined {
    if (this.refused !== undefined) return this.refused
    return now >= this.deadlineAt ? this.exceeded("notSent") : undefined
  }

  /** What each send may use: asked for once, and before any of them holds something. */
  get estimate(): CostBudget.Estimate | undefined {
    return (this.told ??= this.settings.call.estimate?.())
  }

  get isRelease(): boolean {
    return this.settings.isRelease
  }

  /** Sets what ends the reader of a lease, which may come too late to be read. */
  onStop(stop: (error: Draining) => void): void {
    this.stop = stop
    if (this.cut !== undefined) stop(this.cut)
  }

  refusal(shed: Shed): PolicyError {
    if (shed.closed === true) return new Draining({ key: this.key })
    return this.now() >= this.deadlineAt ? this.exceeded("notSent") : shed
  }

  exceeded(phase: "notSent" | "maybeSent"): DeadlineExceeded {
    return new DeadlineExceeded({ key: this.key, totalMillis: this.totalMillis, phase })
  }

  /** Whether somebody else would serve this failure now. */
  isServedElsewhere(error: unknown): boolean {
    return Context.get(this.context, Elsewhere.Open)?.(error) ?? false
  }

  /** One try: circuit → hedge → send. A retry must be paid for. */
  send<A, E>(self: Effect.Effect<A, E, R>, wait: Loop.Wait, mustPay: boolean): Effect.Effect<A, E | PolicyError> {
    const { isLease, isRelease, state } = this.settings
    const first = new Send<A, E, R>(this, wait, mustPay)
    let sent: Effect.Effect<A, E | PolicyError> = first.effect(self)
    if (isRelease) return sent
    if (state.hedge !== undefined && !isLease) {
      const { key, onDiscard, safety } = this
      const second = (): Effect.Effect<A, E | PolicyError> | undefined => this.hedge(self)
      sent = state.hedge.race({ key, safety, second, onDiscard }, sent)
    }
    return state.circuit === undefined ? sent : state.circuit.protect(this.key, this.retry.classify)(sent)
  }

  /** Ends a lease: the slot goes back and the attempt is written down. More calls do nothing. */
  endLease(outcome: string, usage: CostBudget.Usage | undefined): void {
    this.stop = undefined
    for (const send of this.sends.slice()) send.endLease(outcome, usage)
  }

  /** A second send beside the first one; none where no slot is free. */
  private hedge<A, E>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | PolicyError> | undefined {
    const { concurrency } = this.settings.state
    if (concurrency.inFlight(this.key) >= concurrency.limit(this.key)) return undefined
    return new Send<A, E, R>(this, { millis: 0, cause: "hedge" }, false).effectIfFree(self)
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
}
