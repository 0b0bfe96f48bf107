/** What a client stands on beside its options: `VirtualTime` puts its clock there. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { defaultClock } from "../../policy/Timer.ts"

/** Under this name `createClient` takes it. One symbol for all copies of the package. */
export const ground: unique symbol = Symbol.for("holdfast/promise/ground")

/** Puts a layer on other ground. */
export type Ground = <A, E, R>(layer: Layer.Layer<A, E, R>) => Layer.Layer<A, E, R>

/** The machine's. */
export const bare: Ground = (layer) => layer

const isGround = (u: unknown): u is Ground => typeof u === "function"

/** The ground that is among the options. */
export const groundOf = (options: object): Ground => {
  const given: unknown = Reflect.get(options, ground)
  return isGround(given) ? given : bare
}

/** Runs what is no call, by the ground's own clock. */
export const runOn = <A>(self: Effect.Effect<A>, ground: Ground): Promise<A> =>
  Effect.runPromise(ground === bare ? self : Effect.provide(self, ground(Layer.empty)))

/** What time it is, in milliseconds since the epoch. */
export const nowOn = (ground: Ground): number =>
  ground === bare
    ? defaultClock.currentTimeMillisUnsafe()
    : Effect.runSync(Effect.provide(Clock.currentTimeMillis, ground(Layer.empty)))
