/** What stands for `node.ts` where there is no Node: pages, workers, edges. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
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

const onlyInNode = Effect.promise(() => import("./onlyInNode.ts"))

// A key of a sandbox service has no place in a page, so what the options of one say is not read.
export const sandboxLayer: typeof Node.sandboxLayer = ({ provider }) =>
  Layer.unwrap(Effect.map(onlyInNode, ({ sandbox }) => sandbox(provider)))

// Nor has the key of a database; what is in memory alone is at home in one.
export const vectorsLayer: typeof Node.vectorsLayer = (options) => {
  if (options.provider !== "memory")
    return Layer.unwrap(Effect.map(onlyInNode, ({ vectors }) => vectors(options.provider)))
  return Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../vector/MemoryVectorStore.ts")),
      ({ layer }) => layer(options)
    )
  )
}
