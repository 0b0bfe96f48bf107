/**
 * Any `HttpClient` with a Policy for each origin: retries, deadlines and slots under programs that never heard of them.
 *
 * The last answer is returned as it is, also when it is a 503, as the stock client does. What the policy itself refuses
 * is a `TransportError` whose cause is the `PolicyError`: `refusal` reads it. Do not put `retryTransient` above it: two
 * loops multiply. Under the send of another policy (a provider's layer) it sends exactly once.
 *
 * The loop ends at the headers; reading the body is not tried again, and is bounded all the same: read whole, by what is
 * left of `attempt`; as a stream, by `idleContent` between two pieces; both by `total` and by `MaxBodySize`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, isHttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import { type HttpClientResponse, TypeId as HttpClientResponseTypeId } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import type { Duration } from "effect/Duration"
import type * as Fiber from "effect/Fiber"
import * as Deadline from "../policy/Deadline.ts"
import { isPolicyError, type PolicyError } from "../policy/PolicyError.ts"
import * as Policy from "../policy/Policy.ts"
import type { Estimate, Usage } from "../policy/CostBudget.ts"
import type { Safety } from "../policy/Retry.ts"
import { classify as classifyOther, type Phase, type Retryable } from "../policy/Retryable.ts"
import { connectionFailure } from "./ConnectionFailure.ts"
import { type Bounds, BoundedResponse } from "./internal/bounded.ts"
import { headerOf, keep } from "./internal/source.ts"
import * as RetryAfter from "./RetryAfter.ts"
import * as SecretHeaders from "./SecretHeaders.ts"

/** A response that the loop may try again. It never leaves this module: the last one is given back as a response. */
class Unwanted implements Retryable {
  readonly _tag: string
  readonly isRetryable: boolean
  readonly retryAfter: Duration | undefined
  readonly phase: Phase
  readonly isThrottle: boolean
  readonly status: number
  /** Not for who prints what `onRetry` was told: the request is in it, with its headers. */
  readonly #response: HttpClientResponse
  constructor(response: HttpClientResponse, hint: RetryAfter.Hint) {
    const { status } = response
    this._tag = `Status${status}`
    this.status = status
    this.isThrottle = status === 429 || status === 529
    this.isRetryable = hint.shouldRetry ?? true
    this.retryAfter = hint.retryAfter
    this.phase = status === 408 || status === 429 || status === 503 || status === 529 ? "rejected" : "maybeSent"
    this.#response = response
  }
  get response(): HttpClientResponse {
    return this.#response
  }
}

// 408 and 425 ask for it, 429 and 5xx may pass; 52x are Cloudflare's for an origin that did not answer, 529 is
// Anthropic's "overloaded" (docs.anthropic.com/en/api/errors, 2026-11).
const transient = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529])

/** Reads any error that an `HttpClient` fails with. */
export const classify = (error: unknown): Retryable => {
  if (!isHttpClientError(error)) return classifyOther(error)
  const { reason } = error
  if (reason._tag === "TransportError") return connectionFailure(reason.cause)
  const isBroken = reason._tag === "DecodeError"
  return { isRetryable: false, phase: isBroken ? "answered" : "notSent" }
}

/** The policy's refusal inside an error of this client, if that is what it is. */
export const refusal = (error: unknown): PolicyError | undefined =>
  isHttpClientError(error) && isPolicyError(error.reason.cause) ? error.reason.cause : undefined

/** Methods that RFC 9110 §9.2.2 calls idempotent. */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"])

/** Nobody knows of tokens in a plain request: it takes none of a rate and costs nothing of a budget. */
const noTokens = (): Estimate => ({ inputTokens: 0, maxTokens: 0 })
const noUsage = (): Usage => ({ inputTokens: 0, outputTokens: 0 })

const safetyOf = (request: HttpClientRequest): Safety =>
  idempotent.has(request.method) || request.headers["idempotency-key"] !== undefined ? "idempotent" : "unsafe"

/** The origin. What more stands before the first slash, a user and a password or a query, is in nobody's story. */
const keyOf = (url: string): string => {
  const slash = url.indexOf("/", url.indexOf("://") + 3)
  const origin = slash === -1 ? url : url.slice(0, slash)
  if (!/[@?#\\]/.test(origin)) return origin
  return URL.canParse(url) ? new URL(url).origin : "invalid URL"
}

/**
 * A response that another send may follow is read, so that its connection is free again; and kept, because it is the
 * result after all when no retry is left to pay for that send.
 */
const onDiscard = (unwanted: unknown): void => {
  if (unwanted instanceof Unwanted) keep(unwanted.response)
  else if (isResponse(unwanted)) keep(unwanted)
}

const isResponse = (u: unknown): u is HttpClientResponse =>
  typeof u === "object" && u !== null && HttpClientResponseTypeId in u

/** The times that bound the body of an attempt that begins now. */
const boundsOf = (fiber: Fiber.Fiber<unknown, unknown>, policy: Policy.Policy, key: string): Bounds => {
  const clock = fiber.getRef(Clock.Clock)
  const override = fiber.getRef(Policy.Override)
  const { timeout } = override === undefined ? policy : Policy.merge(policy, override)
  return { clock, key, timeout, startedAt: clock.currentTimeMillisUnsafe(), deadlineAt: fiber.getRef(Deadline.Current) }
}

/** The client `self` under an open policy. */
export const wrap = (self: HttpClient.HttpClient, held: Policy.Held): HttpClient.HttpClient => {
  const once = (
    request: HttpClientRequest,
    key: string
  ): Effect.Effect<HttpClientResponse, HttpClientError | Unwanted> =>
    Effect.withFiber((fiber) => {
      const bounds = boundsOf(fiber, held.policy, key)
      return Effect.flatMap(self.postprocess(Effect.succeed(request)), (original) => {
        const response = new BoundedResponse(original, bounds)
        return transient.has(response.status) ||
          (response.status >= 400 && headerOf(response, "x-should-retry") === "true")
          ? Effect.flatMap(RetryAfter.read(response), (hint) => Effect.fail(new Unwanted(response, hint)))
          : Effect.succeed(response)
      })
    })
  const many = (request: HttpClientRequest): Effect.Effect<HttpClientResponse, HttpClientError> => {
    const key = keyOf(request.url)
    const call = { key, safety: safetyOf(request), classify, onDiscard, estimate: noTokens, usage: noUsage }
    return Effect.catch(
      held.apply(call)(once(request, key)),
      (error): Effect.Effect<HttpClientResponse, HttpClientError> => {
        if (error instanceof Unwanted) return Effect.succeed(error.response)
        if (!isPolicyError(error)) return Effect.fail(error)
        const reason = new TransportError({ request, cause: error, description: error.message })
        return Effect.fail(new HttpClientError({ reason }))
      }
    )
  }
  return HttpClient.makeWith<HttpClientError, never, HttpClientError, never>(
    (request) =>
      Effect.flatMap(request, (request) =>
        Effect.withFiber((fiber) =>
          fiber.getRef(Policy.Sending) ? self.postprocess(Effect.succeed(request)) : many(request)
        )
      ),
    self.preprocess
  )
}

/** The `HttpClient` below, under `policy`. State (slots, counters) is made once for each layer: keep it in a constant. */
export const layer = (
  policy: Policy.Policy = Policy.defaults
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> =>
  Layer.merge(
    Layer.effect(
      HttpClient.HttpClient,
      Effect.gen(function* () {
        const below = yield* HttpClient.HttpClient
        return wrap(below, yield* Policy.open(policy))
      })
    ),
    SecretHeaders.layer
  )
