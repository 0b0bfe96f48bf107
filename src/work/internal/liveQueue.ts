/** A queue as its users see it. */
import { randomUUID } from "node:crypto"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { DeadLetter, Handle, OfferOptions, StopReport, WorkQueue } from "../WorkQueue.ts"
import { JobDead, QueueFull, type Reason, ResultElsewhere, Stopped, WorkQueueError } from "../WorkQueueError.ts"
import type { Backlog, Corpse } from "../WorkStore.ts"
import { Crew, type Duty } from "./crew.ts"
import { Handles, type Result } from "./handles.ts"

export interface Plan<A, B, E> extends Omit<Duty<A, B, E>, "onEnd" | "failed"> {
  readonly capacity: number
  readonly whenFull: "wait" | "refuse"
}

export class LiveQueue<A, B, E> implements WorkQueue<A, B, E> {
  readonly name: string
  private readonly plan: Plan<A, B, E>
  private readonly backlog: Backlog
  private readonly crew: Crew<A, B, E>
  private readonly handles = new Handles<B, E | WorkQueueError>()
  /** Offers that wait for a place stand in line here, so that one of them looks at a time. */
  private readonly door = Semaphore.makeUnsafe(1)
  private stopping: Deferred.Deferred<StopReport> | undefined

  constructor(plan: Plan<A, B, E>) {
    this.plan = plan
    this.name = plan.name
    this.backlog = plan.backlog
    this.crew = new Crew({
      ...plan,
      failed: (reason) => this.failed(reason),
      onEnd: (id, exit) => this.handles.settle(id, exit)
    })
  }

  /** Starts the workers. The end of the scope interrupts them. */
  start(): Effect.Effect<void, never, Scope.Scope> {
    const close = Effect.sync(() => {
      this.crew.isStopping = true
      this.forsake()
    })
    const run = this.plan.workers > 0 ? Effect.forkScoped(this.crew.run()) : Effect.void
    return Effect.andThen(
      Effect.addFinalizer(() => close),
      run
    )
  }

  readonly offer = (payload: A, options: OfferOptions = {}): Effect.Effect<Handle<B, E>, WorkQueueError> =>
    Effect.gen({ self: this }, function* () {
      const { capacity, codec } = this.plan
      const { delay, id = randomUUID(), priority = "normal", whenFull = this.plan.whenFull } = options
      const element = yield* this.ask(codec.encode(payload))
      const delayMillis = delay === undefined ? 0 : Duration.toMillis(delay)
      const entry = { id, isNamed: options.id !== undefined, element, priority, delayMillis }
      const result = this.handles.of(id)
      const add = Effect.suspend(() =>
        this.crew.isStopping ? this.fail(new Stopped()) : this.ask(this.backlog.offer(entry, capacity))
      )
      const added = yield* whenFull === "wait" ? this.door.withPermit(this.whenFree(add)) : add
      if (added === "full") return yield* this.fail(new QueueFull({ capacity }))
      this.backlog.ring()
      // A job that is known may be dead already. Of what is stored, the handle looks for itself.
      if (added === "known" && this.backlog.pollInterval === undefined) yield* this.look(id, result)
      return this.handleOf(id, result)
    })

  get size(): WorkQueue<A, B, E>["size"] {
    return this.ask(this.backlog.counts)
  }

  get join(): Effect.Effect<void, WorkQueueError> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const changed = this.backlog.next()
        if (this.crew.running === 0) {
          const { delayed, ready, running } = yield* this.size
          if (ready + delayed + running === 0) return
          if (this.crew.isStopping) return yield* this.fail(new Stopped())
        }
        yield* this.wait(changed)
      }
    })
  }

  readonly deadLetters = (limit = 100): Effect.Effect<ReadonlyArray<DeadLetter>, WorkQueueError> =>
    Effect.map(this.ask(this.backlog.dead(limit)), (all) =>
      all.map(({ attempts, element, failure, id, priority }) => ({ id, payload: element, priority, attempts, failure }))
    )

  readonly reoffer = (id: string): Effect.Effect<Handle<B, E> | undefined, WorkQueueError> =>
    Effect.suspend(() => {
      // Before it is in the line, so that its result cannot be missed.
      const result = this.handles.of(id)
      return Effect.map(this.ask(this.backlog.revive(id)), (isBack) => {
        if (isBack) this.backlog.ring()
        return isBack ? this.handleOf(id, result) : undefined
      })
    })

  readonly discard = (id: string): Effect.Effect<boolean, WorkQueueError> => this.ask(this.backlog.bury(id))

  readonly stop: WorkQueue<A, B, E>["stop"] = ({ grace = "5 seconds" } = {}) =>
    Effect.suspend(() => {
      if (this.stopping !== undefined) return Deferred.await(this.stopping)
      const stopping = (this.stopping = Deferred.makeUnsafe<StopReport>())
      return this.crew.end(grace).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            this.forsake()
            Deferred.doneUnsafe(stopping, exit)
          })
        )
      )
    })

  /** Repeats an offer until there is a place. */
  private whenFree<T, X>(add: Effect.Effect<T | "full", X>): Effect.Effect<T | "full", X> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const changed = this.backlog.next()
        const added = yield* add
        if (added !== "full") return added
        yield* this.wait(changed)
      }
    })
  }

  private handleOf(id: string, result: Result<B, E | WorkQueueError>): Handle<B, E> {
    const { pollInterval } = this.backlog
    const here = Deferred.await(result)
    const settled = pollInterval === undefined ? here : Effect.raceFirst(here, this.watch(id, result, pollInterval))
    return { id, await: settled, result: Effect.exit(settled) }
  }

  /** Looks for what another process has made of the job. */
  private watch(
    id: string,
    result: Result<B, E | WorkQueueError>,
    interval: Duration.Duration
  ): Effect.Effect<never, WorkQueueError> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        yield* Effect.sleep(interval)
        yield* this.look(id, result, interval)
      }
    })
  }

  private look(
    id: string,
    result: Result<B, E | WorkQueueError>,
    patience: Duration.Input = 0
  ): Effect.Effect<void, WorkQueueError> {
    return Effect.gen({ self: this }, function* () {
      const outcome = yield* this.ask(this.backlog.outcome(id))
      if (outcome === undefined) return
      // This process tells the store before it tells the handle.
      if (!Deferred.isDoneUnsafe(result)) yield* Effect.sleep(patience)
      if (!Deferred.isDoneUnsafe(result)) this.handles.settle(id, Exit.fail(this.failed(over(id, outcome))))
    })
  }

  private wait(changed: Effect.Effect<void>): Effect.Effect<void> {
    const { pollInterval } = this.backlog
    return pollInterval === undefined ? changed : Effect.raceFirst(changed, Effect.sleep(pollInterval))
  }

  private forsake(): void {
    this.handles.settleAll(Exit.fail(this.failed(new Stopped())))
    this.backlog.ring()
  }

  private failed(reason: Reason): WorkQueueError {
    return new WorkQueueError({ queue: this.name, reason })
  }

  private fail(reason: Reason): Effect.Effect<never, WorkQueueError> {
    return Effect.fail(this.failed(reason))
  }

  private ask<T, X extends Reason>(effect: Effect.Effect<T, X>): Effect.Effect<T, WorkQueueError> {
    return Effect.mapError(effect, (reason) => this.failed(reason))
  }
}

const over = (id: string, outcome: "done" | Corpse): Reason =>
  outcome === "done" ? new ResultElsewhere({ id }) : new JobDead({ id, failure: outcome.failure })
