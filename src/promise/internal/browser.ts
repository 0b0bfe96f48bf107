/** What stands for `node.ts` where there is no Node: pages, workers, edges. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Sandbox } from "../../sandbox/Sandbox.ts"
import { SandboxError, Unavailable } from "../../sandbox/SandboxError.ts"
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

const description = 'the sandbox "local" needs Node; run code on a server, and call that from here'

export const localSandbox: typeof Node.localSandbox = () =>
  Layer.succeed(Sandbox, {
    create: () => Effect.fail(new SandboxError({ provider: "local", reason: new Unavailable({ description }) }))
  })
