/**
 * deadline (total) → admission (drain) → retry loop [ each send: slot → attempt timeout → send ]
 *
 * All policies as one value with production defaults, and the one loop that runs them in this order. The slot goes
 * back when its send ends, so a call that waits to retry holds none.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type Recorder, Story } from "./Attempt.ts"
import * as Concurrency from "./Concurrency.ts"
import { Run } from "./internal/run.ts"
import { Draining, type PolicyError } from "./PolicyError.ts"
import * as Retry from "./Retry.ts"
import type { Retryable } from "./Retryable.ts"
import * as Telemetry from "./Telemetry.ts"
import * as Timeout from "./Timeout.ts"

export interface Options extends Concurrency.Options {
  readonly retry?: Retry.Options | undefined
  readonly timeout?: Timeout.Options | undefined
}

/** An immutable policy. It holds no state: `open` makes the slots and counters that calls share. */
export interface Policy {
  readonly options: Options
  readonly retry: Retry.Retry
  readonly timeout: Timeout.Timeout
}

/** A policy of these options; what is left out has its default. */
export const make = (options: Options = {}): Policy => ({
  options,
  retry: Retry.make(options.retry),
  timeout: Timeout.make(options.timeout)
})

/** The policy without any option set. */
export const defaults: Policy = make()

/** A policy with some options changed: the parts that `options` names win, one by one. */
export const merge = (self: Policy, options: Options): Policy =>
  make({
    ...self.options,
    ...options,
    retry: { ...self.options.retry, ...options.retry },
    timeout: { ...self.options.timeout, ...options.timeout }
  })

/** Settings for the calls inside, merged over those of the layer. State (slots, counters) is never changed by it. */
export const Override: Context.Reference<Pick<Options, "retry" | "timeout"> | undefined> = Context.Reference<
  Pick<Options, "retry" | "timeout"> | undefined
>("holdfast/policy/Policy/Override", { defaultValue: () => undefined })

/** Set under a policy's send. What is under it (`ResilientHttpClient`) sends exactly once: one owner of retries. */
export const Sending: Context.Reference<boolean> = Context.Reference<boolean>("holdfast/policy/Policy/Sending", {
  defaultValue: () => false
})

/** What one call says of itself. */
export interface Call {
  /** Which slots it takes: for HTTP the origin. */
  readonly key: string
  /** What a second send can do. */
  readonly safety: Retry.Safety
  /** Reads errors that do not speak for themselves. Default: the policy's own, then the error's members. */
  readonly classify?: ((error: unknown) => Retryable) | undefined
  /** Told of a failure that does not become the call's result, to release what it holds. */
  readonly onDiscard?: ((error: unknown) => void) | undefined
  /** Writes the story of this call. Default: the recorder in `Attempt.Story`, if any. */
  readonly recorder?: Recorder | undefined
}

/** A send that has succeeded and still holds its slot: a stream that is being read. */
export interface Lease<A> {
  readonly value: A
  /** The call's deadline, milliseconds since the epoch; `Infinity` when there is none. */
  readonly deadlineAt: number
  /** What the call had in all, in milliseconds. */
  readonly totalMillis: number
  /** The times in force for this call. */
  readonly timeout: Timeout.Timeout
  /** Gives the slot back and ends the attempt's record. More calls do nothing. */
  readonly end: (outcome: string) => void
  /** Sets what ends the reader when the client is closed under it. */
  readonly onStop: (stop: (error: Draining) => void) => void
}

/** What `drain` saw. */
export interface DrainReport {
  /** Calls that ended by themselves within the grace. */
  readonly finished: number
  /** Calls that were interrupted at its end. */
  readonly interrupted: number
}

/** An open policy: the same slots and counters for everybody who calls through it. */
export interface Held {
  readonly policy: Policy
  readonly concurrency: Concurrency.Concurrency
  /** Runs an effect under the policy: the whole call. */
  readonly apply: (call: Call) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | PolicyError, R>
  /**
   * Opens a stream under the policy: retries until `open` succeeds, then keeps the slot until `end`, or until the scope
   * closes. `open` bounds its own time by the times it is given; the total deadline is kept here.
   */
  readonly lease: <A, E, R>(
    call: Call,
    open: (timeout: Timeout.Timeout) => Effect.Effect<A, E, R>
  ) => Effect.Effect<Lease<A>, E | PolicyError, R | Scope.Scope>
  /** Takes no new calls, waits for those in flight until the grace ends, interrupts the rest, and reports. */
  readonly drain: (grace: Duration.Input) => Effect.Effect<DrainReport>
}

