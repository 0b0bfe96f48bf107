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
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Scripted from "./internal/expectations.ts"

/** What was sent, in order; requests that failed are in it too. */
export class Requests extends Context.Service<Requests, Ref.Ref<ReadonlyArray<HttpClientRequest.HttpClientRequest>>>()(
  "holdfast/testing/TestHttpClient/Requests"
) {}

/** What one request gets: a text with status 200, or a web `Response`. */
export type Reply = string | Response

type Sent = HttpClientRequest.HttpClientRequest

/** A reply for the requests that match: a text or a pattern is looked for in method and URL, `"GET http://..."`. */
export type Expectation = Scripted.Expectation<Sent, Reply, HttpClientError.HttpClientError>

/** How requests are answered. */
export type Script = Scripted.Scripts<Sent, Reply, HttpClientError.HttpClientError>

/** A scripted client for a test without Effect. */
export interface TestHttpClient {
  readonly layer: Layer.Layer<HttpClient.HttpClient | Requests>
  /** What was sent so far, in order; it grows. */
  readonly requests: ReadonlyArray<Sent>
}

/**
 * A client by script: one reply for every request, a sequence with a reply for each, a function of the request and its
 * number (from 1), or a list of `{ when, reply }`, of which the first that matches replies. A reply may be an Effect or
 * a promise, to wait, and an `HttpClientError`, to fail. A request past the end of a sequence, and one that nothing
 * matches, fails with a `TransportError`, which says what came nearest. A `Response` can be read once, so one for several
 * requests is copied.
 */
export const layer = (script: Script): Layer.Layer<HttpClient.HttpClient | Requests> => build(script, [])

/** The same client, and what it sent as an array. */
export const make = (script: Script): TestHttpClient => {
  const requests: Array<Sent> = []
  return { layer: build(script, requests), requests }
}

const build = (script: Script, told: Array<Sent>): Layer.Layer<HttpClient.HttpClient | Requests> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const requests = yield* Ref.make<ReadonlyArray<Sent>>([])
      const replyTo = Scripted.reader(script, {
        textOf: targetOf,
        fail: (description, request) => failure(request, description)
      })
      const client = HttpClient.make(
        Effect.fnUntraced(function* (request) {
          const call = yield* Ref.modify(requests, (all) => [all.length + 1, [...all, request]])
          told.push(request)
          const reply = yield* replyTo(request, call)
          const response = typeof reply === "string" ? new Response(reply) : reply
          // What a function makes is made anew each time, and its body may be a stream without end.
          return HttpClientResponse.fromWeb(request, typeof script === "function" ? response : response.clone())
        })
      )
      return Context.make(HttpClient.HttpClient, client).pipe(Context.add(Requests, requests))
    })
  )

const targetOf = ({ method, url, urlParams }: Sent): string => {
  const query = UrlParams.toString(urlParams)
  return `${method} ${url}${query === "" ? "" : `?${query}`}`
}

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
