/** A provider's layer over what carries its requests, with what its options leave to the environment. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Policy from "../../policy/Policy.ts"
import type { SingleOptions } from "../Model.ts"

/** A key of no letters is none: `process.env.KEY ?? ""`. */
export const secret = (text: string | undefined): Redacted.Redacted<string> | undefined =>
  text === undefined || text === "" ? undefined : Redacted.make(text)

/** Names the variables that are missing, and the options that do the same. */
export const missing = ({ cause }: ConfigError, options: string): string =>
  `${cause._tag === "SourceError" ? cause.message : "the environment cannot be read"}; or give createClient ${options}`

/** The options of a model that say what the variables of its provider do. */
export const keyOptions = (provider: SingleOptions["provider"], where: string): string =>
  provider === "evolution"
    ? `${where}.keyId, ${where}.secret and ${where}.baseUrl, or ${where}.apiKey and ${where}.model`
    : `${where}.apiKey`

/** The environment as it is now. */
export const environment: Layer.Layer<never> = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("../../http/internal/variables.ts")),
    (variables) => variables.environment()
  )
)

interface Access {
  readonly apiKey?: string | undefined
  readonly baseUrl?: string | undefined
}

/** The `fetch` of a client. */
export type Fetch = typeof globalThis.fetch | undefined

/** What all endpoints of a client share. */
export interface Shared {
  readonly policy: Policy.Policy
  /** Default: the client's own connections. */
  readonly fetch?: Fetch
}

/** Loads the layer, and builds it with the first call. `onMissing` stands in for it where the environment says too little. */
export const connected = <A, E>(
  load: () => Promise<Layer.Layer<A, ConfigError, HttpClient>>,
  { apiKey, baseUrl }: Access,
  { fetch, policy }: Shared,
  onMissing: (error: ConfigError) => Layer.Layer<A, E>
): Layer.Layer<A, E> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => Promise.all([load(), import("./transport.ts")])),
      ([layer, Transport]) => {
        // A call that has its slot has its connection.
        const connections = policy.options.maxConcurrency
        const http = Transport.layer(fetch, { connections, connectTimeout: policy.timeout.connectMillis })
        const built = Layer.provide(Layer.catch(layer, onMissing), http)
        return apiKey === undefined || baseUrl === undefined ? Layer.provide(built, environment) : built
      }
    )
  )
