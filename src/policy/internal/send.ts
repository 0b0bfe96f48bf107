/**
 * One send of a call: its slot and its place in the rate, what it pays, its timer, its fiber and its record.
 *
 * It is one `Effect.callback` that starts one fiber. Taking the slot, starting the fiber and arming the timer happen in
 * one synchronous step, so that no interruption can come between them.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { Span } from "effect/Tracer"
import type { Attempt } from "../Attempt.ts"
import type { Claim, Priority, Sample } from "../Concurrency.ts"
import * as CostBudget from "../CostBudget.ts"
import { AttemptTimeout, BudgetExceeded, type PolicyError, Shed } from "../PolicyError.ts"
import * as RateLimit from "../RateLimit.ts"
import type { Phase, Retryable } from "../Retryable.ts"
import * as Timer from "../Timer.ts"
import { unpaid, type Wait } from "./loop.ts"
import { recordAttempt } from "./metrics.ts"
import { outcomeOf } from "./outcome.ts"
import type { Run } from "./run.ts"
import * as Spans from "./spans.ts"

type Resume<A, E> = (effect: Effect.Effect<A, E | PolicyError>) => void

/** What a send ended with, as its record, its limits and its budgets are told. */
interface Ending {
  readonly outcome: string
  readonly phase: Phase | undefined
  readonly sample: Sample["outcome"]
  readonly failure: Retryable | undefined
  readonly usage: CostBudget.Usage | undefined
}

const interrupted: Ending = {
  outcome: "interrupted",
  phase: undefined,
  sample: "ignored",
  failure: undefined,
  usage: undefined
}

const defect: Ending = { ...interrupted, outcome: "defect" }

const isCount = (u: unknown): u is number => typeof u === "number"

/** The usage that a failure reports, as the reasons of broken streams do. */
const usageIn = (error: unknown): CostBudget.Usage | undefined => {
  if (typeof error !== "object" || error === null || !("usage" in error)) return undefined
  const { usage } = error
  if (typeof usage !== "object" || usage === null || !("inputTokens" in usage) || !("outputTokens" in usage)) {
    return undefined
  }
  const { inputTokens, outputTokens } = usage
  return isCount(inputTokens) && isCount(outputTokens) ? { inputTokens, outputTokens } : undefined
}

export class Send<A, E, R> implements Claim {
  readonly priority: Priority | undefined
  readonly tenant: string | undefined
  readonly tokens: number | undefined
  /** Written by the rate limit when it admits this send. */
  reservation: unknown = undefined
  private readonly run: Run<R>
  private readonly wait: Wait
  private readonly mustPay: boolean
  private readonly estimate: CostBudget.Estimate | undefined
  private hasPaid = false
  private cost: CostBudget.Reservation | undefined
  private span: Span | undefined
  private holdsSlot = false
  private startedAt = 0
  private openedAt = 0
  private queuedMillis = 0
  /** Ends the send from outside, while it runs. */
  stop: ((error: PolicyError) => void) | undefined = undefined

  constructor(run: Run<R>, wait: Wait, mustPay: boolean) {
    const { costs, priority, state, tenant } = run.settings
    const { rateLimit } = state
    this.run = run
    this.wait = wait
    this.mustPay = mustPay
    this.priority = priority
    this.tenant = tenant
    this.estimate = rateLimit === undefined && costs.length === 0 ? undefined : run.estimate
    this.tokens = rateLimit === undefined ? undefined : tokensOf(this.estimate, rateLimit.tokensPerCall)
  }

