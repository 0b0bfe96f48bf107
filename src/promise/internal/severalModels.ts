/** The models that are several: a pool, and a model with others to fall back on. Loaded where the options name one. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as FallbackLlm from "../../llm/FallbackLlm.ts"
import { Llm } from "../../llm/Llm.ts"
import type { LlmError } from "../../llm/LlmError.ts"
import * as LlmPool from "../../llm/LlmPool.ts"
import * as Deadline from "../../policy/Deadline.ts"
import type { FallbackEvent } from "../../policy/Fallback.ts"
import * as Policy from "../../policy/Policy.ts"
import type { FallbackOptions, PoolOptions } from "../Model.ts"
import { durations } from "../Time.ts"
import { moving } from "./logging.ts"
import { type Shared, single } from "./models.ts"
import { type AnyFiber, deadlineOf } from "./whole.ts"

/** The same model, of several that are asked in turn: they have the `total` time of a call together. */
const ofSeveral = <E>(layer: Layer.Layer<Llm, E>, policy: Policy.Policy): Layer.Layer<Llm, E> =>
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

/** What is told of a move before it is made. A hook that fails changes nothing. */
const toHook =
  (onMove: PoolOptions["onMove"], isLogged: boolean) =>
  (event: FallbackEvent): Effect.Effect<void> => {
    const logged = isLogged ? moving(event) : Effect.void
    if (onMove === undefined) return logged
    return Effect.andThen(logged, Effect.ignore(Effect.tryPromise(async () => onMove(event))))
  }

const pool = (options: PoolOptions, shared: Shared): Layer.Layer<Llm, LlmError> => {
  const { coolDown, keyCoolDown, maxCoolDown, members, onMove, strategy } = options
  return LlmPool.layer(
    members.map(({ name, weight, ...options }, index) => ({
      llm: single(options, shared, `llm.members[${index}]`),
      name,
      weight
    })),
    {
      ...durations({ coolDown, keyCoolDown, maxCoolDown }, ["coolDown", "keyCoolDown", "maxCoolDown"], "llm"),
      strategy,
      onMove: toHook(onMove, shared.isLogged)
    }
  )
}

const fallback = (options: FallbackOptions, shared: Shared): Layer.Layer<Llm, LlmError> => {
  const { coolDown, maxCoolDown, onFallback } = options
  const [first, ...others] = options.members
  const toAlternative = ({ longerContext, name, ...options }: typeof first, index: number) => ({
    llm: single(options, shared, `llm.members[${index}]`),
    name,
    longerContext
  })
  return FallbackLlm.layer(
    [toAlternative(first, 0), ...others.map((other, index) => toAlternative(other, index + 1))],
    {
      ...durations({ coolDown, maxCoolDown }, ["coolDown", "maxCoolDown"], "llm"),
      onFallback: toHook(onFallback, shared.isLogged)
    }
  )
}

/** The model of these options. */
export const layer = (options: PoolOptions | FallbackOptions, shared: Shared): Layer.Layer<Llm, LlmError> =>
  ofSeveral(options.provider === "pool" ? pool(options, shared) : fallback(options, shared), shared.policy)
