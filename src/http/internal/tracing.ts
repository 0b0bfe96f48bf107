/** The span of one request, as Effect's own client makes it; none where there is no tracer. */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as TraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Tracer from "effect/Tracer"

type Send = (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<HttpClientResponse, HttpClientError>

/** Sends under a client span with the OpenTelemetry names, and hands the trace on by `traceparent`. */
export const traced = (
  request: HttpClientRequest.HttpClientRequest,
  send: Send
): Effect.Effect<HttpClientResponse, HttpClientError> =>
  Effect.withFiber((fiber) => {
    const hasTracer = fiber.cache.tracer !== undefined || fiber.cache.span !== undefined
    if (!hasTracer || fiber.getRef(Tracer.DisablePropagation) || fiber.getRef(HttpClient.TracerDisabledWhen)(request)) {
      return send(request)
    }
    const name = fiber.getRef(HttpClient.SpanNameGenerator)(request)
    return Effect.useSpan(name, { kind: "client" }, (span) => {
      span.attribute("http.request.method", request.method)
      span.attribute("url.full", UrlParams.redactUrl(request.url))
      annotate(span, "request", request.headers, fiber.getRef(Headers.CurrentRedactedNames))
      const isPropagated = fiber.getRef(HttpClient.TracerPropagationEnabled)
      const marked = isPropagated ? HttpClientRequest.setHeaders(request, TraceContext.toHeaders(span)) : request
      return Effect.tap(Effect.withParentSpan(send(marked), span, { captureStackTrace: false }), (response) =>
        Effect.sync(() => {
          span.attribute("http.response.status_code", response.status)
          if (response.status >= 400) span.attribute("error.type", String(response.status))
        })
      )
    })
  })

const annotate = (
  span: Tracer.Span,
  side: "request",
  headers: Headers.Headers,
  redactedNames: ReadonlyArray<string | RegExp>
): void => {
  const redacted = Headers.redact(headers, redactedNames)
  for (const name in redacted) {
    const value = redacted[name]
    span.attribute(`http.${side}.header.${name}`, typeof value === "string" ? value : "<redacted>")
  }
}
