/**
 * A service over HTTP that is no model, under a policy: each call is sent by the one loop, read whole or as a stream, and
 * fails with a reason, its attempts and the service's id of the request.
 */
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { type Attempt, Recorder } from "../../policy/Attempt.ts"
import * as Deadline from "../../policy/Deadline.ts"
import * as Policy from "../../policy/Policy.ts"
import type { PolicyError } from "../../policy/PolicyError.ts"
import * as RateLimit from "../../policy/RateLimit.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import * as EventStream from "../EventStream.ts"
import * as RateLimitHeaders from "../RateLimitHeaders.ts"
import { InvalidResponse, RateLimited, type Reason } from "../ServiceReason.ts"
import { type Address, type Ask, hidden, requestOf, safetyOf, withoutSecrets } from "./ask.ts"
import { BoundedResponse } from "./bounded.ts"
import * as Carried from "./carried.ts"
import { type Body, streamed } from "./exchangeStream.ts"
import { errorBody, type OwnReason, parsed, type ReasonOf, reasonOfRefusal, refusalOf } from "./refusal.ts"
import { ChunkReader } from "./response.ts"
import { reasonOfHttpError } from "./serviceReason.ts"
import { headerOf, subscribe } from "./source.ts"
import { unredirected } from "./unredirected.ts"

export interface Settings<R extends OwnReason = never> extends Address {
  /** The name in errors. */
  readonly provider: string
  /** Whose slots are taken, e.g. `"e2b https://api.e2b.app"`. */
  readonly key: string
  readonly held: Policy.Held
  readonly http: HttpClient.HttpClient
  /** Reads a status of failure before its number is read. Default: by the status alone. */
  readonly reasonOf?: ReasonOf<R> | undefined
  /** The largest body that is read whole, in bytes. Default: 64 MiB, or Effect's `MaxBodySize`. */
  readonly limitBytes?: number | undefined
}

/** Why a call failed, and its story. */
export class Failed<R extends OwnReason = never> {
  readonly _tag = "Failed"
  readonly reason: Reason | PolicyError | R
  readonly attempts: ReadonlyArray<Attempt>
  /** The service's id of the last request that it answered. */
  readonly requestId: string | undefined
  constructor(reason: Reason | PolicyError | R, attempts: ReadonlyArray<Attempt>, requestId: string | undefined) {
    this.reason = reason
    this.attempts = attempts
    this.requestId = requestId
  }
}

export interface Answer<A> {
  readonly value: A
  readonly status: number
  readonly headers: HttpClientResponse["headers"]
  readonly requestId: string | undefined
  readonly attempts: ReadonlyArray<Attempt>
}

/** What one call keeps beside its result. */
class Told {
  readonly recorder = new Recorder()
  requestId: string | undefined = undefined
}

/** A request counts as one call of a rate, and has no tokens. */
const noTokens = () => ({ inputTokens: 0, maxTokens: 0 })
const noUsage = () => ({ inputTokens: 0, outputTokens: 0 })

/** Statuses that an answer may have. */
const isAccepted = ({ accept }: Ask, status: number): boolean =>
  (status >= 200 && status < 300) || accept?.includes(status) === true

export class Exchange<R extends OwnReason = never> {
  private readonly settings: Settings<R>

  constructor(settings: Settings<R>) {
    this.settings = settings
  }

  /** The whole body as text. */
  text(ask: Ask): Effect.Effect<Answer<string>, Failed<R>> {
    return this.whole(ask, (response) => response.text)
  }

  /** The whole body as bytes. */
  bytes(ask: Ask): Effect.Effect<Answer<Uint8Array>, Failed<R>> {
    return this.whole(ask, (response) => Effect.map(response.arrayBuffer, (buffer) => new Uint8Array(buffer)))
  }

