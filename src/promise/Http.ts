/**
 * HTTP for plain programs: `client.http.get(url)` under the client's policy. The last answer is a response whatever its
 * status is, as with `fetch`; what the policy refuses rejects with the policy's own error.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Stream from "effect/Stream"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { Attempt } from "../policy/Attempt.ts"
import { isBranded } from "../policy/internal/brand.ts"
import { inspectError } from "../policy/internal/inspect.ts"
import type { PolicyError } from "../policy/PolicyError.ts"
import type { Phase, Retryable } from "../policy/Retryable.ts"
import { type Calls, heard, iterate, run } from "./Bridge.ts"
import { checkCall } from "./internal/callOptions.ts"
import type { CallOptions } from "./Options.ts"
import { atLeast, onlyKnown } from "./Time.ts"

/** Certificates, as PEM text; meanings and defaults are those of `UndiciHttpClient.TlsOptions`. */
export interface HttpTlsOptions {
  readonly ca?: string | ReadonlyArray<string> | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  readonly servername?: string | undefined
}

/** The option `http` of `createClient`. */
export interface HttpOptions {
  /** What paths without a host begin with. Default: none, and each call gives a whole URL. */
  readonly baseUrl?: string | undefined
  /** Headers of each request. With a `baseUrl` they are sent to its origin only. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Redirects that one call follows; secrets do not follow to another origin. Default: 10. */
  readonly redirects?: number | undefined
  /** Keeps cookies from call to call. Default: `false`: not for a client that calls in the name of several users. */
  readonly cookies?: boolean | undefined
  /** Asks for compressed answers, and decodes them. Default: `true`. */
  readonly compression?: boolean | undefined
  /** The largest body that is read whole. Default: 64 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** Connections for each origin. Default: the client's `maxConcurrency`, or 100. */
  readonly connections?: number | undefined
  /** Unused connections that are kept. Default: 20. */
  readonly keepAliveConnections?: number | undefined
  /** HTTP/2 where the server offers it over TLS. Default: `true`. */
  readonly http2?: boolean | undefined
  /** Default: none. A user and a password may be in the URL. */
  readonly proxy?: { readonly url: string; readonly authorization?: string | undefined } | undefined
  readonly tls?: HttpTlsOptions | undefined
}

type Value = string | number | boolean

/** What every request takes. */
export interface HttpCallOptions extends CallOptions {
  readonly query?: Readonly<Record<string, Value | ReadonlyArray<Value> | undefined>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** One key for the logical call, the same on each attempt; with it a POST may be sent again. */
  readonly idempotencyKey?: string | undefined
  readonly redirects?: number | undefined
  readonly maxBodyBytes?: number | undefined
}

type Bytes = AsyncIterable<Uint8Array>

/** A file of a multipart form. A function makes its bytes anew for each send. */
export interface HttpFile {
  readonly filename: string
  readonly content: Uint8Array | Blob | Bytes | (() => Bytes)
  readonly contentType?: string | undefined
  readonly sizeBytes?: number | undefined
}

/** How far a body that is made while it is sent has come. */
export interface HttpProgress {
  readonly sentBytes: number
  readonly totalBytes: number | undefined
}

/** What a request with a body takes: one of `json`, `form`, `multipart` and `body`. */
export interface HttpBodyOptions extends HttpCallOptions {
  readonly json?: unknown
  readonly form?: Readonly<Record<string, Value | ReadonlyArray<Value> | undefined>> | undefined
  /** Sent while it is read; nothing of a file is kept in memory. */
  readonly multipart?: FormData | Iterable<readonly [name: string, value: string | HttpFile]> | undefined
  /** An iterable is read once, so its request is sent once; a function makes one for each send. */
  readonly body?: string | Uint8Array | Blob | Bytes | (() => Bytes) | undefined
  /**
   * Told each time the connection takes a piece of a `multipart` or of a `body` that is no text and no bytes; the request
   * goes on when it fails.
   */
  readonly onProgress?: ((progress: HttpProgress) => void) | undefined
}

export interface HttpResponse {
  readonly status: number
  /** Whether the status is 2xx. */
  readonly ok: boolean
  /** Where the answer comes from, after redirects. */
  readonly url: string
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The lines of `set-cookie`, one for each cookie. */
  readonly setCookie: ReadonlyArray<string>
  /** Every send of this call, redirects included, in order. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The body, read whole and kept: it may be asked for again. */
  readonly text: () => Promise<string>
  readonly json: () => Promise<unknown>
  readonly bytes: () => Promise<Uint8Array>
  /** The body as it arrives. Leaving the loop closes the connection. */
  readonly stream: () => AsyncIterableIterator<Uint8Array> & AsyncDisposable
}

export interface Http {
  readonly get: (url: string | URL, options?: HttpCallOptions) => Promise<HttpResponse>
  readonly head: (url: string | URL, options?: HttpCallOptions) => Promise<HttpResponse>
  readonly delete: (url: string | URL, options?: HttpBodyOptions) => Promise<HttpResponse>
  readonly post: (url: string | URL, options?: HttpBodyOptions) => Promise<HttpResponse>
  readonly put: (url: string | URL, options?: HttpBodyOptions) => Promise<HttpResponse>
  readonly patch: (url: string | URL, options?: HttpBodyOptions) => Promise<HttpResponse>
  /** Any method. */
  readonly request: (method: HttpMethod, url: string | URL, options?: HttpBodyOptions) => Promise<HttpResponse>
  /** The same client with other defaults for its calls; it shares connections and slots. */
  readonly with: (defaults: HttpCallOptions) => Http
}

