/** No redirect is followed, by whatever client: with a request go its key and its body, wherever the redirect leads. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { RequestInit } from "effect/http/FetchHttpClient"

const manual: globalThis.RequestInit = { redirect: "manual" }

/**
 * `fetch` alone follows redirects by itself, and takes `authorization` off at another origin, but no `x-api-key` and no
 * body. Other clients read nothing of this.
 */
export const unredirected = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(self, (context: Context.Context<R>) => {
    const given = Context.getOrUndefined(context, RequestInit)
    return Context.add(context, RequestInit, given === undefined ? manual : { ...given, ...manual })
  })