  /**
   * The whole body as JSON, read by `decode`, which fails with what is wrong with it: an `InvalidResponse`, tried again
   * where that is safe. No body at all is `undefined`.
   */
  json<A>(asked: Ask, decode: (value: unknown) => Result.Result<A, string>): Effect.Effect<Answer<A>, Failed<R>> {
    return this.whole(asked, (response, ask) =>
      Effect.flatMap(response.text, (text) => {
        const value = parsed(text)
        const isJson = value !== undefined || text.trim() === ""
        const decoded = isJson ? decode(value) : Result.fail("the body is not JSON")
        return Result.isSuccess(decoded)
          ? Effect.succeed(decoded.success)
          : Effect.fail(this.invalid(ask, decoded.failure, text, response.status))
      })
    )
  }

  /** The lines of the body as they come, blank ones left out. Leaving the stream closes the connection. */
  lines(ask: Ask, options?: EventStream.Options): Stream.Stream<string, Failed<R>> {
    return this.stream(ask, (response) => EventStream.ndjsonReader(response, options))
  }

  /** Server-sent events, likewise. */
  events(ask: Ask, options?: EventStream.Options): Stream.Stream<EventStream.ServerSentEvent, Failed<R>> {
    return this.stream(ask, (response) => EventStream.sseReader(response, options))
  }

  /** The bytes of the body as they come, likewise. */
  pieces(ask: Ask): Stream.Stream<Uint8Array, Failed<R>> {
    return this.stream(ask, (response) => {
      const { pull, source } = new ChunkReader((sink) => subscribe(response, sink))
      return { pull, abort: () => source.abort() }
    })
  }

  /**
   * The body as `read` reads it. Tried again until its headers are here, not after. Between two pieces it waits for the
   * `idleContent` time, in all until the deadline; its slot is held to its end.
   */
  stream<A>(ask: Ask, read: (response: HttpClientResponse) => Body<A>): Stream.Stream<A, Failed<R>> {
    return Stream.suspend(() => {
      const told = new Told()
      const { held, key } = this.settings
      const opening = (timeout: Timeout.Timeout): Effect.Effect<Body<A>, Reason | PolicyError | R> =>
        Effect.flatMap(Carried.asked(ask), (carrying) => Effect.map(this.send(carrying, told, timeout), read))
      const stream = streamed(held, this.callOf(ask, told), key, opening)
      const set = isPlain(ask) ? stream : Stream.updateContext(stream, over(ask))
      return Stream.mapError(set, (reason) => this.failed(reason, told))
    })
  }

