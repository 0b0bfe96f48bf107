/**
 * A call to a model over HTTP, whatever its wire format: request, policy, answer, and the story of it. Streams are in
 * `streamed.ts`.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type * as Redacted from "effect/Redacted"
import * as Context from "effect/Context"
import { headerOf } from "../../http/internal/source.ts"
import * as RateLimitHeaders from "../../http/RateLimitHeaders.ts"
import { Recorder } from "../../policy/Attempt.ts"
import type * as Policy from "../../policy/Policy.ts"
import * as RateLimit from "../../policy/RateLimit.ts"
import * as Timer from "../../policy/Timer.ts"
import type { Answer, Request } from "../Llm.ts"
import { InvalidRequest, LlmError, RateLimited, type Reason } from "../LlmError.ts"
import { turn } from "../Message.ts"
import * as Price from "../Price.ts"
import type * as Usage from "../Usage.ts"
import * as Spending from "../Spending.ts"
import { estimateOf } from "./estimate.ts"
import { reasonOfHttpError } from "./httpReason.ts"
import type { Decoded, Protocol, Said } from "./protocol.ts"
import { Meter } from "./telemetry.ts"

/** What one call keeps beside its result. */
export class Story {
  readonly recorder = new Recorder()
  requestId: string | undefined = undefined
  /** Of the last answer. */
  usage: Usage.Usage | undefined = undefined
}

export const idOf = (response: HttpClientResponse): string | undefined =>
  headerOf(response, "x-request-id") ?? headerOf(response, "request-id")

/**
 * Makes an error without its stack. A reason is retried or told inside an `LlmError`, which has one: capturing another
 * costs more than all of the rest of a retry.
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

export const isReason = (decoded: Decoded | Reason): decoded is Reason => "_tag" in decoded

export const toReason = (error: HttpClientError | Reason): Reason =>
  error._tag === "HttpClientError" ? reasonOfHttpError(error) : error

/** The tokens of an answer; a server that does not count says zero, and then the estimate stands. */
const usageOf = ({ usage }: Decoded): Usage.Usage | undefined =>
  usage.inputTokens + usage.outputTokens > 0 ? usage : undefined

const none: ReadonlyArray<never> = []

/** One service's calls: what its unary and its streamed ones have in common. */
export class Calls {
  readonly protocol: Protocol
  readonly held: Policy.Held
  readonly meter: Meter
  private readonly http: HttpClient.HttpClient

  constructor(protocol: Protocol, http: HttpClient.HttpClient, held: Policy.Held) {
    this.protocol = protocol
    this.http = http
    this.held = held
    this.meter = new Meter(protocol.provider, protocol.key)
  }

  /** Why a request is not sent at all. */
  invalid(request: Request): InvalidRequest | undefined {
    if (request.messages.length === 0)
      return new InvalidRequest({ description: "a request needs at least one message" })
    const { protocol } = this
    const description =
      request.onCut === "continue" && protocol.prefixOf === undefined
        ? `onCut "continue" needs a provider that documents continuing an answer, and ${protocol.provider} is none`
        : protocol.refusal(request)
    return description === undefined ? undefined : new InvalidRequest({ description })
  }

  /** Sends once, or twice where a token is not accepted any more; the answer has a status of success. */
  send(
    request: Request,
    stream: boolean,
    story: Story,
    said?: Said
  ): Effect.Effect<HttpClientResponse, HttpClientError | Reason> {
    story.requestId = undefined
    const { auth } = this.protocol
    if (auth === undefined) return Effect.flatMap(this.execute(request, stream, story, undefined, said), this.accepted)
    return Effect.flatMap(auth.token, (token) =>
      Effect.flatMap(this.execute(request, stream, story, token, said), (response) => {
        if (response.status !== 401 && response.status !== 403) return this.accepted(response)
        // What is left of the refusal is given back before the connection is needed again.
        return Effect.andThen(errorBody(response), this.again(request, stream, story, token, said))
      })
    )
  }

  private again(
    request: Request,
    stream: boolean,
    story: Story,
    refused: Redacted.Redacted<string>,
    said: Said | undefined
  ): Effect.Effect<HttpClientResponse, HttpClientError | Reason> {
    const { auth } = this.protocol
    if (auth === undefined) return Effect.die("a token without its source")
    return Effect.andThen(
      auth.invalidate(refused),
      Effect.flatMap(auth.token, (token) =>
        Effect.flatMap(this.execute(request, stream, story, token, said), this.accepted)
      )
    )
  }

