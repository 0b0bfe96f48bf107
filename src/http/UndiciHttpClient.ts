/**
 * Effect's own `HttpClient`, on undici's `dispatch`: one callback for each request, no body stream, no AbortController.
 *
 * A response's body is kept up to 64 kB until it is read; a larger one that nobody begins to read within a minute is
 * given up. A body compressed by gzip, deflate, br or zstd is decoded. `HttpClient.withScope` closes the connection with
 * the scope.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import { EncodeError, HttpClientError, InvalidUrlError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Url from "effect/http/Url"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { unescape } from "node:querystring"
import type { Dispatcher } from "undici"
import { acceptEncoding } from "./internal/decode.ts"
import { makeDispatcher, type Settings } from "./internal/dispatcher.ts"
import { type Encoded, encodeBody } from "./internal/encode.ts"
import { scopeSignal } from "./internal/scoped.ts"
import { traced } from "./internal/tracing.ts"
import * as SecretHeaders from "./SecretHeaders.ts"
import { Exchange } from "./internal/undici.ts"

/** Certificates, as PEM text. */
export interface TlsOptions {
  /** The authorities to trust. Default: those that Node comes with; what is given here takes their place. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** The certificate that this side shows, for servers that ask for one (mTLS). Default: none. */
  readonly cert?: string | undefined
  /** The key of `cert`. */
  readonly key?: Redacted.Redacted<string> | undefined
  /** The passphrase of `key`. Default: the key is not encrypted. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
  /** The name to check the server's certificate for. Default: the URL's host. */
  readonly servername?: string | undefined
}

/** A proxy: what goes to https: is tunnelled by CONNECT, what goes to http: is forwarded. */
export interface ProxyOptions {
  /** `http:` or `https:`, e.g. `"http://proxy.example:3128"`. */
  readonly url: string
  /** The whole value of `proxy-authorization`, e.g. `"Basic …"`. Default: what the URL's user and password say. */
  readonly authorization?: Redacted.Redacted<string> | undefined
}

export interface Options {
  /** Connections for each origin. Default: 100, as httpx; a call beyond them waits for a socket. */
  readonly connections?: number | undefined
  /** Unused connections that are kept, over all origins; more are closed within two seconds. Default: 20, as httpx. */
  readonly keepAliveConnections?: number | undefined
  /** How long an unused connection is kept. Default: `"4 seconds"`, undici's own; servers close theirs after 5. */
  readonly keepAlive?: Duration.Input | undefined
  /** Until a connection stands, TLS included. Default: `"10 seconds"`. */
  readonly connectTimeout?: Duration.Input | undefined
  /** HTTP/2 where the server offers it over TLS; streamed bodies go up by HTTP/1.1. Default: `true`. */
  readonly http2?: boolean | undefined
  /** Default: Node's own authorities, and no certificate. */
  readonly tls?: TlsOptions | undefined
  /** Default: none; variables of the environment are not read. */
  readonly proxy?: ProxyOptions | undefined
  /**
   * Asks for compressed answers. Default: `false`: a small JSON answer costs more to inflate than to carry. An answer
   * that is compressed anyway is always decoded.
   */
  readonly compression?: boolean | undefined
}

interface Target {
  readonly origin: string
  readonly path: string
  /** Without user and password. */
  readonly href: string
  /** What the URL's user and password say. */
  readonly authorization: string | undefined
}

// A program calls a handful of URLs again and again; the bound is for one that puts ids into them.
const maxTargets = 256
const targets = new Map<string, Target>()

const basicOf = (username: string, password: string): string | undefined =>
  username === "" && password === ""
    ? undefined
    : `Basic ${Buffer.from(`${unescape(username)}:${unescape(password)}`).toString("base64")}`

/** A header of the request's own stands. */
const authorized = (
  request: HttpClientRequest.HttpClientRequest,
  authorization: string
): HttpClientRequest.HttpClientRequest =>
  request.headers["authorization"] === undefined
    ? HttpClientRequest.setHeader(request, "authorization", authorization)
    : request

const targetOf = (request: HttpClientRequest.HttpClientRequest): Target | InvalidUrlError => {
  const isPlain = request.urlParams.params.length === 0 && Option.isNone(request.hash)
  const known = isPlain ? targets.get(request.url) : undefined
  if (known !== undefined) return known
  const made = Url.make(request.url, request.urlParams, undefined)
  if (Result.isFailure(made)) return new InvalidUrlError({ request, cause: made.failure })
  const { origin, pathname, protocol, search, username, password } = made.success
  if (protocol !== "http:" && protocol !== "https:") {
    return new InvalidUrlError({ request, description: "only http: and https: URLs can be requested" })
  }
  const path = pathname + search
  const target = { origin, path, href: origin + path, authorization: basicOf(username, password) }
  if (isPlain) {
    if (targets.size >= maxTargets) targets.clear()
    targets.set(request.url, target)
  }
  return target
}

