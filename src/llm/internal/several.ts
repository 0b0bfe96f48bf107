/** One `Llm` over several: a call with its total and its whole story, whoever of them is asked. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Attempt } from "../../policy/Attempt.ts"
import * as Deadline from "../../policy/Deadline.ts"
import type * as Fallback from "../../policy/Fallback.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import { type Answer, Llm, type Request, type StreamEvent } from "../Llm.ts"
import { LlmError } from "../LlmError.ts"

/** One of those that can answer. */
export interface Member extends Fallback.Alternative {
  readonly llm: Llm["Service"]
}

/** A member's failure, after which the call moved on. */
export interface Failed {
  readonly name: string
  readonly error: LlmError
}

export interface Settings {
  /** Whose deadline it is, and the provider of its error. */
  readonly key: string
  /** The whole call over all members. Default: none. */
  readonly total: Duration.Input | undefined
  /** Told once a member gives an answer that others failed to give. */
  readonly onServed?: ((failed: ReadonlyArray<Failed>, nowMillis: number) => void) | undefined
}

/** What a policy reads: a reason says more than the error around it. */
export const reasonOf = (error: unknown): unknown => (error instanceof LlmError ? error.reason : error)

/** The name of a member without one. */
export const nameOf = (name: string | undefined, index: number): string => name ?? `llm ${index + 1}`

/** Builds a member's service, which lives as long as the scope. */
export const build = <E, R>(llm: Layer.Layer<Llm, E, R>): Effect.Effect<Llm["Service"], E, R | Scope.Scope> =>
  Effect.map(Layer.build(llm), (context) => Context.get(context, Llm))

/** One call on its way: who was asked, and what they said. */
class Told {
  private readonly settings: Settings
  private readonly clock: Clock.Clock
  private readonly attempts: Array<Attempt> = []
  private readonly failures: Array<Failed> = []
  private name = ""
  private isServed = false

  constructor(settings: Settings, clock: Clock.Clock) {
    this.settings = settings
    this.clock = clock
  }

  asks(member: Member): Llm["Service"] {
    this.name = member.name
    return member.llm
  }

  readonly failed = (error: LlmError): Effect.Effect<void> =>
    Effect.sync(() => {
      this.attempts.push(...error.attempts)
      this.failures.push({ name: this.name, error })
    })

  private served(): void {
    if (this.isServed) return
    this.isServed = true
    if (this.failures.length > 0) this.settings.onServed?.(this.failures, this.clock.currentTimeMillisUnsafe())
  }

  /** The answer, after what those before it told. A member that is several itself tells who of them it was. */
  readonly answer = <A extends Pick<Answer, "attempts" | "servedBy">>(answer: A): A => {
    this.served()
    const servedBy = answer.servedBy === undefined ? this.name : `${this.name}/${answer.servedBy}`
    return { ...answer, servedBy, attempts: [...this.attempts, ...answer.attempts] }
  }

  readonly event = (event: StreamEvent): StreamEvent => {
    if (event.type === "finish") return this.answer(event)
    this.served()
    return event
  }

  /** The last failure, with the attempts of all. */
  readonly error = (error: LlmError | DeadlineExceeded): LlmError => {
    const { attempts } = this
    if (!(error instanceof LlmError)) return new LlmError({ provider: this.settings.key, reason: error, attempts })
    if (attempts.length === error.attempts.length) return error
    const { cost, headers, provider, reason, requestId, usage } = error
    return new LlmError({ provider, reason, attempts, requestId, headers, usage, cost })
  }
}

/** Members that keep the deadline themselves fail with their own story, this much before they are interrupted. */
const graceMillis = 50

/** The service over members that a fallback chooses from. */
export const make = <M extends Member>(fallback: Fallback.Fallback<M>, settings: Settings): Llm["Service"] => {
  const totalMillis = Duration.toMillis(settings.total ?? Duration.infinity)
  const exceeded = (): DeadlineExceeded => new DeadlineExceeded({ key: settings.key, totalMillis, phase: "maybeSent" })
  const over = Effect.andThen(
    Effect.sleep(totalMillis + graceMillis),
    Effect.suspend(() => Effect.fail(exceeded()))
  )
  /** Gives a call its story and the deadline that the members read: this one, or an earlier one around. */
  const begin = <A, E, R>(call: (told: Told, deadlineAt: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const own = clock.currentTimeMillisUnsafe() + totalMillis
      return call(new Told(settings, clock), Math.min(fiber.getRef(Deadline.Current), own))
    })
  const generateText = (request: Request): Effect.Effect<Answer, LlmError> =>
    begin((told, deadlineAt) => {
      const asked = fallback.use((member) => Effect.tapError(told.asks(member).generateText(request), told.failed))
      const inTime = Effect.provideService(asked, Deadline.Current, deadlineAt)
      const bounded = Timer.within(inTime, totalMillis + graceMillis, exceeded)
      return Effect.mapBoth(bounded, { onFailure: told.error, onSuccess: told.answer })
    })
  const streamText = (request: Request): Stream.Stream<StreamEvent, LlmError> =>
    Stream.unwrap(
      begin((told, deadlineAt) => {
        const asked = fallback.useStream((member) =>
          Stream.tapError(told.asks(member).streamText(request), told.failed)
        )
        const inTime = Stream.provideService(asked, Deadline.Current, deadlineAt)
        const bounded = totalMillis === Infinity ? inTime : Stream.interruptWhen(inTime, over)
        return Effect.succeed(Stream.mapError(Stream.map(bounded, told.event), told.error))
      })
    )
  return Llm.of({ generateText, streamText })
}