/** The calls in flight of one open policy, and whether it takes new ones. */
class Admission {
  readonly running = new Set<{ readonly refuse: (error: Draining) => void }>()
  isDraining = false
  private onIdle: Array<() => void> = []

  /** Runs a call and counts it as running meanwhile. */
  run<A, E, R, R2>(run: Run<R2>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const counted = Effect.suspend(() => {
      this.running.add(run)
      return self
    })
    return Effect.onExit(counted, () => Effect.sync(() => this.end(run)))
  }

  end<R2>(run: Run<R2>): void {
    if (!this.running.delete(run) || this.running.size > 0) return
    for (const idle of this.onIdle.splice(0)) idle()
  }

  /** Waits until nothing runs. */
  readonly idle: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.running.size === 0) return resume(Effect.void)
    this.onIdle.push(() => resume(Effect.void))
  })
}

const mark = <R>(context: Context.Context<R>): Context.Context<R> => Context.add(context, Sending, true)

class OpenPolicy implements Held {
  readonly policy: Policy
  readonly concurrency: Concurrency.Concurrency
  private readonly admission = new Admission()
  private readonly gauges: Telemetry.Gauges

  constructor(policy: Policy) {
    this.policy = policy
    this.concurrency = Concurrency.makeUnsafe(policy.options)
    this.gauges = new Telemetry.Gauges(this.concurrency)
  }

  private begin<R>(call: Call, context: Context.Context<R>, isLease: boolean): Run<R> {
    this.gauges.see(context, call.key)
    const override = Context.get(context, Override)
    const policy = override === undefined ? this.policy : merge(this.policy, override)
    const recorder = call.recorder ?? Context.get(context, Story)
    const { key, safety } = call
    const { timeout } = policy
    const { classify } = call
    const retry =
      classify === undefined || policy.options.retry?.classify !== undefined
        ? policy.retry
        : { ...policy.retry, classify }
    return new Run(
      {
        key,
        safety,
        retry,
        timeout,
        recorder,
        concurrency: this.concurrency,
        mark,
        isLease,
        isTraced: Telemetry.isTraced(context),
        onDiscard: call.onDiscard
      },
      context
    )
  }

  apply: Held["apply"] = (call) => (self) =>
    Effect.contextWith((context) => {
      if (this.admission.isDraining) return Effect.fail(new Draining({ key: call.key }))
      const run = this.begin(call, context, false)
      return this.admission.run(
        run,
        Retry.loop(run, (wait) => run.send(self, wait))
      )
    })

  lease: Held["lease"] = (call, open) =>
    Effect.contextWith((context) => {
      if (this.admission.isDraining) return Effect.fail(new Draining({ key: call.key }))
      const run = this.begin(call, context, true)
      const opened = open(run.timeout)
      const end = (outcome: string): void => {
        run.endLease(outcome)
        this.admission.end(run)
      }
      const onStop = (stop: (error: Draining) => void): void => {
        run.stop = stop
      }
      const { deadlineAt, timeout, totalMillis } = run
      const held = { deadlineAt, timeout, totalMillis, end, onStop }
      const leased = Effect.suspend(() => {
        this.admission.running.add(run)
        return Effect.onExit(
          Retry.loop(run, (wait) => run.send(opened, wait)),
          (exit) => (Exit.isFailure(exit) ? Effect.sync(() => this.admission.end(run)) : Effect.void)
        )
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
      const before = admission.running.size
      yield* Effect.timeoutOption(admission.idle, grace)
      const interrupted = admission.running.size
      // First those who wait for a slot, or the slots of the others would let them begin.
      this.concurrency.shedAllUnsafe()
      for (const run of admission.running) run.refuse(new Draining({ key: "client" }))
      // What was interrupted runs its finalizers; those that take longer than this go on by themselves.
      yield* Effect.timeoutOption(admission.idle, "5 seconds")
      return { finished: before - interrupted, interrupted }
    })
}

/** Makes the slots and counters of a policy. Closing the scope interrupts what still runs through it. */
export const open = (policy: Policy): Effect.Effect<Held, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new OpenPolicy(policy)),
    (held) => held.close
  )

/** Opens a policy; one that is open already stays as it is, and whoever opened it closes it. */
export const hold = (policy: Policy | Held): Effect.Effect<Held, never, Scope.Scope> =>
  "apply" in policy ? Effect.succeed(policy) : open(policy)