const dispatch = (
  dispatcher: Dispatcher,
  request: HttpClientRequest.HttpClientRequest,
  target: Target,
  encoded: Encoded,
  clock: Clock.Clock,
  signal: AbortSignal | undefined
): Effect.Effect<HttpClientResponse, HttpClientError> =>
  Effect.callback<HttpClientResponse, HttpClientError>((resume) => {
    const exchange = new Exchange(request, target.href, encoded, clock, resume)
    const options: Dispatcher.DispatchOptions & { allowH2?: boolean } = {
      origin: target.origin,
      path: target.path,
      method: request.method,
      headers: encoded.headers === undefined ? request.headers : { ...request.headers, ...encoded.headers },
      body: encoded.body,
      // The policies above own all times; undici's own would be a second opinion.
      headersTimeout: 0,
      bodyTimeout: 0
    }
    // Over HTTP/2 undici 8.12 sends nothing beside a streamed body, and stands still after one that broke off.
    if (encoded.progress !== undefined) options.allowH2 = false
    const onScopeClosed = (): void => exchange.cancel(new Error("the scope of the request was closed"))
    if (signal !== undefined) signal.addEventListener("abort", onScopeClosed, { once: true })
    try {
      dispatcher.dispatch(options, exchange)
    } catch (cause) {
      return resume(encodeFailed(request, cause))
    }
    return Effect.sync(() => exchange.abort())
  })

const encodeFailed = (
  request: HttpClientRequest.HttpClientRequest,
  cause: unknown
): Effect.Effect<never, HttpClientError> => {
  const description = cause instanceof Error ? cause.message : "the request cannot be encoded"
  return Effect.fail(new HttpClientError({ reason: new EncodeError({ request, cause, description }) }))
}

/** The client over a dispatcher of one's own: a proxy, a mock, an agent with other TLS settings. */
export const fromDispatcher = (dispatcher: Dispatcher): HttpClient.HttpClient => {
  const send = (
    fiber: Fiber.Fiber<unknown, unknown>,
    given: HttpClientRequest.HttpClientRequest,
    signal?: AbortSignal
  ): Effect.Effect<HttpClientResponse, HttpClientError> => {
    const target = targetOf(given)
    if (target instanceof InvalidUrlError) return Effect.fail(new HttpClientError({ reason: target }))
    const request = target.authorization === undefined ? given : authorized(given, target.authorization)
    const clock = fiber.getRef(Clock.Clock)
    const { body } = request
    if (body._tag === "Raw" && typeof body.body === "string") {
      return dispatch(dispatcher, request, target, { body: body.body }, clock, signal)
    }
    return Effect.matchEffect(encodeBody(body), {
      onFailure: (cause) => encodeFailed(request, cause),
      onSuccess: (encoded) => dispatch(dispatcher, request, target, encoded, clock, signal)
    })
  }
  return HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
    Effect.flatMap((request) =>
      Effect.withFiber((fiber) =>
        // Without a scope around, nobody can have asked for `withScope`.
        Context.getOrUndefined(fiber.context, Scope.Scope) === undefined
          ? traced(fiber, request, send)
          : Effect.flatMap(scopeSignal(request), (signal) =>
              traced(fiber, request, (under, marked) => send(under, marked, signal))
            )
      )
    ),
    (request) => Effect.succeed(request)
  )
}

const tlsOf = ({ ca, cert, key, passphrase, servername }: TlsOptions): Settings["tls"] => ({
  ...(ca && { ca: typeof ca === "string" ? ca : [...ca] }),
  ...(cert && { cert }),
  ...(key && { key: Redacted.value(key) }),
  ...(passphrase && { passphrase: Redacted.value(passphrase) }),
  ...(servername && { servername })
})

const settingsOf = (options: Options): Settings => {
  const { proxy } = options
  return {
    connections: options.connections ?? 100,
    keepAliveConnections: options.keepAliveConnections ?? 20,
    keepAliveMillis: Duration.toMillis(options.keepAlive ?? "4 seconds"),
    connectMillis: Duration.toMillis(options.connectTimeout ?? "10 seconds"),
    http2: options.http2 ?? true,
    tls: tlsOf(options.tls ?? {}),
    proxy: proxy && { url: proxy.url, authorization: proxy.authorization && Redacted.value(proxy.authorization) }
  }
}

/** Makes the client and its connections; closing the scope closes them. undici is loaded here, on first use. */
export const make = (options: Options = {}): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const undici = yield* Effect.promise(() => import("undici"))
    const { dispatcher } = yield* Effect.acquireRelease(
      Effect.sync(() => makeDispatcher(undici, settingsOf(options))),
      ({ destroy }) => Effect.promise(destroy)
    )
    const client = fromDispatcher(dispatcher)
    return options.compression === true ? HttpClient.mapRequest(client, acceptCompressed) : client
  })

const acceptCompressed = (request: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest =>
  request.headers["accept-encoding"] === undefined
    ? HttpClientRequest.setHeader(request, "accept-encoding", acceptEncoding)
    : request

/**
 * Effect's `HttpClient` over undici; headers with credentials are redacted where Effect prints headers.
 * `layer(options)` is a new client at each call: keep it in a constant.
 */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.merge(Layer.effect(HttpClient.HttpClient, make(options)), SecretHeaders.layer)
