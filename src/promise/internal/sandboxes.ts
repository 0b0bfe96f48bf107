/** The layers of sandboxes, by their plain options. Each provider is loaded when a call first needs it. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { Unauthorized } from "../../http/ServiceReason.ts"
import * as Policy from "../../policy/Policy.ts"
import { Sandbox } from "../../sandbox/Sandbox.ts"
import { SandboxError } from "../../sandbox/SandboxError.ts"
import type {
  E2bSandboxOptions,
  LocalSandboxOptions,
  ProcessSandboxOptions,
  RestSandboxOptions,
  SandboxOptions
} from "../Sandboxes.ts"
import { durations, type Time } from "../Time.ts"
import { environment, missing, secret, type Shared } from "./connected.ts"

type Made<R = never> = Layer.Layer<Sandbox, SandboxError, R>

const times = ["grace", "lifetime", "maxTimeout"] as const

/** The options with their times read. */
const timed = <O extends { readonly [Name in (typeof times)[number]]?: Time | undefined }>({
  grace,
  lifetime,
  maxTimeout,
  ...rest
}: O) => ({ ...rest, ...durations({ grace, lifetime, maxTimeout }, times, "sandbox") })

const local = async (options: LocalSandboxOptions): Promise<Made> => {
  const { provider: _, ...rest } = options
  return (await import("../../sandbox/LocalSandbox.ts")).layer(timed(rest))
}

const system = async (options: ProcessSandboxOptions): Promise<Made> => {
  const { provider: _, ...rest } = options
  return (await import("../../sandbox/ProcessSandbox.ts")).layer(timed(rest))
}

const rest = async (options: RestSandboxOptions, policy: Policy.Policy): Promise<Made<HttpClient>> => {
  const { apiKey, name, provider: _, ...others } = options
  const { layer } = await import("../../sandbox/RestSandbox.ts")
  return layer({ ...timed(others), apiKey: secret(apiKey), provider: name, policy })
}

/** What is missing in the environment, as the calls are told it. */
const notConfigured = (error: ConfigError | SandboxError): SandboxError => {
  if (error._tag === "SandboxError") return error
  const reason = new Unauthorized({ description: missing(error, "sandbox.apiKey") })
  return new SandboxError({ provider: "e2b", reason })
}

const e2b = async (options: E2bSandboxOptions, policy: Policy.Policy): Promise<Made<HttpClient>> => {
  const { apiKey, provider: _, ...others } = options
  const { layerConfig } = await import("../../sandbox/E2bSandbox.ts")
  const key = secret(apiKey)
  const layer = layerConfig({ ...timed(others), ...(key !== undefined && { apiKey: key }), policy })
  const told = Layer.catch(layer, (error) => Layer.effect(Sandbox, Effect.fail(notConfigured(error))))
  return Layer.provide(told, environment)
}

/** What a client sets about calls to models, such as rates, prices and their times, is not meant for a machine. */
const policyOf = ({ policy }: Shared): Policy.Policy => {
  const { retry, timeout } = policy.options
  return Policy.make({ retry, timeout: { connect: timeout?.connect } })
}

const overHttp = (load: (policy: Policy.Policy) => Promise<Made<HttpClient>>, shared: Shared): Made => {
  const policy = policyOf(shared)
  const { connectMillis: connectTimeout } = policy.timeout
  const connections = policy.options.maxConcurrency
  return Layer.unwrap(
    Effect.map(
      Effect.promise(() => Promise.all([load(policy), import("./transport.ts")])),
      // Over HTTP/2 a request that is given up does not stop the program behind it (e2b-dev/code-interpreter #328).
      ([layer, Transport]) =>
        Layer.provide(layer, Transport.layer(shared.fetch, { connections, connectTimeout, http2: false }))
    )
  )
}

/** The sandbox of these options. */
export const layer = (options: SandboxOptions, shared: Shared): Made => {
  switch (options.provider) {
    case "local":
      return Layer.unwrap(Effect.promise(() => local(options)))
    case "process":
      return Layer.unwrap(Effect.promise(() => system(options)))
    case "e2b":
      return overHttp((policy) => e2b(options, policy), shared)
    case "rest":
      return overHttp((policy) => rest(options, policy), shared)
  }
}
