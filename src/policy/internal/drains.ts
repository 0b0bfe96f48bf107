/** The work that a shutdown lets finish: units, then the calls of open policies. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

/** How much ended by itself within its time, and how much was interrupted at the end of it. */
interface Counts {
  readonly finished: number
  readonly interrupted: number
}

/** What takes no new calls when it is told to, and says how the others ended: an open policy. */
export interface Drainable {
  readonly drain: (grace: Duration.Input) => Effect.Effect<Counts>
}

/** What a shutdown saw: the calls of all that was drained together, and the units of work. */
export interface Report extends Counts {
  readonly units: Counts
}

const none: Counts = { finished: 0, interrupted: 0 }

const add = (a: Counts, b: Counts): Counts => ({
  finished: a.finished + b.finished,
  interrupted: a.interrupted + b.interrupted
})

/** The shutdown that watches over a program, as the program sees it. */
export interface Watch {
  readonly isStopping: boolean
  readonly register: (drainable: Drainable) => Effect.Effect<void, never, Scope.Scope>
  readonly unit: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Whether a unit of work is around. */
const Inside: Context.Reference<boolean> = Context.Reference<boolean>("holdfast/policy/Shutdown/Inside", {
  defaultValue: () => false
})

/** What one program has in hand. */
export class Work implements Watch {
  isStopping = false
  private readonly drainables: Set<Drainable>
  private running = 0
  private readonly idle = Latch.makeUnsafe(true)
  private calls: Counts = none
  private units: Counts = none

  constructor(drainables: Iterable<Drainable>) {
    this.drainables = new Set(drainables)
  }

  register(drainable: Drainable): Effect.Effect<void, never, Scope.Scope> {
    const added = Effect.acquireRelease(
      Effect.sync(() => void this.drainables.add(drainable)),
      () => Effect.sync(() => void this.drainables.delete(drainable))
    )
    // What comes after the drain never takes a call.
    return Effect.andThen(
      added,
      Effect.suspend(() => (this.isDraining ? Effect.asVoid(drainable.drain(0)) : Effect.void))
    )
  }

  unit<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const counted = Effect.suspend(() => {
      this.running++
      this.idle.closeUnsafe()
      return Effect.onExit(Effect.provideService(self, Inside, true), () => Effect.sync(() => this.end()))
    })
    return Effect.withFiber((fiber) => {
      // A unit within a unit is a part of it: were it to wait, the whole would never finish.
      if (fiber.getRef(Inside)) return self
      return this.isStopping ? Effect.never : counted
    })
  }

  private end(): void {
    if (--this.running === 0) this.idle.openUnsafe()
  }

  /** Whether calls are refused, and no longer only units. */
  private isDraining = false

  /** Begins no more units, lets those under way finish, then drains the calls; all of it within `millis`. */
  drain(millis: number): Effect.Effect<Report> {
    return Effect.gen({ self: this }, function* () {
      const clock = yield* Clock.Clock
      const endsAt = clock.currentTimeMillisUnsafe() + millis
      this.isStopping = true
      const before = this.running
      yield* Effect.timeoutOption(this.idle.await, millis)
      this.units = { finished: before - this.running, interrupted: this.running }
      this.isDraining = true
      const left = Math.max(0, endsAt - clock.currentTimeMillisUnsafe())
      const drainOne = (drainable: Drainable): Effect.Effect<void> =>
        Effect.map(drainable.drain(left), (counts) => {
          this.calls = add(this.calls, counts)
        })
      yield* Effect.forEach([...this.drainables], drainOne, { concurrency: "unbounded", discard: true })
      return this.report
    })
  }

  /** What has been counted so far. */
  get report(): Report {
    return { ...this.calls, units: this.units }
  }
}

/** The shutdown around. Default: none; set it to `undefined` for a part of a program that is not to be waited for. */
export const Current: Context.Reference<Watch | undefined> = Context.Reference<Watch | undefined>(
  "holdfast/policy/Shutdown/Current",
  { defaultValue: () => undefined }
)

/**
 * Lets what can be drained take part in the shutdown around, until the scope closes. `Policy.open` does it for each
 * policy. Where no shutdown is around it does nothing.
 */
export const register = (drainable: Drainable): Effect.Effect<void, never, Scope.Scope> =>
  Effect.withFiber((fiber) => fiber.getRef(Current)?.register(drainable) ?? Effect.void)
