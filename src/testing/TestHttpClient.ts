/**
 * Effect's `HttpClient` with scripted responses; it opens no connection and remembers what was sent. Works under virtual
 * time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { type Script, take } from "./internal/script.ts"

/** What was sent, in order; requests that failed are in it too. */
export class Requests extends Context.Service<Requests, Ref.Ref<ReadonlyArray<HttpClientRequest.HttpClientRequest>>>()(
  "holdfast/testing/TestHttpClient/Requests"
) {}

/** What one request gets: a text with status 200, or a web `Response`. */
export type Reply = string | Response

/**
 * A client by script: one reply for every request, a sequence with a reply for each, or a function of the request and its
 * number (from 1). A reply may be an Effect, to fail or to wait. A request past the end of a sequence fails with a
 * `TransportError` that says so. A `Response` can be read once, so one for every request is copied.
 */
export const layer = (
  script: Script<HttpClientRequest.HttpClientRequest, Reply, HttpClientError.HttpClientError>
): Layer.Layer<HttpClient.HttpClient | Requests> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const requests = yield* Ref.make<ReadonlyArray<HttpClientRequest.HttpClientRequest>>([])
      const client = HttpClient.make(
        Effect.fnUntraced(function* (request) {
          const call = yield* Ref.modify(requests, (all) => [all.length + 1, [...all, request]])
          const reply = yield* take(script, request, call, (description) => failure(request, description))
          const response = typeof reply === "string" ? new Response(reply) : reply
          // What a function makes is made anew each time, and its body may be a stream without end.
          return HttpClientResponse.fromWeb(request, typeof script === "function" ? response : response.clone())
        })
      )
      return Context.make(HttpClient.HttpClient, client).pipe(Context.add(Requests, requests))
    })
  )

/** A connection that broke, for a script to fail with; `code` as Node names it. Default: `"ECONNRESET"`. */
export const failure = (
  request: HttpClientRequest.HttpClientRequest,
  description: string,
  code = "ECONNRESET"
): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({
      request,
      description: `TestHttpClient: ${description}`,
      cause: Object.assign(new Error(description), { code })
    })
  })
