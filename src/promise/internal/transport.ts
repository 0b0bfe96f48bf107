/** What carries a client's requests: its own connections, or the `fetch` that it was given. Loaded when one is first sent. */
import * as Effect from "effect/Effect"
import { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SecretHeaders from "../../http/SecretHeaders.ts"
import type * as UndiciHttpClient from "../../http/UndiciHttpClient.ts"
import type { Fetch } from "./connected.ts"
import * as Node from "./node.ts"

/** Makes it; closing the scope closes the client's own connections. */
export const make = (fetch: Fetch, options: UndiciHttpClient.Options): Effect.Effect<HttpClient, never, Scope.Scope> =>
  fetch === undefined
    ? Node.connections(options)
    : Effect.flatMap(
        Effect.promise(() => import("../../http/internal/fetched.ts")),
        ({ make }) => make({ fetch, canStreamUp: Node.canStreamUp })
      )

/** The same as a layer; headers with credentials are redacted where Effect prints headers. */
export const layer = (fetch: Fetch, options: UndiciHttpClient.Options): Layer.Layer<HttpClient> =>
  Layer.merge(Layer.effect(HttpClient, make(fetch, options)), SecretHeaders.layer)
