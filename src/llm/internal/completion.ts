/**
 * A call to a model over HTTP, whatever its wire format: request, policy, answer or stream, and the story of it.
 */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as EventStream from "../../http/EventStream.ts"
import { headerOf } from "../../http/internal/source.ts"
import * as RateLimitHeaders from "../../http/RateLimitHeaders.ts"
import { Recorder } from "../../policy/Attempt.ts"
import type * as Policy from "../../policy/Policy.ts"
import { AttemptTimeout } from "../../policy/PolicyError.ts"
import * as RateLimit from "../../policy/RateLimit.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import * as Timer from "../../policy/Timer.ts"
import { type Answer, type FinishReason, Llm, type Request, type StreamEvent } from "../Llm.ts"
import {
  FirstContentTimeout,
  InvalidRequest,
  InvalidResponse,
  LlmError,
  RateLimited,
  type Reason
} from "../LlmError.ts"
import * as Usage from "../Usage.ts"
import { estimateOf } from "./estimate.ts"
import { reasonOfHttpError } from "./httpReason.ts"
import { type Decoder, Streaming } from "./streaming.ts"
import { Meter, type Operation } from "./telemetry.ts"

/** An answer as a wire format reads it. */
export interface Decoded {
  readonly text: string
  readonly reasoning: string | undefined
  readonly finishReason: FinishReason
  readonly usage: Usage.Usage
  readonly model: string | undefined
  readonly raw: unknown
}

/** A decoder of a stream also knows what the finish event tells. */
export interface StreamDecoder extends Decoder {
  readonly finishReason: FinishReason | undefined
  readonly model: string | undefined
}

/** A wire format: pure functions, no I/O. */
export interface Protocol {
  /** The name in errors. */
  readonly provider: string
  /** Whose slots are taken. */
  readonly key: string
  readonly model: string
  readonly encode: (request: Request, stream: boolean) => HttpClientRequest
  /** Reads a body with a 2xx status. */
  readonly decode: (body: string) => Decoded | Reason
  /** Reads an answer with an error status. */
  readonly reasonOf: (response: HttpClientResponse, body: string, nowMillis: number) => Reason
  readonly decoder: () => StreamDecoder
  /** Removes known secrets from what a server says. */
  readonly redact: (text: string) => string
}

/** What one call keeps beside its result. */
class Story {
  readonly recorder = new Recorder()
  requestId: string | undefined = undefined
  /** Of the last answer. */
  usage: Usage.Usage | undefined = undefined
}

const idOf = (response: HttpClientResponse): string | undefined =>
  headerOf(response, "x-request-id") ?? headerOf(response, "request-id")

/**
 * Without the scope around. A stream closes its own connection; a client that finds a scope asks whether the request was
 * tied to it, which takes as long as all of the rest until the first token.
 */
const unscoped = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.updateContext(self, (context: Context.Context<never>) => Context.omit(Scope.Scope)(context))

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

const isReason = (decoded: Decoded | Reason): decoded is Reason => "_tag" in decoded

const toReason = (error: HttpClientError | Reason): Reason =>
  error._tag === "HttpClientError" ? reasonOfHttpError(error) : error

/** The tokens of an answer; a server that does not count says zero, and then the estimate stands. */
const usageOf = ({ usage }: Decoded): Usage.Usage | undefined =>
  usage.inputTokens + usage.outputTokens > 0 ? usage : undefined

const invalid = (request: Request): InvalidRequest | undefined => {
  if (request.messages.length === 0) return new InvalidRequest({ description: "a request needs at least one message" })
  return undefined
}

