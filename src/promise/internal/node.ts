/** What a client has of Node. A bundle for browsers has `browser.ts` in the place of this file: package.json, "browser". */
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as UndiciHttpClient from "../../http/UndiciHttpClient.ts"
import type { Options as LocalOptions } from "../../sandbox/LocalSandbox.ts"
import type { Sandbox } from "../../sandbox/Sandbox.ts"

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

/** The sandbox on this machine. */
export const localSandbox = (options: LocalOptions): Layer.Layer<Sandbox> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("../../sandbox/LocalSandbox.ts")),
      ({ layer }) => layer(options)
    )
  )
