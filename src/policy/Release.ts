/**
 * Finalizers that call: a kill request, a delete, an abort. What holds a call back holds no release back: it has 5 fresh
 * seconds whatever the deadline around, and an open policy lets it pass without admission, slot, circuit or rate limit.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Deadline from "./Deadline.ts"
import { DeadlineExceeded } from "./PolicyError.ts"
import * as Timer from "./Timer.ts"

/** Whether the effect around is a release. An open policy reads it before it refuses or queues. Default: `false`. */
export const Current: Context.Reference<boolean> = Context.Reference<boolean>("holdfast/policy/Release/Current", {
  defaultValue: () => false
})

/**
 * Runs an effect as a release: under a deadline of its own and past every limit. The time counts in uninterruptible
 * regions too, where finalizers run; when it is over the effect is interrupted and the result is `DeadlineExceeded`.
 * Default time: `"5 seconds"`, within the grace of every supervisor.
 */
export const run: {
  (within?: Duration.Input): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, within?: Duration.Input): Effect.Effect<A, E | DeadlineExceeded, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, within: Duration.Input = "5 seconds") =>
    Effect.withFiber((fiber) => {
      const totalMillis = Duration.toMillis(within)
      const at = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe() + totalMillis
      return Timer.within(
        self.pipe(Effect.provideService(Deadline.Current, at), Effect.provideService(Current, true)),
        totalMillis,
        () => new DeadlineExceeded({ key: "release", totalMillis, phase: "maybeSent" })
      )
    })
)
