/**
 * The jobs of one name over Effect's `PersistedQueueStore`, which keeps them, locks those that are taken, counts their
 * attempts and gives back what a dead process had. It knows no classes, so each class is a queue of its own there (a lane),
 * and the ledger says in which of them something is due: a worker takes from the most urgent one.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Scope from "effect/Scope"
import { StoreFailed } from "../WorkQueueError.ts"
import type { Backlog, Corpse, Counts, Fate, Priority } from "../WorkStore.ts"
import type { Bell } from "./bell.ts"
import type { Grave, Ledger } from "./ledger.ts"
import { priorities } from "./memoryBacklog.ts"

/** How the store of Effect 4.1 knows a job that is not to be tried again, whatever its attempts. */
const deadLetterTag = "~effect/persistence/PersistedQueue/DeadLetter"

type Store = PersistedQueue.PersistedQueueStore["Service"]

export const failedStore = (description: string, cause: unknown): StoreFailed =>
  new StoreFailed({ description: cause instanceof Error ? `${description}: ${cause.message}` : description, cause })

export class PersistedBacklog implements Backlog {
  readonly isJson = true
  readonly pollInterval: Duration.Duration
  private readonly name: string
  private readonly maxAttempts: number
  private readonly store: Store
  private readonly ledger: Ledger
  private readonly lanes: ReadonlyArray<string>
  private readonly bell: Bell
  /** Nothing has changed here for a while. A store that was asked in vain sleeps for its interval: others wait with it. */
  private isQuiet = true
  /** Jobs of this process, by class. */
  private readonly own: Record<Priority, number> = { high: 0, normal: 0, low: 0 }

  constructor(options: {
    readonly name: string
    readonly maxAttempts: number
    readonly store: Store
    readonly ledger: Ledger
    readonly bell: Bell
    readonly pollInterval: Duration.Duration
  }) {
    this.name = options.name
    this.maxAttempts = options.maxAttempts
    this.store = options.store
    this.ledger = options.ledger
    this.bell = options.bell
    this.pollInterval = options.pollInterval
    this.lanes = priorities.map((priority) => this.laneOf(priority))
  }

  readonly next = (): Effect.Effect<void> => this.bell.next()
  readonly ring = (): void => this.bell.ring()
  readonly pause = (): Effect.Effect<void> =>
    Effect.andThen(
      Effect.sleep(this.pollInterval),
      Effect.sync(() => {
        this.isQuiet = true
      })
    )

  readonly offer: Backlog["offer"] = (entry, capacity) =>
    Effect.gen({ self: this }, function* () {
      const { delayMillis, element, id, isNamed, priority } = entry
      if (capacity !== Infinity) {
        const { delayed, ready } = yield* this.counts
        if (ready + delayed >= capacity) return "full" as const
      }
      const delay = delayMillis > 0 ? Duration.millis(delayMillis) : undefined
      yield* Effect.mapError(
        this.store.offer({ name: this.laneOf(priority), id, element, isCustomId: true, delay }),
        (error) => failedStore("cannot store the job", error.cause ?? error)
      )
      // The store does not say whether it knew the id.
      return isNamed ? ("known" as const) : ("added" as const)
    })

  readonly due: Backlog["due"] = (max) =>
    Effect.map(this.ledger.due(this.lanes, max), (lanes) => {
      const due: Array<Priority> = []
      for (const [index, priority] of priorities.entries()) {
        const count = Math.min(lanes[index]?.ready ?? 0, max - due.length)
        for (let i = 0; i < count; i++) due.push(priority)
      }
      if (due.length > 0 || !this.isQuiet) return due
      this.isQuiet = false
      // What a dead process had is given back by the store while somebody waits for it there.
      return priorities.filter((priority, index) => (lanes[index]?.held ?? 0) > this.own[priority]).slice(0, max)
    })

  readonly take: Backlog["take"] = (priority) =>
    Effect.uninterruptible(
      Effect.gen({ self: this }, function* () {
        const scope = yield* Scope.make()
        let delayMillis = 0
        const take = this.store.take({
          name: this.laneOf(priority),
          maxAttempts: this.maxAttempts,
          retryDelay: () => Effect.sync(() => Duration.millis(delayMillis))
        })
        const patience = Duration.sum(Duration.times(this.pollInterval, 2), Duration.millis(100))
        const taken = yield* Effect.interruptible(Effect.timeoutOption(Scope.provide(take, scope), patience)).pipe(
          Effect.onError(() => Scope.close(scope, Exit.interrupt())),
          Effect.mapError((error) => failedStore("cannot take a job", error.cause ?? error))
        )
        if (Option.isNone(taken)) {
          yield* Scope.close(scope, Exit.interrupt())
          return undefined
        }
        this.own[priority] += 1
        const settle = (fate: Fate): Effect.Effect<void, StoreFailed> => {
          if (fate._tag === "Retry") delayMillis = fate.delayMillis
          return Scope.close(scope, exitOf(fate)).pipe(
            Effect.catchCause((cause) => Effect.fail(failedStore("cannot settle the job", Cause.squash(cause)))),
            Effect.ensuring(Effect.sync(() => void (this.own[priority] -= 1)))
          )
        }
        const { attempts, element, id } = taken.value
        return { id, element, attempt: attempts, settle }
      })
    )

  get counts(): Effect.Effect<Counts, StoreFailed> {
    return Effect.map(this.ledger.counts(this.lanes), (lanes) => {
      const sum = { ready: 0, delayed: 0, running: 0, dead: 0 }
      for (const { dead, delayed, held, ready } of lanes) {
        sum.ready += ready
        sum.delayed += delayed
        sum.running += held
        sum.dead += dead
      }
      return sum
    })
  }

  readonly outcome: Backlog["outcome"] = (id) =>
    Effect.map(this.ledger.outcome(this.lanes, id), (found) =>
      typeof found === "object" ? this.corpseOf(found) : found
    )

  readonly dead: Backlog["dead"] = (limit) =>
    Effect.map(this.ledger.dead(this.lanes, limit), (all) => all.map((grave) => this.corpseOf(grave)))

  readonly revive: Backlog["revive"] = (id) => this.ledger.revive(this.lanes, id)
  readonly bury: Backlog["bury"] = (id) => this.ledger.bury(this.lanes, id)

  private laneOf(priority: Priority): string {
    return priority === "normal" ? this.name : `${this.name}/${priority}`
  }

  private corpseOf({ attempts, element, failure, id, lane }: Grave): Corpse {
    const priority = priorities[this.lanes.indexOf(lane)] ?? "normal"
    return { id, element, priority, attempts, failure }
  }
}

const exitOf = (fate: Fate): Exit.Exit<void, unknown> => {
  switch (fate._tag) {
    case "Done":
      return Exit.void
    case "Back":
      return Exit.interrupt()
    case "Retry":
      return Exit.failCause(fate.cause)
    case "Dead":
      return Exit.fail({ _tag: deadLetterTag, cause: fate.cause })
  }
}
