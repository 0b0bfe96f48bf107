/** What a client has of Node. A bundle for browsers has `browser.ts` in the place of this file: package.json, "browser". */
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as UndiciHttpClient from "../../http/UndiciHttpClient.ts"
import type { Sandbox } from "../../sandbox/Sandbox.ts"
import type { SandboxError } from "../../sandbox/SandboxError.ts"
import type { VectorError } from "../../vector/VectorError.ts"
import type { VectorStore } from "../../vector/VectorStore.ts"
import type { SandboxOptions } from "../Sandboxes.ts"
import type { VectorsOptions } from "../Vectors.ts"
import { checkSandbox } from "./checkSandbox.ts"
import type { Shared } from "./connected.ts"

/** Whether the client makes its connections itself, so that there is something to set about them. */
export const hasConnections: boolean = true

/** Whether a `fetch` that was given sends a body while it is made. */
export const canStreamUp: boolean = true

/** The client's own connections. */
export const connections = (options: UndiciHttpClient.Options): Effect.Effect<HttpClient, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.promise(() => import("../../http/UndiciHttpClient.ts")),
    ({ make }) => make(options)
  )

/** The sandbox of these options. Throws a `TypeError` that names what is wrong. */
export const sandboxLayer = (options: SandboxOptions, shared: Shared): Layer.Layer<Sandbox, SandboxError> => {
  checkSandbox(options)
  return Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./sandboxes.ts")),
      (sandboxes) => sandboxes.layer(options, shared)
    )
  )
}

/** The vector store of these options. */
export const vectorsLayer = (options: VectorsOptions, shared: Shared): Layer.Layer<VectorStore, VectorError> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./vectorStores.ts")),
      (stores) => stores.layer(options, shared)
    )
  )
