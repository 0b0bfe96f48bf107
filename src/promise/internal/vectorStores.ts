/** The layers of vector stores, by their plain options. Each is loaded when a call first needs it. */
import type { ConfigError } from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import * as Policy from "../../policy/Policy.ts"
import { VectorError } from "../../vector/VectorError.ts"
import { VectorStore } from "../../vector/VectorStore.ts"
import type { ChromaVectorsOptions, PostgresVectorsOptions, QdrantVectorsOptions, VectorsOptions } from "../Vectors.ts"
import { connected, environment, missing, secret, type Shared } from "./connected.ts"

type Made = Layer.Layer<VectorStore, VectorError>

/** What a client sets about calls to models, such as rates and prices, is not meant for a store. */
const policyOf = ({ policy }: Shared): Policy.Policy => {
  const { maxConcurrency, maxQueue, maxWait, retry, timeout } = policy.options
  return Policy.make({ maxConcurrency, maxQueue, maxWait, retry, timeout })
}

/** An environment that cannot be read, as the calls are told of it. */
const notConfigured =
  (provider: string) =>
  (error: ConfigError | VectorError): Made => {
    if (error._tag === "VectorError") return Layer.effect(VectorStore, Effect.fail(error))
    const reason = new InvalidRequest({ description: missing(error, "vectors") })
    return Layer.effect(VectorStore, Effect.fail(new VectorError({ provider, reason, attempts: [] })))
  }

const loading = (load: () => Promise<Made>): Made => Layer.unwrap(Effect.promise(load))

const overHttp = (options: ChromaVectorsOptions | QdrantVectorsOptions, shared: Shared): Made => {
  const policy = policyOf(shared)
  const load = async () => {
    if (options.provider === "chroma") {
      const { apiKey, provider: _, ...rest } = options
      return (await import("../../vector/ChromaVectorStore.ts")).layerConfig({
        ...rest,
        apiKey: secret(apiKey),
        policy
      })
    }
    const { apiKey, provider: _, ...rest } = options
    return (await import("../../vector/QdrantVectorStore.ts")).layerConfig({ ...rest, apiKey: secret(apiKey), policy })
  }
  return connected(load, options, { ...shared, policy }, notConfigured(options.provider))
}

const postgres = async ({ provider, url, ...rest }: PostgresVectorsOptions, policy: Policy.Policy): Promise<Made> => {
  const { layerConfig } = await import("../../vector/PostgresVectorStore.ts")
  const layer = layerConfig({ ...rest, url: secret(url), policy })
  return Layer.provide(Layer.catch(layer, notConfigured(provider)), environment)
}

/** The store of these options. */
export const layer = (options: VectorsOptions, shared: Shared): Made => {
  switch (options.provider) {
    case "memory":
      return loading(async () => (await import("../../vector/MemoryVectorStore.ts")).layer(options))
    case "sqlite":
      return loading(async () => (await import("../../vector/SqliteVectorStore.ts")).layer(options))
    case "postgres":
      return loading(() => postgres(options, policyOf(shared)))
    case "chroma":
    case "qdrant":
      return overHttp(options, shared)
  }
}
