/** What stands for `node.ts` where there is no Node: pages, workers, edges. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Sandbox } from "../../sandbox/Sandbox.ts"
import { SandboxError, Unavailable } from "../../sandbox/SandboxError.ts"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import { VectorError } from "../../vector/VectorError.ts"
import { VectorStore } from "../../vector/VectorStore.ts"
import type * as Node from "./node.ts"

export const hasConnections: typeof Node.hasConnections = false

// Chromium alone streams a body up, over HTTP/2 alone, and answers only when all of it is sent.
export const canStreamUp: typeof Node.canStreamUp = false

/** The runtime's own `fetch`; how it connects is its own business. */
export const connections: typeof Node.connections = () =>
  Effect.flatMap(
    Effect.promise(() => import("../../http/internal/fetched.ts")),
    ({ make }) => make({ canStreamUp })
  )

// A key of a sandbox service has no place in a page.
export const sandboxLayer: typeof Node.sandboxLayer = ({ provider }) => {
  const description = `the sandbox ${JSON.stringify(provider)} needs Node; run code on a server, and call that from here`
  return Layer.succeed(Sandbox, {
    create: () => Effect.fail(new SandboxError({ provider, reason: new Unavailable({ description }) }))
  })
}

// Nor has the key of a database; what is in memory alone is at home in one.
export const vectorsLayer: typeof Node.vectorsLayer = (options) => {
  if (options.provider === "memory")
    return Layer.unwrap(
      Effect.map(
        Effect.promise(() => import("../../vector/MemoryVectorStore.ts")),
        ({ layer }) => layer(options)
      )
    )
  const { provider } = options
  const description = `the vector store "${provider}" needs Node; search on a server, and call that from here`
  const reason = new InvalidRequest({ description })
  return Layer.effect(VectorStore, Effect.fail(new VectorError({ provider, reason, attempts: [] })))
}