  private execute(
    request: Request,
    stream: boolean,
    story: Story,
    token: Redacted.Redacted<string> | undefined,
    said: Said | undefined
  ): Effect.Effect<HttpClientResponse, HttpClientError> {
    const sent = this.http.execute(this.protocol.encode(request, { stream, token, said }))
    return Effect.map(sent, (response) => {
      story.requestId = idOf(response)
      return response
    })
  }

  private readonly accepted = (response: HttpClientResponse): Effect.Effect<HttpClientResponse, Reason> => {
    const { status } = response
    const answered = status >= 200 && status < 300 ? Effect.succeed(response) : this.failed(response)
    const { rateLimit } = this.held
    return rateLimit === undefined ? answered : Effect.andThen(this.learn(rateLimit, response), answered)
  }

  /** Takes what a response says of the provider's limits. */
  private learn(rateLimit: RateLimit.RateLimit, { headers }: HttpClientResponse): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      const hint = RateLimitHeaders.readAt(headers, clock.currentTimeMillisUnsafe())
      return hint === undefined ? Effect.void : RateLimit.learn(rateLimit, this.protocol.key, hint)
    })
  }

  private failed(response: HttpClientResponse): Effect.Effect<never, Reason> {
    return Effect.flatMap(errorBody(response), (text) =>
      Effect.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return Effect.fail(stackless(() => this.protocol.reasonOf(response, text, now)))
      })
    )
  }

  toError(reason: Reason, story: Story, usage?: Usage.Usage, cost?: number): LlmError {
    const { attempts, stop } = story.recorder
    const isBeyond = stop === "retryAfterBeyondDeadline" && reason._tag === "RateLimited"
    const { description, retryAfter, status } = isBeyond ? reason : noDetails
    const told = isBeyond ? new RateLimited({ description, retryAfter, status, wouldExceedDeadline: true }) : reason
    const { provider } = this.protocol
    return new LlmError({ provider, reason: told, attempts, requestId: story.requestId, usage, cost })
  }

  /** What the policy is told of one call. */
  callOf(request: Request, story: Story): Policy.Call {
    return {
      key: this.protocol.key,
      safety: "costly",
      recorder: story.recorder,
      estimate: () => estimateOf(request),
      usage: () => story.usage
    }
  }

  modelOf(request: Request): string {
    return request.model ?? this.protocol.model
  }

  generateText(request: Request): Effect.Effect<Answer, LlmError> {
    return Effect.contextWith((context) => {
      const operation = this.meter.begin(context, "chat", this.modelOf(request), request, false)
      return operation.observe(this.generate(request, context), (answer) => answer.text)
    })
  }

  private generate(request: Request, context: Context.Context<never>): Effect.Effect<Answer, LlmError> {
    const story = new Story()
    const refused = this.invalid(request)
    if (refused !== undefined) return Effect.fail(this.toError(refused, story))
    const answered = Effect.flatMap(this.send(request, false, story), (response) =>
      Effect.map(response.text, (text) => ({ text, requestId: idOf(response) }))
    )
    const sent = Effect.matchEffect(answered, {
      onFailure: (error) => Effect.fail(toReason(error)),
      onSuccess: ({ requestId, text }) => {
        // Of two sends at once, a hedge and the first, the answer is the one that ended.
        story.requestId = requestId
        const decoded = this.protocol.decode(text, request)
        if (isReason(decoded)) return Effect.fail(decoded)
        story.usage = usageOf(decoded)
        return Effect.succeed(decoded)
      }
    })
    return Effect.matchEffect(this.held.apply(this.callOf(request, story))(sent), {
      onFailure: (reason) => Effect.fail(this.toError(reason, story)),
      onSuccess: (decoded) => Effect.succeed(this.answerOf(request, decoded, story, context))
    })
  }

  private answerOf(request: Request, decoded: Decoded, story: Story, context: Context.Context<never>): Answer {
    const { finishReason, raw, reasoning, refusal, text, toolCalls, usage } = decoded
    const model = decoded.model ?? this.modelOf(request)
    const cost = this.spent(context, model, usage, "ok")
    return {
      text,
      reasoning,
      refusal,
      toolCalls: toolCalls.length === 0 ? none : toolCalls,
      message: turn(decoded),
      finishReason,
      usage,
      cost,
      model,
      requestId: story.requestId,
      attempts: story.recorder.attempts,
      raw
    }
  }

  /** Prices a usage and tells who listens. */
  spent(context: Context.Context<never>, model: string, usage: Usage.Usage, outcome: string): number | undefined {
    const prices = Context.get(context, Price.Table)
    const cost = Price.costOf(prices, model, usage)
    Context.get(context, Spending.Current)?.add({ provider: this.protocol.provider, model, usage, cost, outcome })
    return cost
  }
}

const noDetails = { description: "", retryAfter: undefined, status: undefined }

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
