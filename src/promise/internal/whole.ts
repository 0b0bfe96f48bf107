/** The time of a call, over all that it is made of: members that are asked in turn, answers, tools, requests. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Llm } from "../../llm/Llm.ts"
import { LlmError } from "../../llm/LlmError.ts"
import { Totals } from "../../llm/internal/totals.ts"
import * as Deadline from "../../policy/Deadline.ts"
import * as Policy from "../../policy/Policy.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
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

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The time that the call sets for itself, in milliseconds; `Infinity` where it sets none. */
const totalOf = (fiber: AnyFiber): number =>
  Duration.toMillis(fiber.getRef(Policy.Override)?.timeout?.total ?? Duration.infinity)

const nowOf = (fiber: AnyFiber): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** The same, or what is left of the deadline around. */
export const leftOf = (fiber: AnyFiber): number =>
  Math.min(totalOf(fiber), Math.max(0, fiber.getRef(Deadline.Current) - nowOf(fiber)))

/** The end of so much time, or of what there is around. */
const deadlineOf = (fiber: AnyFiber, totalMillis: number): number =>
  Math.min(fiber.getRef(Deadline.Current), nowOf(fiber) + totalMillis)

/** Gives all requests of a call the time that the call sets for itself, where each would have it anew. */
export const together = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => Effect.provideService(self, Deadline.Current, deadlineOf(fiber, totalOf(fiber))))

/** The same model, of several that are asked in turn: they have the `total` time of a call together. */
export const ofSeveral = <E>(layer: Layer.Layer<Llm, E>, policy: Policy.Policy): Layer.Layer<Llm, E> =>
  Layer.flatMap(layer, (context) => {
    const { generateText, streamText } = Context.get(context, Llm)
    const endOf = (fiber: AnyFiber): number => {
      const override = fiber.getRef(Policy.Override)
      const { timeout } = override === undefined ? policy : Policy.merge(policy, override)
      return deadlineOf(fiber, timeout.totalMillis)
    }
    return Layer.succeed(Llm, {
      generateText: (request) =>
        Effect.withFiber((fiber) => Effect.provideService(generateText(request), Deadline.Current, endOf(fiber))),
      streamText: (request) =>
        Stream.unwrap(
          Effect.withFiber((fiber) =>
            Effect.succeed(Stream.provideService(streamText(request), Deadline.Current, endOf(fiber)))
          )
        )
    })
  })

/** A model that keeps the deadline itself fails with its own story, this much before all is interrupted. */
export const graceMillis = 50

/** A call of several answers, until its time is over. */
class Whole {
  readonly deadlineAt: number
  readonly waitMillis: number
  private readonly name: string
  private readonly totalMillis: number
  private readonly totals = new Totals()

  constructor(fiber: AnyFiber, name: string, totalMillis: number) {
    this.name = name
    this.totalMillis = totalMillis
    this.deadlineAt = deadlineOf(fiber, totalMillis)
    this.waitMillis = Math.max(0, this.deadlineAt - nowOf(fiber)) + graceMillis
  }

  /** The failure at the end of the time, with what was used until then. */
  readonly late = (): LlmError => {
    const { name: key, totalMillis } = this
    const reason = new DeadlineExceeded({ key, totalMillis, phase: "maybeSent" })
    return this.totals.failed(new LlmError({ provider: "llm", reason, attempts: [] }))
  }

  readonly counting = (llm: Llm["Service"]): Llm["Service"] => ({
    generateText: (request) =>
      Effect.tap(llm.generateText(request), (answer) => Effect.sync(() => this.totals.add(answer))),
    streamText: (request) =>
      Stream.tap(llm.streamText(request), (event) =>
        event.type === "finish" ? Effect.sync(() => this.totals.add(event)) : Effect.void
      )
  })
}

/**
 * Gives a call of several answers, and of the tools between them, the time that it sets for itself, or that is left of
 * the deadline around, and interrupts what runs at its end. The error has the usage, cost and attempts of the answers until then.
 */
export const inTime = <A, E, R>(self: Effect.Effect<A, E, R>, name: string): Effect.Effect<A, E | LlmError, R | Llm> =>
  Effect.withFiber((fiber) => {
    const totalMillis = leftOf(fiber)
    if (totalMillis === Infinity) return self
    const whole = new Whole(fiber, name, totalMillis)
    const counted = Effect.updateService(self, Llm, whole.counting)
    return Timer.within(
      Effect.provideService(counted, Deadline.Current, whole.deadlineAt),
      whole.waitMillis,
      whole.late
    )
  })

/** The same for a stream. */
export const streamInTime = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  name: string
): Stream.Stream<A, E | LlmError, R | Llm> =>
  Stream.unwrap(
    Effect.withFiber((fiber) => {
      const totalMillis = leftOf(fiber)
      if (totalMillis === Infinity) return Effect.succeed(self)
      const whole = new Whole(fiber, name, totalMillis)
      const counted = Stream.updateService(self, Llm, whole.counting)
      const over = Effect.andThen(
        Effect.sleep(whole.waitMillis),
        Effect.suspend(() => Effect.fail(whole.late()))
      )
      return Effect.succeed(
        Stream.interruptWhen(Stream.provideService(counted, Deadline.Current, whole.deadlineAt), over)
      )
    })
  )
