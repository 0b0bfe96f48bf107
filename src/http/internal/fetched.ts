/**
 * Effect's client over a `fetch`, whoever brings it: a browser, a worker, a framework, a test. What `fetch` does in its
 * own way is put as our own transport puts it: redirects are left to the caller, a failure says how far the request had
 * come, and what cannot be sent is told once instead of being tried again.
 *
 * Fetch: https://fetch.spec.whatwg.org.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Cookies from "effect/http/Cookies"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import { DecodeError, EncodeError, HttpClientError, TransportError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { ConnectionFailure, connectionFailure } from "../ConnectionFailure.ts"
import { BodyFailure } from "./bodyFailure.ts"
import { joined } from "./bytes.ts"
import { HiddenRedirect } from "./hidden.ts"
import { PushedResponse } from "./response.ts"
import { type ByteSink, type ByteSource, subscribe, Subscribe } from "./source.ts"
import { traced } from "./tracing.ts"

export interface Options {
  /** Default: the runtime's own. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Whether it sends a body while that is made. Otherwise such a body is collected first. Default: `true`. */
  readonly canStreamUp?: boolean | undefined
}

/** What is collected of a body that has to be whole before it is sent: as much as is read of an answer. */
const maxCollectedBytes = 64 * 1024 * 1024

// undici's words, in Node's own `fetch`, for a request that is wrong itself (docs/api/Errors.md).
const notARequest = new Set(["UND_ERR_INVALID_ARG", "UND_ERR_NOT_SUPPORTED", "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"])

/** One request on its way. */
interface Sending {
  request: HttpClientRequest.HttpClientRequest
  /** Set when the program's own stream fails while it is sent. */
  failed: BodyFailure | undefined
}

const unsendable = (request: HttpClientRequest.HttpClientRequest, cause: unknown, description: string) =>
  Effect.fail(new HttpClientError({ reason: new EncodeError({ request, cause, description }) }))

/** What `fetch` refuses of a request, with a `TypeError` like that of a broken connection. */
const wrongIn = ({ body, headers, method }: HttpClientRequest.HttpClientRequest): unknown => {
  if (body._tag !== "Empty" && (method === "GET" || method === "HEAD"))
    return new TypeError(`fetch sends no body with ${method}`)
  try {
    void new globalThis.Headers(headers)
    return undefined
  } catch (cause) {
    return cause
  }
}

