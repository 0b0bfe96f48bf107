/**
 * `Llm` made of several: the first that is well answers, the next one when it fails with what another may serve.
 *
 * Each alternative keeps its own policy; this layer adds no retries. What goes where is said by the reasons: overload,
 * throttle, quota and no connection go to the next one, `ContextLengthExceeded` to one with `longerContext`, a wrong key
 * or request nowhere. Several endpoints or keys of one model, which share the calls, are an `LlmPool`.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Fallback from "../policy/Fallback.ts"
import { classify } from "../policy/Retryable.ts"
import * as Several from "./internal/several.ts"
import { Llm } from "./Llm.ts"

/** One of the models that can answer. */
export interface Alternative<E = never, R = never> {
  readonly llm: Layer.Layer<Llm, E, R>
  /** Its name in `onFallback` and `servedBy`. Default: `"llm 1"`, by its place. */
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

const build = <E, R>(
  { llm, longerContext, name, when }: Alternative<E, R>,
  index: number
): Effect.Effect<Several.Member, E, R | Scope.Scope> =>
  Effect.map(Several.build(llm), (llm) => ({
    name: Several.nameOf(name, index),
    llm,
    longer: longerContext,
    when: when === undefined ? undefined : (error) => when(Several.reasonOf(error))
  }))

/** The service over the alternatives, which live as long as the scope. */
export const make = <E, R, E2 = never, R2 = never>(
  [first, ...others]: Alternatives<E, R, E2, R2>,
  options: Options = {}
): Effect.Effect<Llm["Service"], E | E2, R | R2 | Scope.Scope> =>
  Effect.gen(function* () {
    const primary = yield* build(first, 0)
    const rest = yield* Effect.forEach(others, (other, index) => build(other, index + 1))
    const fallback = yield* Fallback.make<Several.Member>({
      ...options,
      // As every completion: a second one is paid for and does no other harm.
      safety: "costly",
      classify: (error) => classify(Several.reasonOf(error)),
      alternatives: [primary, ...rest]
    })
    return Several.make(fallback, { key: "fallback", total: options.total })
  })

/** `Llm` over the alternatives. `layer(…)` has a memory of its own at each call: keep it in a constant. */
export const layer = <E, R, E2 = never, R2 = never>(
  alternatives: Alternatives<E, R, E2, R2>,
  options: Options = {}
): Layer.Layer<Llm, E | E2, R | R2> => Layer.effect(Llm, make(alternatives, options))
