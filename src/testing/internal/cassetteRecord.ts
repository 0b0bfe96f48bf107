/** What goes over the wire while it goes: requests, frames with their times, and how each body ended. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import type * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Option from "effect/Option"
import { connectionFailure } from "../../http/ConnectionFailure.ts"
import { PushedResponse } from "../../http/internal/response.ts"
import { type ByteSink, type ByteSource, subscribe, Subscribe } from "../../http/internal/source.ts"
import { type Exchange, type FailureRecord, type Frame, type ResponseRecord, toText } from "./cassetteFormat.ts"
import type { Asked } from "./cassetteRequest.ts"
import { answerHeaders, type Heard, type Names, type Redactor, redactRequest, type Secrets } from "./cassetteSecrets.ts"

const failureRecord = (cause: unknown, isAnswered: boolean, redactor: Redactor): FailureRecord => {
  const { code, description, phase } = connectionFailure(cause, isAnswered || undefined)
  return { description: redactor.text(description), phase, ...(code === undefined ? undefined : { code }) }
}

/** What is known of an answer so far. */
class Answer implements Heard {
  readonly status: number
  readonly headers: Headers.Headers
  readonly cookies: Cookies.Cookies
  readonly afterMillis: number
  readonly chunks: Array<Uint8Array> = []
  readonly times: Array<number> = []
  end: "whole" | "left" | "unread" | { readonly cause: unknown } = "unread"

  constructor({ cookies, headers, status }: HttpClientResponse, afterMillis: number) {
    this.status = status
    this.headers = headers
    this.cookies = cookies
    this.afterMillis = afterMillis
  }

  toRecord(names: Names, redactor: Redactor): ResponseRecord {
    const { end } = this
    const frames = redactor.frames(this.chunks).flatMap((chunk, at): Array<Frame> => {
      return chunk.length === 0 ? [] : [[this.times[at] ?? 0, ...toText(chunk)]]
    })
    return {
      status: this.status,
      headers: answerHeaders(this.headers, Cookies.toSetCookieHeaders(this.cookies), names, redactor),
      afterMillis: this.afterMillis,
      frames,
      end: typeof end === "string" ? end : failureRecord(end.cause, true, redactor)
    }
  }
}

/** One request, from when it was sent. */
interface Take {
  readonly asked: Asked
  readonly names: Names
  answer: Answer | { readonly cause: unknown } | "left"
}

/** What a recording is told of the body's limit being passed. */
export type TooLarge = (request: HttpClientRequest) => HttpClientError

/** Everything that one cassette has heard, in the order in which it was asked. */
export class Recording {
  private readonly takes: Array<Take> = []
  private readonly secrets: Secrets
  private readonly headers: ReadonlyArray<string>
  private readonly maxBytes: number
  private readonly tooLarge: TooLarge
  private bytes = 0

  constructor(secrets: Secrets, headers: ReadonlyArray<string>, maxBytes: number, tooLarge: TooLarge) {
    this.secrets = secrets
    this.headers = headers
    this.maxBytes = maxBytes
    this.tooLarge = tooLarge
  }

  get isEmpty(): boolean {
    return this.takes.length === 0
  }

  get isTooLarge(): boolean {
    return this.bytes > this.maxBytes
  }

  /** Notes bytes; `false` when the recording is over its limit with them. */
  private weigh(bytes: number): boolean {
    this.bytes += bytes
    return !this.isTooLarge
  }

  /** Sends a request by the client below and writes down what comes of it. */
  send(
    below: HttpClient.HttpClient,
    asked: Asked,
    names: Names,
    clock: Clock.Clock
  ): Effect.Effect<HttpClientResponse, HttpClientError> {
    return Effect.suspend(() => {
      const { request } = asked
      if (!this.weigh((asked.bytes?.length ?? 0) + request.url.length)) return Effect.fail(this.tooLarge(request))
      const take: Take = { asked, names, answer: "left" }
      this.takes.push(take)
      const startedAt = clock.currentTimeMillisUnsafe()
      return Effect.matchEffect(below.postprocess(Effect.succeed(request)), {
        onFailure: (error) => {
          const { reason } = error
          if (reason._tag === "TransportError") take.answer = { cause: reason.cause }
          // A request that could not be made never went anywhere.
          else this.takes.splice(this.takes.indexOf(take), 1)
          return Effect.fail(error)
        },
        onSuccess: (response) => {
          const answer = new Answer(response, clock.currentTimeMillisUnsafe() - startedAt)
          take.answer = answer
          return Effect.succeed(new TapedResponse(response, answer, clock, this.weighed(request)))
        }
      })
    })
  }