/** The service over a client and an open policy. */
export const make = (protocol: Protocol, http: HttpClient.HttpClient, held: Policy.Held): Llm["Service"] => {
  const { key, model, provider } = protocol
  const meter = new Meter(provider, key)

  /** Sends once; the answer has a status of success. */
  const send = (
    request: Request,
    stream: boolean,
    story: Story
  ): Effect.Effect<HttpClientResponse, HttpClientError | Reason> => {
    story.requestId = undefined
    return Effect.flatMap(http.execute(protocol.encode(request, stream)), (response) => {
      const { status } = response
      story.requestId = idOf(response)
      const answered = status >= 200 && status < 300 ? Effect.succeed(response) : failed(response)
      return held.rateLimit === undefined ? answered : Effect.andThen(learn(held.rateLimit, response), answered)
    })
  }

  /** Takes what a response says of the provider's limits. */
  const learn = (rateLimit: RateLimit.RateLimit, { headers }: HttpClientResponse): Effect.Effect<void> =>
    Effect.clockWith((clock) => {
      const hint = RateLimitHeaders.readAt(headers, clock.currentTimeMillisUnsafe())
      return hint === undefined ? Effect.void : RateLimit.learn(rateLimit, key, hint)
    })

  const failed = (response: HttpClientResponse): Effect.Effect<never, Reason> =>
    Effect.flatMap(errorBody(response), (text) =>
      Effect.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return Effect.fail(stackless(() => protocol.reasonOf(response, text, now)))
      })
    )

  const toError = (reason: Reason, story: Story): LlmError => {
    const { attempts, stop } = story.recorder
    const isBeyond = stop === "retryAfterBeyondDeadline" && reason._tag === "RateLimited"
    const { description, retryAfter, status } = isBeyond ? reason : noDetails
    const told = isBeyond ? new RateLimited({ description, retryAfter, status, wouldExceedDeadline: true }) : reason
    return new LlmError({ provider, reason: told, attempts, requestId: story.requestId })
  }

  /** What the policy is told of one call. */
  const callOf = (request: Request, story: Story): Policy.Call => ({
    key,
    safety: "costly",
    recorder: story.recorder,
    estimate: () => estimateOf(request),
    usage: () => story.usage
  })

  const generateText = (request: Request): Effect.Effect<Answer, LlmError> =>
    Effect.contextWith((context) => {
      const operation = meter.begin(context, "chat", request.model ?? model, request, false)
      return operation.observe(generate(request), (answer) => answer.text)
    })

  const generate = (request: Request): Effect.Effect<Answer, LlmError> =>
    Effect.suspend(() => {
      const story = new Story()
      const refused = invalid(request)
      if (refused !== undefined) return Effect.fail(toError(refused, story))
      const answered = Effect.flatMap(send(request, false, story), (response) =>
        Effect.map(response.text, (text) => ({ text, requestId: idOf(response) }))
      )
      const sent = Effect.matchEffect(answered, {
        onFailure: (error) => Effect.fail(toReason(error)),
        onSuccess: ({ requestId, text }) => {
          // Of two sends at once, a hedge and the first, the answer is the one that ended.
          story.requestId = requestId
          const decoded = protocol.decode(text)
          if (isReason(decoded)) return Effect.fail(decoded)
          story.usage = usageOf(decoded)
          return Effect.succeed(decoded)
        }
      })
      return Effect.matchEffect(held.apply(callOf(request, story))(sent), {
        onFailure: (reason) => Effect.fail(toError(reason, story)),
        onSuccess: (decoded) =>
          Effect.succeed({
            text: decoded.text,
            reasoning: decoded.reasoning,
            finishReason: decoded.finishReason,
            usage: decoded.usage,
            model: decoded.model ?? request.model ?? model,
            requestId: story.requestId,
            attempts: story.recorder.attempts,
            raw: decoded.raw
          })
      })
    })

  /** One attempt: until the first content is here, or the answer is complete without any. */
  const attempt = (request: Request, story: Story, timeout: Timeout.Timeout): Effect.Effect<Opened, Reason> =>
    Effect.clockWith((clock) => {
      const since = clock.currentTimeMillisUnsafe()
      const { attemptMillis, firstContentMillis } = timeout
      const opening = Effect.mapError(
        Effect.flatMap(send(request, true, story), (response) => readerOf(response, protocol)),
        toReason
      )
      const source = Timer.within(opening, Math.min(attemptMillis, firstContentMillis), (): Reason =>
        attemptMillis <= firstContentMillis
          ? new AttemptTimeout({ key, timeoutMillis: attemptMillis })
          : new FirstContentTimeout({ timeoutMillis: firstContentMillis })
      )
      return Effect.flatMap(source, ({ decoder, reader }) => {
        const waitedMillis = clock.currentTimeMillisUnsafe() - since
        const streaming = new Streaming({ key, reader, decoder, clock, times: timeout, waitedMillis })
        const opened = Effect.as(streaming.first, { streaming, decoder })
        // What fails before the first content is retried on another connection; so is what is interrupted there.
        return Effect.onExit(opened, (exit) => (exit._tag === "Failure" ? Effect.sync(streaming.close) : Effect.void))
      })
    })

  const streamText = (request: Request): Stream.Stream<StreamEvent, LlmError> => {
    const opened = Effect.contextWith((context: Context.Context<Scope.Scope>) => {
      const operation = meter.begin(context, "chat", request.model ?? model, request, true)
      const story = new Story()
      const fail = (reason: Reason): LlmError => {
        const error = toError(reason, story)
        operation.failed(error.code, error)
        return error
      }
      const refused = invalid(request)
      if (refused !== undefined) return Effect.fail(fail(refused))
      return Effect.mapError(operation.under(leased(request, story, operation)), fail)
    })
    return Stream.unwrap(opened)
  }

  const leased = (
    request: Request,
    story: Story,
    operation: Operation
  ): Effect.Effect<Stream.Stream<StreamEvent, LlmError>, Reason, Scope.Scope> =>
    Effect.gen(function* () {
      const { recorder } = story
      let current: Streaming | undefined
      // Registered before the stream is open, so that no interruption finds it open and unowned.
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          current?.close()
          operation.interrupted()
        })
      )
      const lease = yield* held.lease(callOf(request, story), (timeout) =>
        Effect.map(unscoped(attempt(request, story, timeout)), (opened) => {
          current = opened.streaming
          operation.firstContent()
          return opened
        })
      )
      const { decoder, streaming } = lease.value
      lease.onStop(streaming.stop)
      streaming.attach({
        deadlineAt: lease.deadlineAt,
        totalMillis: lease.totalMillis,
        onEnd: (outcome) => {
          lease.end(outcome, decoder.usage)
          const finish: Finish = {
            type: "finish",
            finishReason: decoder.finishReason ?? "other",
            usage: decoder.usage ?? Usage.empty,
            model: decoder.model ?? request.model ?? model,
            requestId: story.requestId,
            attempts: recorder.attempts
          }
          if (outcome === "ok") operation.succeeded(finish, decoder.partial)
          else operation.failed(outcome, undefined, decoder.usage)
          return finish
        }
      })
      return Stream.mapError(Stream.fromPull(Effect.succeed(streaming.pull)), (reason) => toError(reason, story))
    })

  return Llm.of({ generateText, streamText })
}

