/**
 * How long the caller waits in all. A deadline is a point in time, so that calls inside calls inherit what is left:
 * `min(parent, own)`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { DeadlineExceeded } from "./PolicyError.ts"
import * as Timer from "./Timer.ts"

/** The deadline around, in milliseconds since the epoch by the Clock. Default: `Infinity`. */
export const Current: Context.Reference<number> = Context.Reference<number>("holdfast/policy/Deadline/Current", {
  defaultValue: () => Infinity
})

/** What is left of the deadline around. `Duration.infinity` when there is none; never negative. */
export const remaining: Effect.Effect<Duration.Duration> = Effect.withFiber((fiber) => {
  const at = fiber.getRef(Current)
  if (at === Infinity) return Effect.succeed(Duration.infinity)
  return Effect.succeed(Duration.millis(Math.max(0, at - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())))
})

/**
 * Gives an effect, and every call inside it, until `total` from now. When the time is over the effect is interrupted
 * and the result is `DeadlineExceeded`.
 */
export const within: {
  (
    total: Duration.Input,
    key?: string
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    total: Duration.Input,
    key?: string
  ): Effect.Effect<A, E | DeadlineExceeded, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    total: Duration.Input,
    key = "call"
  ): Effect.Effect<A, E | DeadlineExceeded, R> =>
    Effect.withFiber((fiber) => {
      const totalMillis = Duration.toMillis(total)
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const at = Math.min(fiber.getRef(Current), now + totalMillis)
      return Timer.within(
        Effect.provideService(self, Current, at),
        Math.max(0, at - now),
        () => new DeadlineExceeded({ key, totalMillis, phase: "maybeSent" })
      )
    })
)

/** Runs an effect under no deadline: for finalizers, which must have time of their own. */
export const none = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Current, Infinity)