  /** Takes a slot, runs the effect in a fiber of its own under the times in force, gives the slot back. */
  effect(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | PolicyError> {
    return Effect.callback<A, E | PolicyError>((resume) => {
      const { beganAt, key, settings } = this.run
      // The first send of a call comes in the same turn as the call.
      const isFirst = this.wait.cause === "none" && settings.state.circuit === undefined
      const now = isFirst ? beganAt : this.run.now()
      const obstacle = this.run.obstacle(now)
      if (obstacle !== undefined) return resume(Effect.fail(obstacle))
      const isTaken = settings.isRelease || settings.state.concurrency.takeUnsafe(key, this, now)
      return isTaken ? this.start(self, resume, now) : resume(this.queued(self))
    })
  }

  /** The same for a send that takes what is free and never waits: a hedge. */
  effectIfFree(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | PolicyError> {
    return Effect.callback<A, E | PolicyError>((resume) => {
      const { key, settings } = this.run
      const { concurrency } = settings.state
      const now = this.run.now()
      const obstacle = this.run.obstacle(now)
      if (obstacle !== undefined) return resume(Effect.fail(obstacle))
      if (concurrency.takeUnsafe(key, this, now)) return this.start(self, resume, now)
      return resume(Effect.fail(new Shed({ key, waiting: concurrency.waiting(key) })))
    })
  }

  /** Why it is no use to queue: no money for it, no room in the rate before the deadline, or never for as many tokens. */
  private get hopeless(): PolicyError | undefined {
    const { concurrency, rateLimit } = this.run.settings.state
    const { deadlineAt, key } = this.run
    const cost = this.reserve()
    if (cost instanceof BudgetExceeded) return cost
    // It is paid when its turn comes: what waits must not keep the money from what could run.
    cost?.refund()
    if (rateLimit === undefined) return undefined
    const now = this.run.now()
    const wait = rateLimit.waitUnsafe(key, this.tokens ?? rateLimit.tokensPerCall, now)
    if (wait === Infinity) return new Shed({ key, waiting: concurrency.waiting(key) })
    return now + wait >= deadlineAt ? this.run.exceeded("notSent") : undefined
  }

  /** The same where no slot is free. Only the waiting and the send can be interrupted, never the step between. */
  private queued(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | PolicyError> {
    const { concurrency } = this.run.settings.state
    const { hopeless } = this
    if (hopeless !== undefined) return Effect.fail(hopeless)
    return Effect.uninterruptibleMask((restore) => {
      const since = this.run.now()
      const granted = Effect.catch(
        concurrency.acquire(this.run.key, this.run.deadlineAt - since, restore, this),
        (shed) => Effect.fail(this.run.refusal(shed))
      )
      const sent = Effect.suspend(() => {
        this.holdsSlot = true
        this.queuedMillis = this.run.now() - since
        let isStarted = false
        const send = Effect.callback<A, E | PolicyError>((resume) => {
          const now = this.run.now()
          const obstacle = this.run.obstacle(now)
          if (obstacle !== undefined) return resume(Effect.fail(obstacle))
          isStarted = true
          return this.start(self, resume, now)
        })
        // A send that was interrupted before it began has nobody else to give its slot back.
        return Effect.onExit(restore(send), () => Effect.sync(() => (isStarted ? undefined : this.giveBack())))
      })
      return Effect.andThen(granted, sent)
    })
  }

  /** The worst case of this send in every budget around; a call that tells no estimate has nothing to do with tokens. */
  private reserve(): CostBudget.Reservation | BudgetExceeded | undefined {
    const { key, settings } = this.run
    if (this.estimate === undefined || settings.costs.length === 0) return undefined
    return CostBudget.reserveAll(settings.costs, key, this.estimate)
  }

  /** What has to be paid before anything is sent. The result refuses. */
  private pay(): PolicyError | undefined {
    const { budget } = this.run
    const cost = this.reserve()
    if (cost instanceof BudgetExceeded) return cost
    this.cost = cost
    if (!this.mustPay || budget === undefined) return undefined
    this.hasPaid = budget.takeUnsafe()
    return this.hasPaid ? undefined : unpaid
  }

  private start(self: Effect.Effect<A, E, R>, resume: Resume<A, E>, now: number): Effect.Effect<void> | void {
    const { run } = this
    this.holdsSlot = true
    this.startedAt = now
    const refusal = this.pay()
    if (refusal !== undefined) {
      this.giveBack()
      return resume(Effect.fail(refusal))
    }
    let over: PolicyError | undefined
    const child = Effect.runForkWith(this.context())(self)
    const end = (error: PolicyError): void => {
      over = error
      child.interruptUnsafe()
    }
    const left = run.deadlineAt - now
    const attempt = run.settings.isLease ? Infinity : run.timeout.attemptMillis
    const cancel =
      child.pollUnsafe() === undefined
        ? Timer.after(run.clock, Math.min(left, attempt), () =>
            end(
              left <= attempt ? run.exceeded("maybeSent") : new AttemptTimeout({ key: run.key, timeoutMillis: attempt })
            )
          )
        : undefined
    this.stop = end
    run.sends.push(this)
    // The send may have closed the client in its first steps, before anybody knew of it.
    if (run.cut !== undefined) end(run.cut)
    child.addObserver((exit) => {
      cancel?.()
      resume(this.settle(over !== undefined && Exit.hasInterrupts(exit) ? Exit.fail(over) : exit))
    })
    return Effect.suspend(() => {
      cancel?.()
      return Fiber.interrupt(child)
    })
  }

  /** The context of what is sent: its reservation for who learns from the answer, a span where somebody traces. */
  private context(): Context.Context<R> {
    const { run } = this
    const reservation = RateLimit.reservationOf(this)
    const context = reservation === undefined ? run.context : Context.add(run.context, RateLimit.Current, reservation)
    if (!run.settings.isTraced) return context
    const { millis, cause } = this.wait
    this.span = Spans.startAttempt(context, {
      endpoint: run.key,
      number: ++run.sent,
      waitMillis: millis,
      waitCause: cause,
      queuedMillis: this.queuedMillis
    })
    return Spans.under(context, this.span)
  }

  /** Takes the end of what was sent. The result is the send's, which is a defect where those who are asked throw. */
  private settle(exit: Exit.Exit<A, E | PolicyError>): Exit.Exit<A, E | PolicyError> {
    if (this.hasPaid && Exit.isSuccess(exit)) this.run.budget?.refundUnsafe()
    if (this.run.settings.isLease && Exit.isSuccess(exit)) {
      this.openedAt = this.run.now()
      return exit
    }
    this.stop = undefined
    const ending = Result.try(() => this.endingOf(exit))
    const result = Result.isSuccess(ending) ? exit : Exit.die(ending.failure)
    this.end(Result.isSuccess(ending) ? ending.success : defect, result)
    return result
  }

  private endingOf(exit: Exit.Exit<unknown, unknown>): Ending {
    if (Exit.isSuccess(exit)) {
      const usage = this.run.settings.call.usage?.()
      return { outcome: "ok", phase: undefined, sample: "ok", failure: undefined, usage }
    }
    const error = Cause.findErrorOption(exit.cause)
    if (error._tag === "None") return Cause.hasDies(exit.cause) ? defect : interrupted
    const failure = this.run.retry.classify(error.value)
    const { isRetryable, isThrottle, isTimeout, phase } = failure
    const sample = isThrottle === true ? "throttled" : isTimeout === true ? "timeout" : "failed"
    const isOurs = phase === "notSent" || !isRetryable
    return {
      outcome: outcomeOf(error.value),
      phase,
      sample: isOurs && sample === "failed" ? "ignored" : sample,
      failure,
      usage: usageIn(error.value)
    }
  }

  /** Ends a lease: the slot goes back and the attempt is written down. More calls do nothing. */
  endLease(outcome: string, usage: CostBudget.Usage | undefined): void {
    if (!this.holdsSlot) return
    this.stop = undefined
    // What a stream's slot was held for is the reader's pace; how fast the server is, its opening tells.
    this.end({ outcome, phase: undefined, sample: outcome === "ok" ? "ok" : "ignored", failure: undefined, usage })
  }

  private end(ending: Ending, exit?: Exit.Exit<unknown, unknown>): void {
    const { run } = this
    const now = run.now()
    const at = run.sends.indexOf(this)
    if (at >= 0) run.sends.splice(at, 1)
    this.reconcile(ending, now)
    this.release({
      outcome: ending.sample,
      durationMillis: (this.openedAt === 0 ? now : this.openedAt) - this.startedAt
    })
    const attempt = this.attempt(ending, now)
    run.recorder?.attempts.push(attempt)
    recordAttempt(run.context, attempt)
    if (this.span !== undefined) Spans.endWith(run.context, this.span, ending.outcome, exit)
  }

  /** Settles what was reserved with what was used: nothing of what was not sent or was refused. */
  private reconcile({ failure, phase, usage }: Ending, now: number): void {
    const { key, settings } = this.run
    const isFree = usage === undefined && (phase === "notSent" || phase === "rejected")
    if (isFree) this.cost?.refund()
    else this.cost?.settle(usage)
    const { rateLimit } = settings.state
    if (rateLimit === undefined) return
    const reservation = RateLimit.reservationOf(this)
    if (phase === "notSent") reservation?.refund(now)
    else reservation?.settle(isFree ? 0 : usage && usage.inputTokens + usage.outputTokens, now)
    if (failure?.isThrottle === true && failure.retryAfter !== undefined) {
      rateLimit.pauseUnsafe(key, now + Duration.toMillis(failure.retryAfter), now)
    }
  }

  /** Gives everything back: nothing was sent. */
  private giveBack(): void {
    this.cost?.refund()
    RateLimit.reservationOf(this)?.refund(this.run.now())
    this.release({ outcome: "ignored", durationMillis: 0 })
  }

  private release(sample: Sample): void {
    if (!this.holdsSlot) return
    this.holdsSlot = false
    if (!this.run.settings.isRelease) this.run.settings.state.concurrency.releaseUnsafe(this.run.key, sample)
  }

  private attempt({ outcome, phase }: Ending, now: number): Attempt {
    const attempt: Attempt = {
      endpoint: this.run.key,
      startMillis: this.startedAt,
      durationMillis: now - this.startedAt,
      outcome,
      waitMillis: this.wait.millis,
      waitCause: this.wait.cause,
      queuedMillis: this.queuedMillis
    }
    return phase === undefined ? attempt : { ...attempt, phase }
  }
}

/** What a rate limit counts for a call: without a bound of the answer, what the limit counts for any call, if it is more. */
const tokensOf = (estimate: CostBudget.Estimate | undefined, tokensPerCall: number): number | undefined => {
  if (estimate === undefined) return undefined
  const { inputTokens, maxTokens } = estimate
  return maxTokens === undefined ? Math.max(inputTokens, tokensPerCall) : inputTokens + maxTokens
}
