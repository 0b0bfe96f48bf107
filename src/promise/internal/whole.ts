/** What a call sets for itself, over all that it is made of: members that are asked in turn, answers, tools, requests. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Deadline from "../../policy/Deadline.ts"
import * as Policy from "../../policy/Policy.ts"
import type { CallOptions } from "../Options.ts"
import { toSettings } from "./callOptions.ts"

/** An effect under what its call sets for itself. Throws a `TypeError` that names the option that is wrong. */
export const under = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options: CallOptions | undefined
): Effect.Effect<A, E, R> => {
  const settings = toSettings(options)
  return settings === undefined ? self : Effect.provideService(self, Policy.Override, settings)
}

/** The same for a stream, whose first pull fails where an option is wrong. */
export const streamUnder = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  options: CallOptions | undefined
): Stream.Stream<A, E, R> => {
  const { priority, tenant, timeout } = options ?? {}
  const isSet = [priority, tenant, timeout].some((value) => value !== undefined)
  return isSet ? Stream.suspend(() => Stream.provideService(self, Policy.Override, toSettings(options))) : self
}

export type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The time that the call sets for itself, in milliseconds; `Infinity` where it sets none. */
export const totalOf = (fiber: AnyFiber): number =>
  Duration.toMillis(fiber.getRef(Policy.Override)?.timeout?.total ?? Duration.infinity)

export const nowOf = (fiber: AnyFiber): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** The end of so much time, or of what there is around. */
export const deadlineOf = (fiber: AnyFiber, totalMillis: number): number =>
  Math.min(fiber.getRef(Deadline.Current), nowOf(fiber) + totalMillis)

/** Gives all requests of a call the time that the call sets for itself, where each would have it anew. */
export const together = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => Effect.provideService(self, Deadline.Current, deadlineOf(fiber, totalOf(fiber))))
