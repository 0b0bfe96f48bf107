/** The layers that a client stands on. Each is loaded when a call first needs it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Llm } from "../../llm/Llm.ts"
import { LlmError, Unauthorized } from "../../llm/LlmError.ts"
import type * as Policy from "../../policy/Policy.ts"
import type { Sandbox } from "../../sandbox/Sandbox.ts"
import type { HttpOptions, Wire } from "../Http.ts"
import { type Logger, toLayer } from "../Logger.ts"
import type { LlmOptions, SandboxOptions } from "../Options.ts"

const presets = {
  openai: { baseUrl: undefined, variable: "OPENAI_API_KEY" },
  deepseek: { baseUrl: "https://api.deepseek.com", variable: "DEEPSEEK_API_KEY" }
} as const

/** The key that was given, or the provider's variable; a server of one's own may need none. */
const keyOf = (options: LlmOptions): Effect.Effect<Redacted.Redacted<string> | undefined, LlmError> => {
  const { variable } = presets[options.provider]
  if (options.apiKey !== undefined) return Effect.succeed(Redacted.make(options.apiKey))
  // A variable's key is meant for its provider: another server gets what it is given and nothing else.
  if (options.baseUrl !== undefined) return Effect.succeed(undefined)
  const missing = new Unauthorized({ description: `no API key: pass llm.apiKey or set ${variable}` })
  return Effect.mapError(
    // Loaded when it is needed: it brings all of Schema, which doubles the time of the first import.
    Effect.flatMap(
      Effect.promise(() => import("effect/Config")),
      (Config) => Config.Redacted(variable)
    ),
    () => new LlmError({ provider: options.provider, reason: missing, attempts: [] })
  )
}

/** The model of these options, over connections of its own. */
export const llmLayer = (options: LlmOptions, policy: Policy.Policy): Layer.Layer<Llm, LlmError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const apiKey = yield* keyOf(options)
      const [OpenAiLlm, UndiciHttpClient] = yield* Effect.promise(() =>
        Promise.all([import("../../llm/OpenAiLlm.ts"), import("../../http/UndiciHttpClient.ts")])
      )
      const { headers, model, provider } = options
      const baseUrl = options.baseUrl ?? presets[provider].baseUrl
      // A call that has its slot has its connection.
      const connections = policy.options.maxConcurrency
      const http = UndiciHttpClient.layer({ connections, connectTimeout: policy.timeout.connectMillis })
      return Layer.provide(OpenAiLlm.layer({ provider, model, headers, baseUrl, apiKey, policy }), http)
    })
  )

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
