/** An open policy: the state that its calls share, and the way of each call through it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Story } from "../Attempt.ts"
import type * as Circuit from "../Circuit.ts"
import * as Concurrency from "../Concurrency.ts"
import * as CostBudget from "../CostBudget.ts"
import * as Hedge from "../Hedge.ts"
import type { Call, Held, Policy } from "../Policy.ts"
import { Draining, type PolicyError } from "../PolicyError.ts"
import * as RateLimit from "../RateLimit.ts"
import * as Release from "../Release.ts"
import type { Retryable } from "../Retryable.ts"
import type * as Timeout from "../Timeout.ts"
import { Admission } from "./admission.ts"
import { budgets } from "./budgets.ts"
import * as Loop from "./loop.ts"
import { Gauges } from "./metrics.ts"
import { outcomeOf } from "./outcome.ts"
import { Run, type State } from "./run.ts"
import { merge, Override, Sending } from "./settings.ts"
import { isTraced } from "./spans.ts"

const mark = <R>(context: Context.Context<R>): Context.Context<R> => Context.add(context, Sending, true)

export class OpenPolicy implements Held {
  readonly policy: Policy
  readonly concurrency: Concurrency.Concurrency
  readonly circuit: Circuit.Circuit | undefined
  readonly rateLimit: RateLimit.RateLimit | undefined
  readonly costBudget: CostBudget.CostBudget | undefined
  private readonly state: State
  private readonly admission = new Admission()
  private readonly gauges: Gauges

  constructor(policy: Policy, circuit: Circuit.Circuit | undefined) {
    const { costBudget, hedge, rateLimit, retryBudget } = policy.options
    this.policy = policy
    this.circuit = circuit
    this.rateLimit = rateLimit === undefined ? undefined : RateLimit.makeUnsafe(rateLimit)
    this.concurrency = Concurrency.makeUnsafe(policy.options, this.rateLimit)
    this.costBudget =
      costBudget === undefined || "remaining" in costBudget ? costBudget : CostBudget.makeUnsafe(costBudget)
    this.state = {
      concurrency: this.concurrency,
      rateLimit: this.rateLimit,
      circuit,
      hedge: hedge === undefined ? undefined : Hedge.makeUnsafe(hedge),
      budgetOf: budgets(retryBudget)
    }
    const { inFlight, waiting } = this.concurrency
    this.gauges = new Gauges({ inFlight, waiting, openUntil: circuit?.openUntilUnsafe })
  }

  private begin<R>(call: Call, context: Context.Context<R>, isLease: boolean): Run<R> {
    this.gauges.see(context, call.key)
    const override = Context.get(context, Override)
    const policy = override === undefined ? this.policy : merge(this.policy, override)
    const { classify } = call
    const isOwn = classify === undefined || policy.options.retry?.classify !== undefined
    const isRelease = Context.get(context, Release.Current)
    const around = Context.get(context, CostBudget.Current)
    const costs = this.costBudget === undefined ? around : [...around, this.costBudget]
    return new Run(
      {
        call,
        state: this.state,
        retry: isOwn ? policy.retry : { ...policy.retry, classify },
        timeout: policy.timeout,
        recorder: call.recorder ?? Context.get(context, Story),
        costs: isRelease ? [] : costs,
        priority: override?.priority,
        tenant: override?.tenant,
        mark,
        isLease,
        isTraced: isTraced(context),
        isRelease
      },
      context
    )
  }

  /** Why a call may not begin. A release may, always. */
  private refusal(key: string, context: Context.Context<never>): Draining | undefined {
    if (!this.admission.isDraining || Context.get(context, Release.Current)) return undefined
    return new Draining({ key })
  }

  apply: Held["apply"] = (call) => (self) =>
    Effect.contextWith((context) => {
      const refusal = this.refusal(call.key, context)
      if (refusal !== undefined) return Effect.fail(refusal)
      const run = this.begin(call, context, false)
      return this.admission.run(
        run,
        Loop.loop(run, (wait, mustPay) => run.send(self, wait, mustPay))
      )
    })

  lease: Held["lease"] = <A, E, R>(call: Call, open: (timeout: Timeout.Timeout) => Effect.Effect<A, E, R>) =>
    Effect.contextWith((context: Context.Context<R>) => {
      const refusal = this.refusal(call.key, context)
      if (refusal !== undefined) return Effect.fail(refusal)
      const run = this.begin(call, context, true)
      const opened = open(run.timeout)
      const end = (outcome: string, usage?: CostBudget.Usage): void => {
        run.endLease(outcome, usage)
        this.admission.end(run)
      }
      const onStop = (stop: (error: Draining) => void): void => run.onStop(stop)
      const { deadlineAt, timeout, totalMillis } = run
      const looping = Loop.make<A, E, never>(run, (wait, mustPay) => run.send(opened, wait, mustPay))
      const reopen = (error: E, failure: Retryable, usage?: CostBudget.Usage): Effect.Effect<A, E | PolicyError> =>
        Effect.suspend(() => {
          run.endLease(outcomeOf(error), usage)
          return looping.after(error, failure)
        })
      const held = { deadlineAt, timeout, totalMillis, end, onStop, reopen }
      const leased = Effect.suspend(() => {
        this.admission.running.add(run)
        return Effect.onExitPrimitive(looping.first, (exit) => {
          if (Exit.isFailure(exit)) this.admission.end(run)
          return undefined
        })
      })
      return Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => end("interrupted"))),
        Effect.map(leased, (value) => ({ ...held, value }))
      )
    })

  /** Interrupts what runs. Nobody can call any more, so its gauges go. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      this.drain(0),
      Effect.sync(() => this.gauges.close())
    )
  )

  drain: Held["drain"] = (grace) =>
    Effect.gen({ self: this }, function* () {
      const { admission } = this
      admission.isDraining = true
      const before = admission.calls.length
      yield* Effect.timeoutOption(admission.idle, grace)
      const left = admission.calls
      // First those who wait for a slot, or the slots of the others would let them begin.
      this.concurrency.shedAllUnsafe()
      for (const run of left) run.refuse(new Draining({ key: "client" }))
      // What was interrupted runs its finalizers; those that take longer than this go on by themselves.
      yield* Effect.timeoutOption(admission.idle, "5 seconds")
      return { finished: before - left.length, interrupted: left.length }
    })
}
