/** What `client.http` stands on; loaded when a call is first sent. */
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import type { HttpClient } from "effect/http/HttpClient"
import { type HttpClientError, isHttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { BodyStalled, BodyTooLarge, connectionFailure } from "../../http/ConnectionFailure.ts"
import * as Redirect from "../../http/Redirect.ts"
import * as ResilientHttpClient from "../../http/ResilientHttpClient.ts"
import * as SecretHeaders from "../../http/SecretHeaders.ts"
import type * as UndiciHttpClient from "../../http/UndiciHttpClient.ts"
import * as Upload from "../../http/Upload.ts"
import * as Attempt from "../../policy/Attempt.ts"
import * as Deadline from "../../policy/Deadline.ts"
import * as Policy from "../../policy/Policy.ts"
import { DeadlineExceeded, type PolicyError } from "../../policy/PolicyError.ts"
import {
  type Answer,
  type HttpBodyOptions,
  HttpError,
  type HttpFile,
  type HttpMethod,
  type HttpOptions,
  Wire
} from "../Http.ts"
import type { CallOptions } from "../Options.ts"
import { toSettings } from "./callOptions.ts"
import type { Shared } from "./connected.ts"
import * as Transport from "./transport.ts"

const secret = (text: string | undefined): Redacted.Redacted<string> | undefined =>
  text === undefined ? undefined : Redacted.make(text)

const transportOf = (options: HttpOptions, policy: Policy.Policy): UndiciHttpClient.Options => {
  const { connections = policy.options.maxConcurrency, http2, keepAliveConnections, proxy, tls } = options
  return {
    // A call that has its slot has its connection.
    connections,
    keepAliveConnections,
    http2,
    compression: options.compression ?? true,
    connectTimeout: policy.timeout.connectMillis,
    proxy: proxy && { url: proxy.url, authorization: secret(proxy.authorization) },
    tls: tls && { ...tls, key: secret(tls.key), passphrase: secret(tls.passphrase) }
  }
}

const isAbsolute = (url: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(url)

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url)

/** The request without its body. What is everybody's default goes to the base URL's origin and nowhere else. */
const headOf = (
  method: HttpMethod,
  url: string,
  client: HttpOptions,
  { headers, idempotencyKey, query }: HttpBodyOptions
): HttpClientRequest.HttpClientRequest => {
  const { baseUrl } = client
  const isHere = baseUrl === undefined || !isAbsolute(url) || originOf(url) === originOf(baseUrl)
  const request = HttpClientRequest.make(method)(url, {
    urlParams: query === undefined ? [] : UrlParams.fromInput(query),
    headers: {
      ...(isHere ? client.headers : undefined),
      ...headers,
      ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey })
    }
  })
  return baseUrl === undefined || isAbsolute(url) ? request : HttpClientRequest.prependUrl(request, baseUrl)
}

/** A stream of an iterable, which a second send finds empty, or of a function that makes one for each send. */
const streamOf = (
  source: AsyncIterable<Uint8Array> | (() => AsyncIterable<Uint8Array>)
): Stream.Stream<Uint8Array, unknown> => {
  let isRead = false
  return Stream.suspend(() => {
    if (typeof source === "function") return Stream.fromAsyncIterable(source(), (error) => error)
    if (isRead) return Stream.fail(new TypeError("it could be read once, and the send before has; give a function"))
    isRead = true
    return Stream.fromAsyncIterable(source, (error) => error)
  })
}

const fileOf = ({ content, ...file }: HttpFile): Upload.File => ({
  ...file,
  content: content instanceof Uint8Array || content instanceof Blob ? content : streamOf(content)
})

