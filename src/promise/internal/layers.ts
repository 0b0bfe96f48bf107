/** The layers that a client stands on. Each is loaded when a call first needs it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Llm } from "../../llm/Llm.ts"
import * as Price from "../../llm/Price.ts"
import type { HttpOptions, Wire } from "../Http.ts"
import type { Logger } from "../Logger.ts"
import type { Fetch, Shared } from "./connected.ts"
import type * as Logging from "./logging.ts"
import { hasConnections } from "./node.ts"

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

const ofConnections = ["connections", "keepAliveConnections", "http2", "proxy", "tls"] as const

/** What is set about connections that the client does not make would be left out in silence. Throws a `TypeError`. */
const checkTransport = (fetch: Fetch, http: HttpOptions): void => {
  if (fetch !== undefined && typeof fetch !== "function")
    throw new TypeError("fetch: give a function like the global one")
  if (fetch === undefined && hasConnections) return
  const given = ofConnections.find((name) => http[name] !== undefined) ?? (http.compression === false && "compression")
  if (typeof given !== "string") return
  throw new TypeError(`http.${given}: \`fetch\` makes the connections, and this is its own business; leave it out`)
}

/** HTTP of these options. Throws a `TypeError` that names one that `fetch` has no use for. */
export const httpLayer = (options: HttpOptions, shared: Shared): Layer.Layer<Wire> => {
  checkTransport(shared.fetch, options)
  return Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./http.ts")),
      (http) => http.layer(options, shared)
    )
  )
}

/** What a client says; loaded where there is a logger. */
export const logging: Effect.Effect<typeof Logging> = Effect.promise(() => import("./logging.ts"))

/** The same layer, whose calls write into the logger, with whatever else is logged below them. */
export const logged = <A, E>(
  layer: Layer.Layer<A, E>,
  logger: Logger | undefined,
  telling: (logging: typeof Logging) => (layer: Layer.Layer<A, E>) => Layer.Layer<A, E>
): Layer.Layer<A, E> =>
  logger === undefined
    ? layer
    : Layer.unwrap(
        Effect.map(logging, (logging) => Layer.provideMerge(telling(logging)(layer), logging.toLayer(logger)))
      )

/** The same layer with these prices. */
export const priced = <A, E>(layer: Layer.Layer<A, E>, prices: Price.Prices | undefined): Layer.Layer<A, E> =>
  prices === undefined ? layer : Layer.merge(layer, Layer.succeed(Price.Table, prices))