type Finish = Extract<StreamEvent, { readonly type: "finish" }>

interface Opened {
  readonly streaming: Streaming
  readonly decoder: StreamDecoder
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

type Source = Pick<Opened, "decoder"> & { readonly reader: EventStream.Reader<EventStream.ServerSentEvent> }

/** The events of an answer; a server that does not stream is read as one event. */
const readerOf = (response: HttpClientResponse, protocol: Protocol): Effect.Effect<Source, Reason> => {
  const type = headerOf(response, "content-type")
  if (type === undefined || type.includes("event-stream") || type.includes("octet-stream")) {
    return Effect.succeed({ reader: EventStream.sseReader(response), decoder: protocol.decoder() })
  }
  return Effect.flatMap(Effect.mapError(response.text, reasonOfHttpError), (text) => {
    const decoded = protocol.decode(text)
    if (isReason(decoded)) {
      return Effect.fail(
        decoded._tag === "InvalidResponse"
          ? new InvalidResponse({
              description: `expected an event stream, got ${type}`,
              excerpt: protocol.redact(text)
            })
          : decoded
      )
    }
    return Effect.succeed({ reader: EventStream.readerOf([{ event: undefined, data: text }]), decoder: whole(decoded) })
  })
}

/** The decoder of an answer that came whole. */
const whole = (decoded: Decoded): StreamDecoder => ({
  isFinished: true,
  isDone: true,
  partial: decoded.text,
  usage: decoded.usage,
  failure: undefined,
  finishReason: decoded.finishReason,
  model: decoded.model,
  progress: 0,
  push: (_event, out) => {
    if (decoded.reasoning !== undefined) out.push({ type: "reasoning", text: decoded.reasoning })
    if (decoded.text !== "") out.push({ type: "text", text: decoded.text })
  }
})