const contentOf = (body: NonNullable<HttpBodyOptions["body"]>): HttpBody.HttpBody => {
  if (typeof body === "string") return HttpBody.text(body)
  if (body instanceof Uint8Array) return HttpBody.uint8Array(body)
  if (!(body instanceof Blob)) {
    if (typeof body === "function" || Symbol.asyncIterator in Object(body)) return HttpBody.stream(streamOf(body))
    throw new TypeError(`body: a ${typeof body} is no body; give a text, bytes, a Blob or an async iterable`)
  }
  const type = body.type === "" ? undefined : body.type
  return HttpBody.stream(
    streamOf(() => body.stream()),
    type,
    body.size
  )
}

type FormPart = readonly [name: string, value: string | File | HttpFile]

const jsonOf = (json: unknown): HttpBody.HttpBody => {
  let text: string | undefined
  try {
    text = JSON.stringify(json)
  } catch (cause) {
    const [why = ""] = cause instanceof Error ? cause.message.split("\n", 1) : []
    throw new TypeError(`json: this cannot be written as JSON (${why}); give plain values without circles`, { cause })
  }
  if (text === undefined) throw new TypeError(`json: a ${typeof json} cannot be written as JSON; give plain values`)
  return HttpBody.text(text, "application/json")
}

const bodyOf = (options: HttpBodyOptions): Effect.Effect<HttpBody.HttpBody | undefined> => {
  const { body, form, json, multipart } = options
  if (json !== undefined) return Effect.sync(() => jsonOf(json))
  if (form !== undefined) return Effect.succeed(HttpBody.urlParams(UrlParams.fromInput(form)))
  if (body !== undefined) return Effect.sync(() => contentOf(body))
  if (multipart === undefined) return Effect.succeed(undefined)
  return Upload.multipart(
    Array.from<FormPart, Upload.Part>(multipart, ([name, value]) => [
      name,
      typeof value === "string"
        ? value
        : value instanceof Blob
          ? { filename: value.name, content: value }
          : fileOf(value)
    ])
  )
}

const requestOf = (
  head: HttpClientRequest.HttpClientRequest,
  options: HttpBodyOptions
): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
  Effect.map(bodyOf(options), (body) => {
    if (body === undefined) return head
    const { onProgress } = options
    const told =
      onProgress !== undefined && body._tag === "Stream"
        ? Upload.withProgress(body, (progress) => Effect.ignore(Effect.try(() => onProgress(progress))))
        : body
    // A content type of the caller's own stands.
    const given = head.headers["content-type"]
    const request = HttpClientRequest.setBody(head, told)
    return given === undefined ? request : HttpClientRequest.setHeader(request, "content-type", given)
  })

const codeOf = ({ reason }: HttpClientError, isSent: boolean): HttpError["code"] => {
  if (reason.cause instanceof BodyTooLarge) return "BodyTooLarge"
  if (reason.cause instanceof BodyStalled) return "BodyStalled"
  if (reason._tag === "InvalidUrlError") return "InvalidUrl"
  if (reason._tag === "EncodeError") return "InvalidRequest"
  if (reason._tag === "TransportError") return isSent ? "ConnectionLost" : "Unreachable"
  return reason.cause !== undefined && ResilientHttpClient.classify(reason.cause).isRetryable
    ? "ConnectionLost"
    : "InvalidResponse"
}

/** A deadline's cause is Effect's own error, which holds the request, with the URL and the headers that were given. */
const withoutRequest = (refused: PolicyError): PolicyError => {
  if (refused._tag !== "DeadlineExceeded" || !isHttpClientError(refused.cause)) return refused
  const { key, phase, totalMillis } = refused
  return new DeadlineExceeded({ key, phase, totalMillis, cause: refused.cause.reason.cause })
}