  private weighed(request: HttpClientRequest): (chunk: Uint8Array) => HttpClientError | undefined {
    return (chunk) => (this.weigh(chunk.length) ? undefined : this.tooLarge(request))
  }

  /** The recording without its secrets. */
  finish(): ReadonlyArray<Exchange> {
    for (const { answer, asked, names } of this.takes) {
      this.secrets.learn(asked, names)
      if (answer instanceof Answer) this.secrets.learnAnswer(answer, names)
    }
    const redactor = this.secrets.redactor()
    return this.takes.map((take) => ({
      request: redactRequest(take.asked, this.headers, take.names, redactor),
      response:
        take.answer === "left"
          ? "left"
          : take.answer instanceof Answer
            ? take.answer.toRecord(take.names, redactor)
            : failureRecord(take.answer.cause, false, redactor)
    }))
  }
}

/** The response itself, overheard. */
class TapedResponse extends PushedResponse {
  private readonly original: HttpClientResponse
  private readonly answer: Answer
  private readonly clock: Clock.Clock
  private readonly startedAt: number
  private readonly weigh: (chunk: Uint8Array) => HttpClientError | undefined

  constructor(
    original: HttpClientResponse,
    answer: Answer,
    clock: Clock.Clock,
    weigh: (chunk: Uint8Array) => HttpClientError | undefined
  ) {
    super()
    this.original = original
    this.answer = answer
    this.clock = clock
    this.startedAt = clock.currentTimeMillisUnsafe()
    this.weigh = weigh
  }

  get request(): HttpClientRequest {
    return this.original.request
  }
  get url(): string {
    return this.original.url
  }
  get status(): number {
    return this.original.status
  }
  get headers(): Headers.Headers {
    return this.original.headers
  }
  get cookies(): Cookies.Cookies {
    return this.original.cookies
  }
  override get remoteAddress(): Option.Option<string> {
    return this.original.remoteAddress
  }
  override get upgrade(): HttpClientResponse["upgrade"] {
    return this.original.upgrade
  }

  [Subscribe](sink: ByteSink): ByteSource {
    // A body can be read once; the client below says so itself.
    if (this.answer.end !== "unread") return subscribe(this.original, sink)
    this.answer.end = "left"
    const listener = new Listener(sink, this.answer, this.weigh, () => {
      return this.clock.currentTimeMillisUnsafe() - this.startedAt
    })
    return listener.begin((sink) => subscribe(this.original, sink))
  }
}

/** A reader between the body and a sink: writes down what it passes on. */
class Listener implements ByteSink {
  private readonly sink: ByteSink
  private readonly answer: Answer
  private readonly weigh: (chunk: Uint8Array) => HttpClientError | undefined
  private readonly now: () => number
  private source: ByteSource | undefined
  private isTooLarge = false

  constructor(
    sink: ByteSink,
    answer: Answer,
    weigh: (chunk: Uint8Array) => HttpClientError | undefined,
    now: () => number
  ) {
    this.sink = sink
    this.answer = answer
    this.weigh = weigh
    this.now = now
  }

  begin(open: (sink: ByteSink) => ByteSource): ByteSource {
    this.source = open(this)
    // What was pushed at once may have been too much already.
    if (this.isTooLarge) this.source.abort()
    return this.source
  }

  onBytes = (chunk: Uint8Array): void => {
    if (this.isTooLarge) return
    const tooLarge = this.weigh(chunk)
    if (tooLarge !== undefined) {
      this.isTooLarge = true
      this.source?.abort()
      return this.sink.onError(tooLarge)
    }
    // A copy: the bytes belong to the reader.
    this.answer.chunks.push(new Uint8Array(chunk))
    this.answer.times.push(this.now())
    this.sink.onBytes(chunk)
  }
  onEnd = (): void => {
    if (this.isTooLarge) return
    this.answer.end = "whole"
    this.sink.onEnd()
  }
  onError = (error: HttpClientError): void => {
    if (this.isTooLarge) return
    // Effect's web response has no stream where there is no body.
    if (error.reason._tag === "EmptyBodyError") return this.onEnd()
    this.answer.end = { cause: error.reason.cause }
    this.sink.onError(error)
  }
}
