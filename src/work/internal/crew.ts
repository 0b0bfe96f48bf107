/** The workers of a queue: one fiber looks for what is due and gives it to those that are free. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Retry from "../../policy/Retry.ts"
import type { Job, StopReport } from "../WorkQueue.ts"
import type { Reason, StoreFailed, WorkQueueError } from "../WorkQueueError.ts"
import type { Backlog, Claim, Fate, Priority } from "../WorkStore.ts"
import { fateOf } from "./fate.ts"
import type { Codec } from "./payload.ts"

export interface Duty<A, B, E> {
  readonly name: string
  readonly backlog: Backlog
  readonly codec: Codec<A>
  readonly retry: Retry.Retry
  readonly work: (job: Job<A>) => Effect.Effect<B, E>
  readonly workers: number
  readonly fibers: FiberSet.FiberSet<void>
  /** Told of each job that is over. */
  readonly onEnd: (id: string, exit: Exit.Exit<B, E | WorkQueueError>) => void
  readonly failed: (reason: Reason) => WorkQueueError
}

/** How long to leave a store alone that has failed, in milliseconds. */
const restMillis = 1000

export class Crew<A, B, E> {
  private readonly duty: Duty<A, B, E>
  /** Workers that are taking a job, by its class. */
  private readonly taking: Record<Priority, number> = { high: 0, normal: 0, low: 0 }
  /** Workers that have one. */
  running = 0
  isStopping = false
  private ended = 0
  private given = 0

  constructor(duty: Duty<A, B, E>) {
    this.duty = duty
  }

  /** Gives out jobs until the queue stops. */
  run(): Effect.Effect<void> {
    const { backlog, workers } = this.duty
    return Effect.gen({ self: this }, function* () {
      while (!this.isStopping) {
        const changed = backlog.next()
        const { high, low, normal } = this.taking
        const free = workers - this.running - high - normal - low
        const due = free === 0 ? [] : yield* this.due(free)
        for (const priority of due) yield* this.employ(priority)
        if (due.length > 0) continue
        yield* free === 0 ? changed : Effect.raceFirst(changed, backlog.pause())
      }
    })
  }

  /** Waits for the running jobs, gives back those that take longer, and says how many of each there were. */
  end(grace: Duration.Input): Effect.Effect<StopReport> {
    const { backlog, fibers } = this.duty
    return Effect.gen({ self: this }, function* () {
      this.isStopping = true
      const before = this.ended
      backlog.ring()
      yield* Effect.timeoutOption(this.idle(), grace)
      const finished = this.ended - before
      yield* FiberSet.clear(fibers)
      backlog.ring()
      return { finished, interrupted: this.given }
    })
  }

  private idle(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        const changed = this.duty.backlog.next()
        if (this.running === 0) return
        yield* changed
      }
    })
  }

  /** What is due beyond what is being taken at the moment. */
  private due(free: number): Effect.Effect<ReadonlyArray<Priority>> {
    const { backlog } = this.duty
    return Effect.suspend(() => {
      const taking = { ...this.taking }
      return backlog.due(free + taking.high + taking.normal + taking.low).pipe(
        Effect.map((all) => all.filter((priority) => taking[priority]-- <= 0).slice(0, free)),
        Effect.catch((error) => Effect.as(this.rest("cannot look for jobs", error), []))
      )
    })
  }

  private employ(priority: Priority): Effect.Effect<unknown> {
    this.taking[priority] += 1
    const take = Effect.ensuring(
      Effect.catch(this.duty.backlog.take(priority), (error) =>
        Effect.as(this.rest("cannot take a job", error), undefined)
      ),
      Effect.sync(() => {
        this.taking[priority] -= 1
      })
    )
    return FiberSet.run(
      this.duty.fibers,
      Effect.uninterruptible(
        Effect.flatMap(take, (claim) => (claim === undefined ? Effect.void : this.serve(claim, priority))).pipe(
          Effect.ensuring(Effect.sync(() => this.duty.backlog.ring()))
        )
      )
    )
  }

  private serve(claim: Claim, priority: Priority): Effect.Effect<void> {
    if (this.isStopping) return Effect.asVoid(this.settle(claim, { _tag: "Back" }))
    this.running += 1
    return Effect.gen({ self: this }, function* () {
      const { codec, failed, onEnd, retry, work } = this.duty
      const decoded = Effect.mapError(codec.decode(claim.element), failed)
      const exit = yield* Effect.exit(
        Effect.flatMap(decoded, (payload) =>
          Effect.interruptible(Effect.suspend(() => work({ id: claim.id, payload, priority, attempt: claim.attempt })))
        )
      )
      const fate = Exit.isFailure(exit) ? yield* this.fate(retry, claim.attempt, exit.cause) : done
      const lost = yield* this.settle(claim, fate)
      if (fate._tag === "Back") this.given += 1
      else this.ended += 1
      if (lost !== undefined) onEnd(claim.id, Exit.fail(failed(lost)))
      else if (fate._tag === "Done" || fate._tag === "Dead") onEnd(claim.id, exit)
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          this.running -= 1
        })
      )
    )
  }

  /** Where the store does not learn of it, the job comes again. */
  private settle(claim: Claim, fate: Fate): Effect.Effect<StoreFailed | undefined> {
    return Effect.catch(Effect.as(claim.settle(fate), undefined), (error) =>
      Effect.as(this.warn(`cannot settle the job ${claim.id}, which will be done again`, error), error)
    )
  }

  private rest(what: string, error: StoreFailed): Effect.Effect<void> {
    return Effect.andThen(this.warn(what, error), Effect.interruptible(Effect.sleep(Duration.millis(restMillis))))
  }

  private warn(what: string, error: StoreFailed): Effect.Effect<void> {
    return Effect.logWarning(`work queue ${JSON.stringify(this.duty.name)}: ${what}: ${error.message}`)
  }

  private fate(retry: Retry.Retry, attempt: number, cause: Cause.Cause<E | WorkQueueError>): Effect.Effect<Fate> {
    // Only the queue's own end gives a job back: one that interrupts itself would come back for ever.
    if (this.isStopping && Cause.hasInterruptsOnly(cause)) return Effect.succeed({ _tag: "Back" })
    return fateOf(retry, attempt, cause)
  }
}

const done: Fate = { _tag: "Done" }
