/**
 * The span of one request, with the names of Effect's own client; none where there is no tracer. Headers are recorded
 * where `HttpClient.TracerHeaderFilter` asks for them, redacted.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as TraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as Spans from "../../policy/internal/spans.ts"
import * as SecretHeaders from "../SecretHeaders.ts"

type Send = (
  fiber: Fiber.Fiber<unknown, unknown>,
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse, HttpClientError>

/** Sends under a client span with the OpenTelemetry names, and hands the trace on by `traceparent`. */
export const traced = (
  fiber: Fiber.Fiber<unknown, unknown>,
  request: HttpClientRequest.HttpClientRequest,
  send: Send
): Effect.Effect<HttpClientResponse, HttpClientError> => {
  const { cache, context } = fiber
  const hasTracer = cache.tracerEnabled && (cache.tracer !== undefined || cache.span !== undefined)
  if (!hasTracer || fiber.getRef(Tracer.DisablePropagation) || fiber.getRef(HttpClient.TracerDisabledWhen)(request)) {
    return send(fiber, request)
  }
  const span = Spans.startSpan(context, fiber.getRef(HttpClient.SpanNameGenerator)(request), "client")
  describe(context, span, request)
  annotate(context, span, "request", request)
  const isPropagated = fiber.getRef(HttpClient.TracerPropagationEnabled)
  const sent = send(fiber, isPropagated ? withHeaders(request, TraceContext.toHeaders(span)) : request)
  // Below a plain body runs nothing that could have a span of its own.
  const isPlain = request.body._tag === "Raw" || request.body._tag === "Empty" || request.body._tag === "Uint8Array"
  return Effect.onExitPrimitive(
    isPlain ? sent : Effect.withParentSpan(sent, span, { captureStackTrace: false }),
    (exit) => {
      end(context, span, exit)
      return undefined
    }
  )
}

/** `HttpClientRequest.setHeaders` for names that are lower case already: 0.2 µs, where that takes 0.8. */
const withHeaders = (
  { body, hash, headers, method, url, urlParams }: HttpClientRequest.HttpClientRequest,
  more: Headers.Headers
): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.makeWith(method, url, urlParams, hash, Headers.merge(headers, more), body)

const end = (
  context: Context.Context<never>,
  span: Tracer.Span,
  exit: Exit.Exit<HttpClientResponse, HttpClientError>
): void => {
  if (exit._tag === "Failure") {
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    return Spans.endWith(context, span, error === undefined ? "interrupted" : typeOf(error), exit)
  }
  const { status } = exit.value
  span.attribute("http.response.status_code", status)
  annotate(context, span, "response", exit.value)
  Spans.endWith(context, span, status < 400 ? "ok" : String(status))
}

/** What Node calls a failure, such as `ECONNRESET`, or else the tag of its reason. */
const typeOf = (error: HttpClientError): string => {
  const { _tag, cause } = error.reason
  return typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : _tag
}

interface Address {
  readonly host: string
  readonly port: number
}

// A program calls a handful of URLs again and again; the bound is for one that puts ids into them.
const maxAddresses = 256
const addresses = new Map<string, Address>()

const addressOf = (url: string): Address | undefined => {
  const known = addresses.get(url)
  if (known !== undefined) return known
  const parts = /^(https?):\/\/(?:[^/?#@]*@)?(\[[^\]]*\]|[^/:?#]+)(?::(\d+))?/i.exec(url)
  if (parts?.[2] === undefined) return undefined
  const { 1: scheme, 2: host, 3: port } = parts
  // The conventions want IPv6 without its brackets.
  const made = { host: host.replace(/^\[|\]$/g, ""), port: Number(port ?? (scheme === "https" ? 443 : 80)) }
  if (addresses.size >= maxAddresses) addresses.clear()
  addresses.set(url, made)
  return made
}

const describe = (
  context: Context.Context<never>,
  span: Tracer.Span,
  { method, url, urlParams }: HttpClientRequest.HttpClientRequest
): void => {
  span.attribute("http.request.method", method)
  const full = fullUrl(url, urlParams)
  const names = full.includes("?")
    ? [...Context.get(context, UrlParams.CurrentRedactedNames), ...SecretHeaders.parameters]
    : []
  span.attribute("url.full", UrlParams.redactUrl(full, names))
  const address = addressOf(url)
  if (address === undefined) return
  span.attribute("server.address", address.host)
  span.attribute("server.port", address.port)
}

/** The URL with its parameters; those that are `Redacted` stay so. */
const fullUrl = (url: string, urlParams: UrlParams.UrlParams): string => {
  if (urlParams.params.length === 0) return url
  const query = new URLSearchParams()
  for (const [name, value] of urlParams.params) query.append(name, typeof value === "string" ? value : "REDACTED")
  return `${url}${url.includes("?") ? "&" : "?"}${query}`
}

/** Headers may hold what nobody should read: recorded is what a filter was set for. */
const annotate = (
  context: Context.Context<never>,
  span: Tracer.Span,
  side: "request" | "response",
  message: { readonly headers: Headers.Headers }
): void => {
  const filter = Context.getOrUndefined(context, HttpClient.TracerHeaderFilter)
  if (filter === undefined) return
  const names = [...Context.get(context, Headers.CurrentRedactedNames), ...SecretHeaders.names]
  const redacted = Headers.redact(message.headers, names)
  for (const name in redacted) {
    const value = redacted[name]
    if (filter(name, side))
      span.attribute(`http.${side}.header.${name}`, typeof value === "string" ? value : "<redacted>")
  }
}
