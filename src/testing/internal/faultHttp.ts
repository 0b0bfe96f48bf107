/** Faults on an `HttpClient`, in memory. */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { allKinds, type Plan } from "./faultPlan.ts"

type Request = HttpClientRequest.HttpClientRequest
type Answer = HttpClientResponse.HttpClientResponse
type Failure = HttpClientError.HttpClientError

/** The client, with what the plan deals. */
export const over = (client: HttpClient.HttpClient, plan: Plan, latency: Duration.Input): HttpClient.HttpClient =>
  HttpClient.transform(client, (send, request) => {
    const key = callKey(request)
    const answered = Effect.tap(send, () => Effect.sync(() => plan.answeredUnsafe(key)))
    const kind = plan.dealUnsafe(key, allKinds)
    switch (kind) {
      case undefined:
        return answered
      case "latency":
        return Effect.delay(answered, latency)
      case "rateLimited":
        return Effect.succeed(refusal(request, 429, "rate_limit_exceeded", { "retry-after-ms": "30" }))
      case "unavailable":
        return Effect.succeed(refusal(request, 503, "overloaded", {}))
      case "serverError":
        return Effect.succeed(refusal(request, 500, "internal_error", {}))
      case "refuse":
        return Effect.fail(broken(request, "the connection was refused", "connect ECONNREFUSED", "ECONNREFUSED"))
      case "reset":
        return Effect.fail(broken(request, "the connection was reset", "read ECONNRESET", "ECONNRESET"))
      case "silence":
        return Effect.never
      case "garbage":
        // Read all the same, so that the connection is given back.
        return Effect.flatMap(send, (response) => Effect.as(response.arrayBuffer, garbled(request, response)))
      case "stall":
      case "cut":
        return Effect.flatMap(send, (response) => spoil(kind, request, response))
    }
  })

const callKey = ({ body, method, url }: Request): string => `${method} ${url} ${bodyKey(body)}`

const bodyKey = (body: HttpBody.HttpBody): string => {
  if (body._tag === "Uint8Array") return new TextDecoder().decode(body.body)
  return body._tag === "Raw" && typeof body.body === "string" ? body.body : body._tag
}

const refusal = (request: Request, status: number, code: string, headers: Readonly<Record<string, string>>): Answer =>
  HttpClientResponse.fromWeb(
    request,
    new Response(JSON.stringify({ error: { message: `injected fault: ${code}`, type: code, param: null, code } }), {
      status,
      headers: { "content-type": "application/json", ...headers }
    })
  )

const broken = (request: Request, what: string, message: string, code: string): Failure =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({
      request,
      description: `injected fault: ${what}`,
      cause: Object.assign(new Error(message), { code })
    })
  })

/** Status and type as they were, and a body that keeps to no protocol: neither JSON nor events with JSON in them. */
const garbled = (request: Request, response: Answer): Answer => {
  const isEvents = response.headers["content-type"]?.includes("event-stream") === true
  const junk = "{\uFFFD\u0000]<html>injected fault"
  const headers = { "content-type": response.headers["content-type"] ?? "text/plain" }
  return HttpClientResponse.fromWeb(
    request,
    new Response(isEvents ? `data: ${junk}\n\n` : junk, { status: response.status, headers })
  )
}

const spoil = (kind: "stall" | "cut", request: Request, response: Answer): Effect.Effect<Answer, Failure> =>
  Effect.map(response.arrayBuffer, (bytes) => {
    const half = new Uint8Array(bytes.slice(0, Math.ceil(bytes.byteLength / 2)))
    let isSent = false
    const body = new ReadableStream<Uint8Array>({
      // The break comes at the second pull: an error right behind the bytes would discard them.
      pull: (controller) => {
        if (!isSent) controller.enqueue(half)
        else if (kind === "cut") controller.error(new Cause.UnknownError(undefined, "injected fault: cut"))
        else return new Promise(() => undefined)
        isSent = true
        return undefined
      }
    })
    return HttpClientResponse.fromWeb(
      request,
      new Response(body, { status: response.status, headers: response.headers })
    )
  })
