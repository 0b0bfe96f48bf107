/** A collection that is opened by the first call that needs it, and what every call has around it. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Recorder, Story } from "../../policy/Attempt.ts"
import * as Deadline from "../../policy/Deadline.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { type Reason, VectorError } from "../VectorError.ts"
import type { Collection, Driver } from "./driver.ts"

/** What an error says beside its reason. */
export type Blame = () => {
  readonly items?: number
  readonly finished?: number
  readonly unfinished?: ReadonlyArray<string>
}

const nothingMore: Blame = () => ({})

/** Opens the collection, for vectors of this length where it is made. */
export type Open = (dimensions: number | undefined) => Effect.Effect<Collection | undefined, Reason>

export class Opening {
  private readonly driver: Driver
  private readonly one = Semaphore.makeUnsafe(1)
  private current: Collection | undefined

  constructor(driver: Driver) {
    this.driver = driver
  }

  /** Of the collection's vectors, where they are known. */
  get dimensions(): number | undefined {
    return this.current?.dimensions
  }

  /** One call: its span, its story, and its failure as the error of the service. */
  call<A>(
    name: string,
    size: number | undefined,
    run: (opened: Open) => Effect.Effect<A, Reason>,
    blame: Blame = nothingMore
  ): Effect.Effect<A, VectorError> {
    return Effect.contextWith((context: Context.Context<never>) => {
      const recorder = new Recorder()
      const around = Context.get(context, Story)
      const { collection, provider } = this.driver
      const told = Effect.mapError(
        Effect.suspend(() => run(this.open)),
        (reason) => {
          // Dropped under our hands: the next call looks for it anew.
          if (reason._tag === "CollectionNotFound") this.current = undefined
          return new VectorError({ provider, reason, attempts: recorder.attempts, ...blame() })
        }
      )
      const storied = Effect.provideService(told, Story, recorder)
      const heard =
        around === undefined
          ? storied
          : Effect.ensuring(
              storied,
              Effect.sync(() => around.attempts.push(...recorder.attempts))
            )
      return Effect.withSpan(heard, `VectorStore.${name}`, {
        kind: "client",
        attributes: {
          "db.system.name": provider,
          "db.operation.name": name,
          "db.collection.name": collection,
          ...(size === undefined ? undefined : { "db.operation.batch.size": size })
        }
      })
    })
  }

  /** The collection, opened by the first who needs it while the others wait. */
  private readonly open: Open = (dimensions) =>
    Effect.suspend(() => {
      if (this.current !== undefined) return Effect.succeed(this.current)
      const opened = Effect.suspend(() =>
        this.current !== undefined
          ? Effect.succeed(this.current)
          : Effect.tap(this.driver.open(this.driver.dimensions ?? dimensions), (collection) =>
              Effect.sync(() => {
                this.current = collection
              })
            )
      )
      return inTime(this.one.withPermit(opened), this.driver.provider)
    })
}

/** Who opens a collection fails at the deadline by its policy, with its story; who waits for that, a moment later. */
const graceMillis = 50

const inTime = <A>(self: Effect.Effect<A, Reason>, key: string): Effect.Effect<A, Reason> =>
  Effect.withFiber((fiber) => {
    const totalMillis = fiber.getRef(Deadline.Current) - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
    if (totalMillis === Infinity) return self
    return Timer.within(
      self,
      Math.max(0, totalMillis) + graceMillis,
      () => new DeadlineExceeded({ key, totalMillis: Math.max(0, totalMillis), phase: "notSent" })
    )
  })
