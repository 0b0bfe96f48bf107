/**
 * One request to a model's API over HTTP, whatever it asks for: sent with a token that is valid, failed with a reason,
 * and what the answer tells of the provider's limits and of the price of what was used.
 */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type * as Redacted from "effect/Redacted"
import { headerOf } from "../../http/internal/source.ts"
import * as RateLimitHeaders from "../../http/RateLimitHeaders.ts"
import * as SecretHeaders from "../../http/SecretHeaders.ts"
import { Recorder } from "../../policy/Attempt.ts"
import type * as Policy from "../../policy/Policy.ts"
import * as RateLimit from "../../policy/RateLimit.ts"
import * as Timer from "../../policy/Timer.ts"
import { RateLimited, type Reason } from "../LlmError.ts"
import * as Price from "../Price.ts"
import * as Spending from "../Spending.ts"
import type { TokenAuth } from "../TokenAuth.ts"
import * as Usage from "../Usage.ts"
import { reasonOfHttpError } from "../../http/internal/serviceReason.ts"
import * as Redacting from "./redacting.ts"
import { Meter } from "./telemetry.ts"
import { unredirected } from "../../http/internal/unredirected.ts"

/** What all calls to one API have in common, whatever they ask for. */
export interface Api {
  /** The name in errors. */
  readonly provider: string
  /** Whose slots are taken. */
  readonly key: string
  /** Asked when a request names no model. */
  readonly model: string
  /** Reads an answer with an error status. */
  readonly reasonOf: (response: HttpClientResponse, body: string, nowMillis: number) => Reason
  /** Where tokens come from that are valid for a while only. */
  readonly auth?: TokenAuth | undefined
}

/** The request of one send, with the token in force where the API has short-lived ones. */
export type Encode = (token: Redacted.Redacted<string> | undefined) => HttpClientRequest

/** What one call keeps beside its result. */
export class Story {
  readonly recorder = new Recorder()
  /** The request's own headers, which may have secrets of their own. */
  readonly headers: Headers | undefined
  requestId: string | undefined = undefined
  /** The headers of the last answer, when it was a refusal, beside those that were sent for it. */
  refusal: { readonly sent: Headers; readonly answered: Headers } | undefined = undefined
  /** Of the last answer. */
  usage: Usage.Usage | undefined = undefined
  /** Of answers that would not do. */
  wasted: Usage.Usage | undefined = undefined

  constructor(headers?: Headers) {
    this.headers = headers
  }

  /** The headers of a refusal, without secrets: neither the server's nor those that it was shown. */
  get refusalHeaders(): Headers | undefined {
    if (this.refusal === undefined) return undefined
    const { answered, sent } = this.refusal
    const redact = Redacting.make({ headers: sent })
    const safe = Object.entries(answered).filter(([name]) => !SecretHeaders.isSecret(name))
    return Object.fromEntries(safe.map(([name, value]) => [name, redact(value)]))
  }

  /** Counts what a failed send has used, where its provider said so. */
  failed(reason: Reason): void {
    if (!("usage" in reason) || reason.usage === undefined) return
    this.wasted = this.wasted === undefined ? reason.usage : Usage.add(this.wasted, reason.usage)
  }
}

type Headers = Readonly<Record<string, string>>

/** A body that came whole. */
export interface Body {
  readonly text: string
  readonly requestId: string | undefined
}

const idOf = (response: HttpClientResponse): string | undefined =>
  headerOf(response, "x-request-id") ?? headerOf(response, "request-id")

/**
 * Makes an error without its stack. A reason is retried or told inside an error that has one: capturing another costs
 * more than all of the rest of a retry.
 */
const stackless = <A>(make: () => A): A => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

export const isReason = <A extends object>(decoded: A | Reason): decoded is Reason => "_tag" in decoded

export const toReason = (error: HttpClientError | Reason): Reason =>
  error._tag === "HttpClientError" ? reasonOfHttpError(error) : error

/** What the provider counted; one that does not count says zero, and then the estimate stands. */
export const counted = (usage: Usage.Usage): Usage.Usage | undefined =>
  usage.inputTokens + usage.outputTokens > 0 ? usage : undefined

/** One service's way to its API: what its calls have in common, whatever they ask for. */
export class Transport {
  readonly held: Policy.Held
  readonly meter: Meter
  private readonly api: Api
  private readonly http: HttpClient.HttpClient
  /** The last token that was new and not allowed to do what it was asked for. */
  private forbidden: Redacted.Redacted<string> | undefined

  constructor(api: Api, http: HttpClient.HttpClient, held: Policy.Held) {
    this.api = api
    this.http = http
    this.held = held
    this.meter = new Meter(api.provider, api.key)
  }

