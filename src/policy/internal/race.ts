/** A send raced against a second one that starts when its time has come: one timer, and no fiber more than there are sends. */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Call } from "../Hedge.ts"
import * as Timer from "../Timer.ts"
import type { Latencies } from "./latencies.ts"

/** What is known of one key. */
export interface Lane {
  readonly latencies: Latencies
  /** Hedges that may start now. */
  tokens: number
}

/** One send, and the second one that may follow it. */
export class Race<A, E, R> {
  private readonly call: Call<A, E, R>
  private readonly self: Effect.Effect<A, E, R>
  private readonly lane: Lane
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<R>
  private readonly resume: (effect: Effect.Effect<A, E>) => void
  private readonly running = new Set<Fiber.Fiber<A, E>>()
  private cancelTimer: (() => void) | undefined
  private isSettled = false
  private hasLost = false
  /** Of the first send. */
  private failure: Exit.Exit<A, E> | undefined

  constructor(
    call: Call<A, E, R>,
    self: Effect.Effect<A, E, R>,
    lane: Lane,
    clock: Clock.Clock,
    context: Context.Context<R>,
    resume: (effect: Effect.Effect<A, E>) => void
  ) {
    this.call = call
    this.self = self
    this.lane = lane
    this.clock = clock
    this.context = context
    this.resume = resume
  }

  /** Starts the first send and its timer; what it returns interrupts both sends and waits for them. */
  start(delayMillis: number): Effect.Effect<void> {
    this.run(this.self, true)
    if (!this.isSettled) this.cancelTimer = Timer.after(this.clock, delayMillis, () => this.hedge())
    return Effect.suspend(() => {
      this.isSettled = true
      this.cancelTimer?.()
      this.discard(this.failure)
      return interruptAll(this.running)
    })
  }

  private hedge(): void {
    // What is slow and may not be hedged keeps its token for the next one.
    if (this.lane.tokens < 1) return
    const second = this.call.second === undefined ? this.self : this.call.second()
    if (second === undefined) return
    this.lane.tokens--
    this.run(second, false)
  }

  private run(effect: Effect.Effect<A, E, R>, isFirst: boolean): void {
    const since = this.clock.currentTimeMillisUnsafe()
    const fiber = Effect.runForkWith(this.context)(effect)
    this.running.add(fiber)
    fiber.addObserver((exit) => {
      this.running.delete(fiber)
      // A first send that lost counts with the time it had: without it the slow ones would never be measured.
      if (Exit.isSuccess(exit) || (isFirst && this.hasLost)) {
        this.lane.latencies.record(this.clock.currentTimeMillisUnsafe() - since)
      }
      this.end(exit, isFirst)
    })
  }

  private end(exit: Exit.Exit<A, E>, isFirst: boolean): void {
    if (this.isSettled) return this.discard(exit)
    if (isFirst && Exit.isFailure(exit)) this.failure = exit
    if (Exit.isFailure(exit) && this.running.size > 0) return isFirst ? undefined : this.discard(exit)
    this.isSettled = true
    this.cancelTimer?.()
    this.hasLost = !isFirst
    for (const loser of this.running) loser.interruptUnsafe()
    const result = Exit.isSuccess(exit) ? exit : (this.failure ?? exit)
    if (result !== exit) this.discard(exit)
    if (result !== this.failure) this.discard(this.failure)
    this.resume(result)
  }

  private discard(exit: Exit.Exit<A, E> | undefined): void {
    if (exit === undefined || this.call.onDiscard === undefined) return
    if (Exit.isSuccess(exit)) return this.call.onDiscard(exit.value)
    const error = Exit.findErrorOption(exit)
    if (error._tag === "Some") this.call.onDiscard(error.value)
  }
}

const interruptAll = <A, E>(fibers: ReadonlySet<Fiber.Fiber<A, E>>): Effect.Effect<void> =>
  Effect.callback<void>((done) => {
    let left = fibers.size
    if (left === 0) return done(Effect.void)
    for (const fiber of fibers) {
      fiber.addObserver(() => (--left === 0 ? done(Effect.void) : undefined))
      fiber.interruptUnsafe()
    }
  })