/** The policy's own refusal, or the failure in one line. */
const failureOf =
  (request: HttpClientRequest.HttpClientRequest, attempts: ReadonlyArray<Attempt.Attempt>) =>
  (error: HttpClientError): HttpError | PolicyError => {
    const refused = ResilientHttpClient.refusal(error)
    if (refused !== undefined) return withoutRequest(refused)
    const { isRetryable, phase = "maybeSent" } = ResilientHttpClient.classify(error)
    const { cause } = error.reason
    return new HttpError({
      code: codeOf(error, phase !== "notSent"),
      method: request.method,
      url: UrlParams.redactUrl(request.url),
      description:
        cause instanceof BodyTooLarge
          ? `${cause.message}; raise maxBodyBytes, or read it as a stream`
          : error.reason._tag === "TransportError"
            ? connectionFailure(cause).message
            : (error.reason.description ?? "this is no whole URL; give one, or a path and the option http.baseUrl"),
      phase,
      isRetryable,
      attempts,
      // Not Effect's own error, as above.
      cause: error.reason._tag === "InvalidUrlError" ? undefined : cause
    })
  }

const wholeBytes = (bytes: number): number => Math.min(Math.floor(bytes), Number.MAX_SAFE_INTEGER)

const answerOf = (
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse,
  attempts: ReadonlyArray<Attempt.Attempt>,
  maxBodyBytes: number | undefined
): Answer => {
  const toFailure = failureOf(request, attempts)
  const read = <A>(body: Effect.Effect<A, HttpClientError>) => {
    const limited =
      maxBodyBytes === undefined
        ? body
        : Effect.provideService(body, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(wholeBytes(maxBodyBytes)))
    return Effect.mapError(limited, toFailure)
  }
  return {
    status: response.status,
    url: response.url,
    // Entry by entry: HTTP/2 adds a symbol that nobody can send on.
    headers: Object.fromEntries(Object.entries(response.headers)),
    setCookie: Cookies.toSetCookieHeaders(response.cookies),
    attempts,
    text: read(Effect.suspend(() => response.text)),
    json: read(Effect.suspend(() => response.json)),
    bytes: Effect.map(read(Effect.suspend(() => response.arrayBuffer)), (buffer) => new Uint8Array(buffer)),
    stream: Stream.mapError(
      Stream.suspend(() => response.stream),
      toFailure
    )
  }
}

/** Bounds all hops together, where the policy alone bounds each. */
const inTime = <A, E>(self: Effect.Effect<A, E>, policy: Policy.Policy, call: CallOptions) =>
  Effect.suspend(() => {
    const own = toSettings(call)
    const timed = own === undefined ? self : Effect.provideService(self, Policy.Override, own)
    const { totalMillis } = own === undefined ? policy.timeout : Policy.merge(policy, own).timeout
    return Effect.withFiber((fiber) => {
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      return Effect.provideService(timed, Deadline.Current, Math.min(fiber.getRef(Deadline.Current), now + totalMillis))
    })
  })

/** The wire of these options. */
export const layer = (options: HttpOptions, { fetch, policy }: Shared): Layer.Layer<Wire> => {
  const { cookies = false, maxBodyBytes, redirects } = options
  const wire = Effect.gen(function* () {
    const below = yield* Transport.make(fetch, transportOf(options, policy))
    const resilient = ResilientHttpClient.wrap(below, yield* Policy.open(policy))
    const jar = cookies ? yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([]) : undefined
    const stay =
      options.baseUrl === undefined ? [] : Object.keys(options.headers ?? {}).map((name) => name.toLowerCase())
    const following = (max: number | undefined): HttpClient => Redirect.follow({ max, cookies: jar, stay })(resilient)
    const usual = following(redirects)
    const send: Wire["Service"]["send"] = (method, url, call) =>
      Effect.flatMap(requestOf(headOf(method, url, options, call), call), (request) => {
        const recorder = new Attempt.Recorder()
        const client = call.redirects === undefined ? usual : following(call.redirects)
        return client.execute(request).pipe(
          Effect.map((response) => answerOf(request, response, recorder.attempts, call.maxBodyBytes ?? maxBodyBytes)),
          Effect.mapError(failureOf(request, recorder.attempts)),
          Effect.provideService(Attempt.Story, recorder),
          (sending) => inTime(sending, policy, call)
        )
      })
    return Wire.of({ send })
  })
  return Layer.provideMerge(Layer.effect(Wire, wire), SecretHeaders.layer)
}