  /** Sends once, or twice where a token is not accepted any more; the answer has a status of success. */
  exchange(encode: Encode, story: Story): Effect.Effect<HttpClientResponse, HttpClientError | Reason> {
    story.requestId = undefined
    story.refusal = undefined
    const { auth } = this.api
    if (auth === undefined) {
      return Effect.flatMap(this.execute(encode(undefined), story), (response) => this.accepted(response, story))
    }
    return Effect.flatMap(auth.token, (token) =>
      Effect.flatMap(this.execute(encode(token), story), (response) => {
        if (!this.isRefused(response, token)) return this.accepted(response, story)
        // What is left of the refusal is given back before the connection is needed again.
        return Effect.andThen(errorBody(response), this.again(encode, story, auth, token))
      })
    )
  }

  /** The whole body of an answer, with what `read` makes of it. */
  receive<A>(
    exchanged: Effect.Effect<HttpClientResponse, HttpClientError | Reason>,
    story: Story,
    read: (text: string) => Effect.Effect<A, Reason>
  ): Effect.Effect<A, Reason> {
    const answered = Effect.flatMap(exchanged, (response) =>
      Effect.map(response.text, (text): Body => ({ text, requestId: idOf(response) }))
    )
    return Effect.matchEffect(answered, {
      onFailure: (error) => Effect.fail(toReason(error)),
      onSuccess: ({ requestId, text }) => {
        // Of two sends at once, a hedge and the first, the answer is the one that ended.
        story.requestId = requestId
        return read(text)
      }
    })
  }

  private again(
    encode: Encode,
    story: Story,
    auth: TokenAuth,
    refused: Redacted.Redacted<string>
  ): Effect.Effect<HttpClientResponse, HttpClientError | Reason> {
    return Effect.andThen(
      auth.invalidate(refused),
      Effect.flatMap(auth.token, (token) =>
        Effect.flatMap(this.execute(encode(token), story), (response) => {
          if (response.status === 403) this.forbidden = token
          return this.accepted(response, story)
        })
      )
    )
  }

  /** Whether a new token may help. One that was new and got a 403 is good, and what it asks for is not allowed. */
  private isRefused({ status }: HttpClientResponse, token: Redacted.Redacted<string>): boolean {
    if (status === 403) return this.forbidden === undefined || !Equal.equals(this.forbidden, token)
    return status === 401
  }

  private execute(request: HttpClientRequest, story: Story): Effect.Effect<HttpClientResponse, HttpClientError> {
    return Effect.map(unredirected(this.http.execute(request)), (response) => {
      const { headers, status } = response
      story.requestId = idOf(response)
      story.refusal = status < 300 ? undefined : { sent: request.headers, answered: headers }
      return response
    })
  }

  private accepted(response: HttpClientResponse, story: Story): Effect.Effect<HttpClientResponse, Reason> {
    const { status } = response
    const answered = status >= 200 && status < 300 ? Effect.succeed(response) : this.failed(response, story)
    const { rateLimit } = this.held
    return rateLimit === undefined ? answered : Effect.andThen(this.learn(rateLimit, response), answered)
  }

  /** Takes what a response says of the provider's limits. */
  private learn(rateLimit: RateLimit.RateLimit, { headers }: HttpClientResponse): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      const hint = RateLimitHeaders.readAt(headers, clock.currentTimeMillisUnsafe())
      return hint === undefined ? Effect.void : RateLimit.learn(rateLimit, this.api.key, hint)
    })
  }

  private failed(response: HttpClientResponse, { headers }: Story): Effect.Effect<never, Reason> {
    return Effect.flatMap(errorBody(response), (text) =>
      Effect.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        const safe = headers === undefined ? text : Redacting.make({ headers })(text)
        return Effect.fail(stackless(() => this.api.reasonOf(response, safe, now)))
      })
    )
  }

  /** Whether somebody listens to what is used. */
  isWatched(context: Context.Context<never>): boolean {
    return Context.get(context, Spending.Current) !== undefined
  }

  /** Prices a usage and tells who listens. */
  spent(context: Context.Context<never>, model: string, usage: Usage.Usage, outcome: string): number | undefined {
    const prices = Context.get(context, Price.Table)
    const cost = Price.costOf(prices, model, usage)
    Context.get(context, Spending.Current)?.add({ provider: this.api.provider, model, usage, cost, outcome })
    return cost
  }
}

/** The reason as its caller is told it: a throttle whose wait the deadline does not leave says so. */
export const told = (reason: Reason, { recorder }: Story): Reason => {
  if (recorder.stop !== "retryAfterBeyondDeadline" || reason._tag !== "RateLimited") return reason
  const { description, retryAfter, status } = reason
  return new RateLimited({ description, retryAfter, status, wouldExceedDeadline: true })
}

/** An error's words are worth a second and 64 kB; its status and headers are enough without them. */
const maxErrorMillis = 1_000
const maxErrorBytes = ByteSize.kibibytes(64)

const errorBody = (response: HttpClientResponse): Effect.Effect<string> => {
  const limited = Effect.provideService(response.text, HttpIncomingMessage.MaxBodySize, maxErrorBytes)
  return Effect.catch(
    Timer.within(limited, maxErrorMillis, () => "late"),
    () => Effect.succeed("")
  )
}