export type HttpMethod = "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE"

/** How an HTTP call failed without an answer, or while its body was read. */
export type HttpErrorCode =
  | "Unreachable"
  | "ConnectionLost"
  | "InvalidUrl"
  | "InvalidRequest"
  | "InvalidResponse"
  | "BodyTooLarge"
  | "BodyStalled"

const brand: unique symbol = Symbol.for("holdfast/promise/HttpError")

/** What `client.http` rejects with when it was no policy that refused. */
export class HttpError
  extends Data.TaggedError("HttpError")<{
    readonly code: HttpErrorCode
    readonly method: string
    /** Without user, password and the secrets of its query. */
    readonly url: string
    readonly description: string
    readonly phase: Phase
    readonly isRetryable: boolean
    readonly attempts: ReadonlyArray<Attempt>
    readonly cause: unknown
  }>
  implements Retryable
{
  /** Whether `u` is one, of this copy of the package or of another one. */
  static isInstance(u: unknown): u is HttpError {
    return isBranded(u, brand)
  }
  get [brand](): true {
    return true
  }
  override [NodeInspectSymbol](): string {
    return inspectError(this)
  }
  override get message(): string {
    const { attempts, description, method, url } = this
    const after = attempts.length > 1 ? `, after ${attempts.length} attempts` : ""
    return `${method} ${url}: ${description}${after}`
  }
}

type Failure = HttpError | PolicyError

/** An answer whose body is still to be read. */
export interface Answer extends Pick<HttpResponse, "status" | "url" | "headers" | "setCookie" | "attempts"> {
  readonly text: Effect.Effect<string, Failure>
  readonly json: Effect.Effect<unknown, Failure>
  readonly bytes: Effect.Effect<Uint8Array, Failure>
  readonly stream: Stream.Stream<Uint8Array, Failure>
}

/** What carries the calls; made when one is first sent. */
export class Wire extends Context.Service<
  Wire,
  { readonly send: (method: HttpMethod, url: string, options: HttpBodyOptions) => Effect.Effect<Answer, Failure> }
>()("holdfast/promise/Http/Wire") {}

const known =
  "baseUrl headers redirects cookies compression maxBodyBytes connections keepAliveConnections http2 proxy tls".split(
    " "
  )

/** What the types promise, checked for programs without types. Throws a `TypeError` that names what is wrong. */
export const checkHttp = (options: HttpOptions): HttpOptions => {
  onlyKnown(options, known, "http")
  atLeast(options.redirects, 0, "http.redirects")
  atLeast(options.maxBodyBytes, 0, "http.maxBodyBytes")
  atLeast(options.connections, 1, "http.connections")
  atLeast(options.keepAliveConnections, 0, "http.keepAliveConnections")
  for (const [name, url] of Object.entries({ baseUrl: options.baseUrl, "proxy.url": options.proxy?.url })) {
    if (url === undefined || (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) continue
    throw new TypeError(`http.${name}: this is not an http(s) URL; give one like "http://127.0.0.1:8080"`)
  }
  return options
}

const bodies = ["json", "form", "multipart", "body"] as const

const checkRequest = (options: HttpBodyOptions): HttpBodyOptions => {
  checkCall(options)
  const given = bodies.filter((name) => options[name] !== undefined)
  if (given.length > 1) throw new TypeError(`${given.join(" and ")}: a request has one body; give one of them`)
  atLeast(options.redirects, 0, "redirects")
  atLeast(options.maxBodyBytes, 0, "maxBodyBytes")
  return options
}

const over = (defaults: HttpCallOptions, options: HttpBodyOptions = {}): HttpBodyOptions => ({
  ...defaults,
  ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  headers: { ...defaults.headers, ...options.headers },
  query: { ...defaults.query, ...options.query }
})

/** The methods over a runtime that is built on first use. `inTime` keeps calls within a deadline around them. */
export const make = (
  runtime: ManagedRuntime.ManagedRuntime<Wire, never>,
  calls: Calls,
  defaults: HttpCallOptions,
  inTime: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Http => {
  const send = async (method: HttpMethod, url: string | URL, given?: HttpBodyOptions): Promise<HttpResponse> => {
    checkCall(given)
    const options = checkRequest(over(defaults, given))
    const { signal } = options
    const sent = inTime(Effect.flatMap(Wire, (wire) => wire.send(method, String(url), options)))
    const { bytes, json, stream, text, ...head } = await run(sent, runtime, calls, signal)
    // The body belongs to a call that was taken: it may be read while the client closes.
    const read = <A>(body: Effect.Effect<A, Failure>) =>
      heard(() => run(body, runtime, calls, signal, undefined, true), 2)
    return {
      ...head,
      ok: head.status >= 200 && head.status < 300,
      text: () => read(text),
      json: () => read(json),
      bytes: () => read(bytes),
      stream: () => iterate(stream, runtime, calls, signal, true)
    }
  }
  const request: Http["request"] = (method, url, options) => heard(() => send(method, url, options))
  const as =
    (method: HttpMethod) =>
    (url: string | URL, options?: HttpBodyOptions): Promise<HttpResponse> =>
      heard(() => send(method, url, options))
  return {
    get: as("GET"),
    head: as("HEAD"),
    delete: as("DELETE"),
    post: as("POST"),
    put: as("PUT"),
    patch: as("PATCH"),
    request,
    with: (further) => make(runtime, calls, over(defaults, further), inTime)
  }
}
