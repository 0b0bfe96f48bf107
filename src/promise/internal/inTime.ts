/** A call of several answers, until its time is over. Loaded with the first call for an object or with tools. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Llm } from "../../llm/Llm.ts"
import { LlmError } from "../../llm/LlmError.ts"
import { Totals } from "../../llm/internal/totals.ts"
import * as Deadline from "../../policy/Deadline.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { type AnyFiber, deadlineOf, nowOf, totalOf } from "./whole.ts"

/** The time that the call sets for itself, or what is left of the deadline around, in milliseconds; `Infinity` for no end. */
export const leftOf = (fiber: AnyFiber): number =>
  Math.min(totalOf(fiber), Math.max(0, fiber.getRef(Deadline.Current) - nowOf(fiber)))

/** A model that keeps the deadline itself fails with its own story, this much before all is interrupted. */
export const graceMillis = 50

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
