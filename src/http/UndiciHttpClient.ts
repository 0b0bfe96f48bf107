/**
 * Effect's own `HttpClient`, on undici's `dispatch`: one callback for each request, no body stream, no AbortController.
 *
 * A response's body is kept up to 64 kB until it is read; a larger one that nobody begins to read within a minute is
 * given up. `HttpClient.withScope` has no effect on this client: interruption already closes the connection.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { EncodeError, HttpClientError, InvalidUrlError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Url from "effect/http/Url"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Dispatcher } from "undici"
import { type Encoded, encodeBody } from "./internal/encode.ts"
import { traced } from "./internal/tracing.ts"
import { Exchange } from "./internal/undici.ts"

export interface Options {
  /** Connections for each origin. Default: 100, as httpx; a call beyond them waits for a socket. */
  readonly connections?: number | undefined
  /** How long an unused connection is kept. Default: `"4 seconds"`, undici's own; servers close theirs after 5. */
  readonly keepAlive?: Duration.Input | undefined
  /** Until a connection stands, TLS included. Default: `"10 seconds"`. */
  readonly connectTimeout?: Duration.Input | undefined
  /** HTTP/2 where the server offers it over TLS. Default: `true`. */
  readonly http2?: boolean | undefined
}

interface Target {
  readonly origin: string
  readonly path: string
  readonly href: string
}

// A program calls a handful of URLs again and again; the bound is for one that puts ids into them.
const maxTargets = 256
const targets = new Map<string, Target>()

const targetOf = (request: HttpClientRequest): Target | InvalidUrlError => {
  const isPlain = request.urlParams.params.length === 0 && Option.isNone(request.hash)
  const known = isPlain ? targets.get(request.url) : undefined
  if (known !== undefined) return known
  const made = Url.make(request.url, request.urlParams, undefined)
  if (Result.isFailure(made)) return new InvalidUrlError({ request, cause: made.failure })
  const { href, origin, pathname, protocol, search } = made.success
  if (protocol !== "http:" && protocol !== "https:") {
    return new InvalidUrlError({ request, description: "only http: and https: URLs can be requested" })
  }
  const target = { origin, path: pathname + search, href }
  if (isPlain) {
    if (targets.size >= maxTargets) targets.clear()
    targets.set(request.url, target)
  }
  return target
}

const dispatch = (
  dispatcher: Dispatcher,
  request: HttpClientRequest,
  target: Target,
  encoded: Encoded,
  clock: Clock.Clock
): Effect.Effect<HttpClientResponse, HttpClientError> =>
  Effect.callback<HttpClientResponse, HttpClientError>((resume) => {
    const exchange = new Exchange(request, target.href, encoded, clock, resume)
    const options: Dispatcher.DispatchOptions = {
      origin: target.origin,
      path: target.path,
      method: request.method,
      headers: encoded.headers === undefined ? request.headers : { ...request.headers, ...encoded.headers },
      body: encoded.body,
      // The policies above own all times; undici's own would be a second opinion.
      headersTimeout: 0,
      bodyTimeout: 0
    }
    try {
      dispatcher.dispatch(options, exchange)
    } catch (cause) {
      return resume(encodeFailed(request, cause))
    }
    return Effect.sync(() => exchange.abort())
  })

const encodeFailed = (request: HttpClientRequest, cause: unknown): Effect.Effect<never, HttpClientError> => {
  const description = cause instanceof Error ? cause.message : "the request cannot be encoded"
  return Effect.fail(new HttpClientError({ reason: new EncodeError({ request, cause, description }) }))
}

/** The client over a dispatcher of one's own: a proxy, a mock, an agent with other TLS settings. */
export const fromDispatcher = (dispatcher: Dispatcher): HttpClient.HttpClient => {
  const send = (request: HttpClientRequest): Effect.Effect<HttpClientResponse, HttpClientError> =>
    Effect.withFiber((fiber) => {
      const target = targetOf(request)
      if (target instanceof InvalidUrlError) return Effect.fail(new HttpClientError({ reason: target }))
      const clock = fiber.getRef(Clock.Clock)
      const { body } = request
      if (body._tag === "Raw" && typeof body.body === "string") {
        return dispatch(dispatcher, request, target, { body: body.body }, clock)
      }
      return Effect.matchEffect(encodeBody(body), {
        onFailure: (cause) => encodeFailed(request, cause),
        onSuccess: (encoded) => dispatch(dispatcher, request, target, encoded, clock)
      })
    })
  return HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
    (request) => Effect.flatMap(request, (request) => traced(request, send)),
    (request) => Effect.succeed(request)
  )
}

/** Makes the client and its connections; closing the scope closes them. undici is loaded here, on first use. */
export const make = (options: Options = {}): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { Agent } = yield* Effect.promise(() => import("undici"))
    const agent = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Agent({
            connections: options.connections ?? 100,
            keepAliveTimeout: Duration.toMillis(options.keepAlive ?? "4 seconds"),
            connect: { timeout: Duration.toMillis(options.connectTimeout ?? "10 seconds") },
            allowH2: options.http2 ?? true
          })
      ),
      (agent) => Effect.promise(() => agent.destroy())
    )
    return fromDispatcher(agent)
  })

/** Effect's `HttpClient` over undici. `layer(options)` is a new client at each call: keep it in a constant. */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, make(options))
