/** The layers that a client stands on. Each is loaded when a call first needs it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Llm } from "../../llm/Llm.ts"
import * as Price from "../../llm/Price.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { Sandbox } from "../../sandbox/Sandbox.ts"
import type { HttpOptions, Wire } from "../Http.ts"
import { type Logger, toLayer } from "../Logger.ts"
import type { SandboxOptions } from "../Options.ts"

/** In the place of a model that was not named. */
export const noLlm: Layer.Layer<Llm, TypeError> = Layer.effect(
  Llm,
  Effect.suspend(() =>
    Effect.fail(
      new TypeError(
        'this client has no model; give createClient the option llm: { provider: "openai", model: "some-model" }'
      )
    )
  )
)

/** The sandbox of these options. */
export const sandboxLayer = (options: SandboxOptions): Layer.Layer<Sandbox> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../sandbox/LocalSandbox.ts")),
      (local) => local.layer(options.maxSessions === undefined ? {} : { maxSessions: options.maxSessions })
    )
  )

/** HTTP of these options, over connections of its own. */
export const httpLayer = (options: HttpOptions, policy: Policy.Policy): Layer.Layer<Wire> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./http.ts")),
      (http) => http.layer(options, policy)
    )
  )

/** The same layer, whose calls write into the logger, with whatever else is logged below them. */
export const logged = <A, E>(
  layer: Layer.Layer<A, E>,
  logger: Logger | undefined,
  telling: (layer: Layer.Layer<A, E>) => Layer.Layer<A, E>
): Layer.Layer<A, E> => (logger === undefined ? layer : Layer.provideMerge(telling(layer), toLayer(logger)))

/** The same layer with these prices. */
export const priced = <A, E>(layer: Layer.Layer<A, E>, prices: Price.Prices | undefined): Layer.Layer<A, E> =>
  prices === undefined ? layer : Layer.merge(layer, Layer.succeed(Price.Table, prices))