/** A URL with a user and a password is none for `fetch`: they become the header that they stand for. */
const authorized = (request: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest => {
  if (!request.url.includes("@") || !URL.canParse(request.url)) return request
  const url = new URL(request.url)
  const { password, username } = url
  if (username === "" && password === "") return request
  url.username = ""
  url.password = ""
  const bare = HttpClientRequest.setUrl(request, url.href)
  return request.headers["authorization"] === undefined
    ? HttpClientRequest.basicAuth(bare, plain(username), plain(password))
    : bare
}

/** As it was written: a `%` that begins no escape is one. */
const plain = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** The same request, whose headers stand: a body of its own brings its content type. */
const withBody = (
  { hash, headers, method, url, urlParams }: HttpClientRequest.HttpClientRequest,
  body: HttpBody.HttpBody
): HttpClientRequest.HttpClientRequest => HttpClientRequest.makeWith(method, url, urlParams, hash, headers, body)

/** What has to be whole before it is sent. */
const collected = (request: HttpClientRequest.HttpClientRequest, body: HttpBody.Stream) => {
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  const reading = Stream.runForEach(body.stream, (chunk) => {
    bytes += chunk.length
    if (bytes <= maxCollectedBytes) return Effect.sync(() => void chunks.push(chunk))
    return Effect.fail(new Error(`it is over ${maxCollectedBytes} bytes, and this runtime sends no body as a stream`))
  })
  return Effect.matchCauseEffect(reading, {
    onFailure: (cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      const failure = new BodyFailure({ cause: Cause.squash(cause) })
      return unsendable(request, failure.cause, failure.message)
    },
    onSuccess: () => Effect.succeed(withBody(request, HttpBody.uint8Array(joined(chunks), body.contentType)))
  })
}

/** The request as `fetch` takes it. */
const prepared = (
  given: HttpClientRequest.HttpClientRequest,
  canStreamUp: boolean
): Effect.Effect<Sending, HttpClientError> => {
  const request = authorized(given)
  const wrong = wrongIn(request)
  if (wrong !== undefined)
    return unsendable(request, wrong, wrong instanceof Error ? wrong.message : "the request cannot be sent")
  const { body } = request
  if (body._tag !== "Stream") return Effect.succeed({ request, failed: undefined })
  if (!canStreamUp) return Effect.map(collected(request, body), (request) => ({ request, failed: undefined }))
  const sending: Sending = { request, failed: undefined }
  const told = watched(body, (failure) => {
    sending.failed = failure
  })
  sending.request = withBody(request, told)
  return Effect.succeed(sending)
}

/** The same body, which says when it was the program that failed. */
const watched = (body: HttpBody.Stream, onFailed: (failure: BodyFailure) => void): HttpBody.Stream => {
  const stream = Stream.catchCause(body.stream, (cause) => {
    const failure = new BodyFailure({ cause: Cause.squash(cause) })
    if (!Cause.hasInterruptsOnly(cause)) onFailed(failure)
    return Stream.fail(failure)
  })
  return HttpBody.stream(stream, body.contentType, body.contentLength)
}

/** A browser says as little of a refused connection as of an origin that is not allowed; both may be meant. */
const failureOf = (cause: unknown, isStarted?: boolean): ConnectionFailure => {
  // Node's `fetch` says "fetch failed", and in its cause why.
  const inner = cause instanceof TypeError && cause.cause instanceof Error ? cause.cause : cause
  const failure = connectionFailure(inner, isStarted)
  if (inner !== cause || !(cause instanceof TypeError) || isStarted === true) return failure
  const description = `${failure.description}; there is no connection, or the server does not allow this origin (CORS)`
  return new ConnectionFailure({ description, code: failure.code, phase: failure.phase, cause })
}

const notAnswered = ({ failed, request }: Sending, error: HttpClientError): HttpClientError => {
  const { reason } = error
  if (reason._tag !== "TransportError") return error
  if (failed !== undefined)
    return new HttpClientError({
      reason: new EncodeError({ request, cause: failed.cause, description: failed.message })
    })
  const cause = failureOf(reason.cause ?? reason.description)
  const { description } = cause
  if (cause.code !== undefined && notARequest.has(cause.code))
    return new HttpClientError({ reason: new EncodeError({ request, cause: reason.cause, description }) })
  return new HttpClientError({ reason: new TransportError({ request, cause, description }) })
}

/** A response whose body fails as those of our own transport do, and is empty where there is none. */
class FetchedResponse extends PushedResponse {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  private readonly original: HttpClientResponse

  constructor(request: HttpClientRequest.HttpClientRequest, original: HttpClientResponse) {
    super()
    this.request = request
    this.url = original.url
    this.status = original.status
    this.headers = original.headers
    this.original = original
  }

  get cookies(): Cookies.Cookies {
    return this.original.cookies
  }

  [Subscribe]({ onBytes, onEnd, onError }: ByteSink): ByteSource {
    return subscribe(this.original, {
      onBytes,
      onEnd,
      onError: ({ reason }) => {
        if (reason._tag === "EmptyBodyError") return onEnd()
        const failure = failureOf(reason.cause, true)
        onError(this.failed(failure.description, failure))
      }
    })
  }
}

/** No status at all is an answer that the runtime hides. */
const answered = (
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse
): Effect.Effect<HttpClientResponse, HttpClientError> => {
  if (response.status !== 0) return Effect.succeed(new FetchedResponse(request, response))
  const cause = new HiddenRedirect()
  const reason = new DecodeError({ request, response, cause, description: cause.message })
  return Effect.fail(new HttpClientError({ reason }))
}

const always = (): boolean => true

/** Makes the client. It follows no redirect; there is nothing to close. */
export const make = ({ canStreamUp = true, fetch }: Options): Effect.Effect<HttpClient.HttpClient> => {
  const manual = Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" })
  const given = fetch === undefined ? manual : Layer.merge(manual, Layer.succeed(FetchHttpClient.Fetch, fetch))
  const base = Effect.provide(HttpClient.HttpClient, Layer.provide(FetchHttpClient.layer, given))
  return Effect.map(base, (client) => {
    const send = (
      _fiber: Fiber.Fiber<unknown, unknown>,
      given: HttpClientRequest.HttpClientRequest
    ): Effect.Effect<HttpClientResponse, HttpClientError> =>
      Effect.flatMap(prepared(given, canStreamUp), (sending) =>
        Effect.matchEffect(
          // The span is ours, and there is none without a tracer: a header more is a question more to a browser's server.
          Effect.provideService(client.execute(sending.request), HttpClient.TracerDisabledWhen, always),
          {
            onFailure: (error) => Effect.fail(notAnswered(sending, error)),
            onSuccess: (response) => answered(given, response)
          }
        )
      )
    return HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
      Effect.flatMap((request) => Effect.withFiber((fiber) => traced(fiber, request, send))),
      Effect.succeed
    )
  })
}
