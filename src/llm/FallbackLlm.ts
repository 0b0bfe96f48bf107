/**
 * `Llm` made of several: the first that is well answers, the next one when it fails with what another may serve.
 *
 * Each alternative keeps its own policy; this layer adds no retries. What goes where is said by the reasons: overload,
 * throttle, quota and no connection go to the next one, `ContextLengthExceeded` to one with `longerContext`, a wrong key
 * or request nowhere.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Attempt } from "../policy/Attempt.ts"
import * as Deadline from "../policy/Deadline.ts"
import * as Fallback from "../policy/Fallback.ts"
import { DeadlineExceeded } from "../policy/PolicyError.ts"
import { classify } from "../policy/Retryable.ts"
import * as Timer from "../policy/Timer.ts"
import { type Answer, Llm, type Request, type StreamEvent } from "./Llm.ts"
import { LlmError } from "./LlmError.ts"

/** One of the models that can answer. */
export interface Alternative<E = never, R = never> {
  readonly llm: Layer.Layer<Llm, E, R>
  /** Its name in `onFallback`. Default: `"llm 1"`, by its place. */
  readonly name?: string | undefined
  /** Whether it reads messages that are too long for the others. Default: `false`. */
  readonly longerContext?: boolean | undefined
  /** Which failures of those before it it serves, by their reason. Default: by what the reason says of itself. */
  readonly when?: ((reason: unknown) => boolean) | undefined
}

export interface Options extends Pick<Fallback.Settings, "coolDown" | "maxCoolDown" | "onFallback"> {
  /** The whole call over all alternatives. Default: none, each alternative has its own `total`. */
  readonly total?: Duration.Input | undefined
}

/** In order of preference; the first is the primary. */
export type Alternatives<E, R, E2, R2> = readonly [Alternative<E, R>, ...ReadonlyArray<Alternative<E2, R2>>]

interface Member extends Fallback.Alternative {
  readonly llm: Llm["Service"]
}

const reasonOf = (error: unknown): unknown => (error instanceof LlmError ? error.reason : error)

const build = <E, R>(
  { llm, longerContext, name, when }: Alternative<E, R>,
  index: number
): Effect.Effect<Member, E, R | Scope.Scope> =>
  Effect.map(Layer.build(llm), (context) => ({
    name: name ?? `llm ${index + 1}`,
    llm: Context.get(context, Llm),
    longer: longerContext,
    when: when === undefined ? undefined : (error) => when(reasonOf(error))
  }))

/** The attempts of one call over all alternatives, in order. */
class Told {
  private readonly attempts: Array<Attempt> = []

  readonly failed = (error: LlmError): Effect.Effect<void> =>
    Effect.sync(() => void this.attempts.push(...error.attempts))

  /** What an alternative told, after what those before it told. */
  after<A extends { readonly attempts: ReadonlyArray<Attempt> }>(told: A): A {
    return this.attempts.length === 0 ? told : { ...told, attempts: [...this.attempts, ...told.attempts] }
  }

  /** The last failure, with the attempts of all. */
  readonly error = (error: LlmError | DeadlineExceeded): LlmError => {
    const { attempts } = this
    if (!(error instanceof LlmError)) return new LlmError({ provider: "fallback", reason: error, attempts })
    if (attempts.length === error.attempts.length) return error
    const { provider, reason, requestId } = error
    return new LlmError({ provider, reason, attempts, requestId })
  }
}

/** Alternatives that keep the deadline themselves fail with their own story, this much before they are interrupted. */
const graceMillis = 50

const exceeded = (totalMillis: number): DeadlineExceeded =>
  new DeadlineExceeded({ key: "fallback", totalMillis, phase: "maybeSent" })

/** Gives what `make` makes the deadline that the alternatives read, which is this one or an earlier one around. */
const withDeadline = <A, E, R>(
  totalMillis: number,
  make: (deadlineAt: number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const own = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe() + totalMillis
    return make(Math.min(fiber.getRef(Deadline.Current), own))
  })

const generating =
  (fallback: Fallback.Fallback<Member>, totalMillis: number) =>
  (request: Request): Effect.Effect<Answer, LlmError> =>
    withDeadline(totalMillis, (deadlineAt) => {
      const told = new Told()
      const asked = fallback.use(({ llm }) => Effect.tapError(llm.generateText(request), told.failed))
      const inTime = Effect.provideService(asked, Deadline.Current, deadlineAt)
      const bounded = Timer.within(inTime, totalMillis + graceMillis, () => exceeded(totalMillis))
      return Effect.mapBoth(bounded, { onFailure: told.error, onSuccess: (answer) => told.after(answer) })
    })

const streaming = (fallback: Fallback.Fallback<Member>, totalMillis: number) => {
  const over = Effect.andThen(
    Effect.sleep(totalMillis + graceMillis),
    Effect.suspend(() => Effect.fail(exceeded(totalMillis)))
  )
  return (request: Request): Stream.Stream<StreamEvent, LlmError> =>
    Stream.unwrap(
      withDeadline(totalMillis, (deadlineAt) => {
        const told = new Told()
        const asked = fallback.useStream(({ llm }) => Stream.tapError(llm.streamText(request), told.failed))
        const inTime = Stream.provideService(asked, Deadline.Current, deadlineAt)
        const bounded = totalMillis === Infinity ? inTime : Stream.interruptWhen(inTime, over)
        const whole = Stream.map(bounded, (event) => (event.type === "finish" ? told.after(event) : event))
        return Effect.succeed(Stream.mapError(whole, told.error))
      })
    )
}

/** The service over the alternatives, which live as long as the scope. */
export const make = <E, R, E2 = never, R2 = never>(
  [first, ...others]: Alternatives<E, R, E2, R2>,
  options: Options = {}
): Effect.Effect<Llm["Service"], E | E2, R | R2 | Scope.Scope> =>
  Effect.gen(function* () {
    const primary = yield* build(first, 0)
    const rest = yield* Effect.forEach(others, (other, index) => build(other, index + 1))
    const fallback = yield* Fallback.make<Member>({
      ...options,
      // As every completion: a second one is paid for and does no other harm.
      safety: "costly",
      classify: (error) => classify(reasonOf(error)),
      alternatives: [primary, ...rest]
    })
    const totalMillis = Duration.toMillis(options.total ?? Duration.infinity)
    return Llm.of({
      generateText: generating(fallback, totalMillis),
      streamText: streaming(fallback, totalMillis)
    })
  })

/** `Llm` over the alternatives. `layer(…)` has a memory of its own at each call: keep it in a constant. */
export const layer = <E, R, E2 = never, R2 = never>(
  alternatives: Alternatives<E, R, E2, R2>,
  options: Options = {}
): Layer.Layer<Llm, E | E2, R | R2> => Layer.effect(Llm, make(alternatives, options))