  private whole<A>(
    ask: Ask,
    read: (response: HttpClientResponse, ask: Ask) => Effect.Effect<A, HttpClientError | Reason>
  ): Effect.Effect<Answer<A>, Failed<R>> {
    return Effect.contextWith((context: Context.Context<never>) => {
      const told = new Told()
      const { limitBytes = this.settings.limitBytes } = ask
      const { held } = this.settings
      const carrying = Carried.over(ask, context)
      const answered = Effect.flatMap(this.send(carrying, told, undefined), (response) => {
        const value = Effect.mapError(read(response, carrying), toReason)
        const { headers, status } = response
        const { attempts } = told.recorder
        return Effect.map(value, (value): Answer<A> => ({
          value,
          status,
          headers,
          requestId: idOf(response),
          attempts
        }))
      })
      const limited =
        limitBytes === undefined
          ? answered
          : Effect.provideService(answered, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limitBytes))
      const call = held.apply(this.callOf(ask, told))(limited)
      const set = isPlain(ask) ? call : Effect.updateContext(call, over(ask))
      return Effect.mapError(set, (reason) => this.failed(reason, told))
    })
  }

  /** Takes the secrets that the service was shown out of what it said; for what it says under a status of success. */
  safe(ask: Ask): Effect.Effect<(text: string) => string> {
    return Effect.map(Carried.asked(ask), (carrying) => (text) => withoutSecrets(text, this.settings, carrying))
  }

  /** By what is asked alone: a key of the caller's makes no second send safe that was not, for who knows it there? */
  private callOf(ask: Ask, { recorder }: Told): Policy.Call {
    return { key: this.settings.key, safety: safetyOf(ask), recorder, estimate: noTokens, usage: noUsage }
  }

  /** Sends once; the answer has a status of success and a body that is bounded by the times in force. */
  private send(
    ask: Ask,
    told: Told,
    timeout: Timeout.Timeout | undefined
  ): Effect.Effect<HttpClientResponse, Reason | PolicyError | R> {
    return Effect.contextWith((context: Context.Context<never>) => {
      const { held, http, key } = this.settings
      ask.onSend?.()
      const clock = Context.get(context, Clock.Clock)
      const bounds = {
        clock,
        key,
        timeout: timeout ?? timesIn(context, held),
        startedAt: clock.currentTimeMillisUnsafe(),
        deadlineAt: Context.get(context, Deadline.Current)
      }
      const executed = Effect.updateContext(http.execute(requestOf(this.settings, ask)), hidden(this.settings, ask))
      const sent = Effect.mapError(unredirected(executed), reasonOfHttpError)
      const accepted = Effect.flatMap(sent, (original) => {
        const response = new BoundedResponse(original, bounds)
        told.requestId = idOf(response)
        const answered = isAccepted(ask, response.status)
          ? Effect.succeed(response)
          : this.refused(response, ask, clock)
        const { rateLimit } = held
        return rateLimit === undefined ? answered : Effect.andThen(learn(rateLimit, key, response, clock), answered)
      })
      const { onFail } = ask
      return onFail === undefined ? accepted : Effect.tapError(accepted, (reason) => Effect.sync(() => onFail(reason)))
    })
  }

  private refused(response: HttpClientResponse, ask: Ask, clock: Clock.Clock): Effect.Effect<never, Reason | R> {
    return Effect.flatMap(errorBody(response), (text) => {
      const safe = withoutSecrets(text, this.settings, ask)
      const refusal = refusalOf(response, ask, safe, clock.currentTimeMillisUnsafe())
      return Effect.fail(this.settings.reasonOf?.(refusal) ?? reasonOfRefusal(refusal))
    })
  }

  private invalid(ask: Ask, description: string, text: string, status: number): InvalidResponse {
    return new InvalidResponse({ description, status, excerpt: withoutSecrets(text, this.settings, ask) })
  }

  private failed(reason: Reason | PolicyError | R, { recorder, requestId }: Told): Failed<R> {
    const isBeyond = recorder.stop === "retryAfterBeyondDeadline" && reason instanceof RateLimited
    const told = isBeyond ? new RateLimited({ ...fieldsOf(reason), wouldExceedDeadline: true }) : reason
    return new Failed<R>(told, recorder.attempts, requestId)
  }
}

const fieldsOf = ({ description, retryAfter, retryable, status }: RateLimited) => ({
  description,
  retryAfter,
  retryable,
  status
})

const idOf = (response: HttpClientResponse): string | undefined =>
  headerOf(response, "x-request-id") ?? headerOf(response, "request-id")

const toReason = (error: HttpClientError | Reason): Reason | PolicyError =>
  error._tag === "HttpClientError" ? reasonOfHttpError(error) : error

/** The times of a call: the policy's, and what is set around. */
const timesIn = (context: Context.Context<never>, { policy }: Policy.Held): Timeout.Timeout => {
  const override = Context.get(context, Policy.Override)
  return override === undefined ? policy.timeout : Policy.merge(policy, override).timeout
}

const isPlain = ({ once, timeout }: Ask): boolean => timeout === undefined && once !== true

/** Sets what a call says of itself over what is set around. */
const over =
  ({ once, timeout }: Ask) =>
  (context: Context.Context<never>): Context.Context<never> => {
    const around = Context.get(context, Policy.Override)
    const retry = once === true ? { ...around?.retry, retries: 0 } : around?.retry
    return Context.add(context, Policy.Override, { ...around, retry, timeout: { ...around?.timeout, ...timeout } })
  }

/** Takes what an answer says of the service's limits. */
const learn = (
  rateLimit: RateLimit.RateLimit,
  key: string,
  { headers }: HttpClientResponse,
  clock: Clock.Clock
): Effect.Effect<void> => {
  const hint = RateLimitHeaders.readAt(headers, clock.currentTimeMillisUnsafe())
  return hint === undefined ? Effect.void : RateLimit.learn(rateLimit, key, hint)
}
