/**
 * One request over undici's `dispatch`, and its response. Written again instead of Effect's undici client because that
 * one costs 3.1 × raw undici per call and this one 0.9 (PERFORMANCE.md, 2026-11-21).
 *
 * undici: https://undici.nodejs.org, `docs/api/Dispatcher.md`, 8.12.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import {
  DecodeError,
  EmptyBodyError,
  EncodeError,
  HttpClientError,
  StatusCodeError,
  TransportError
} from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import { TypeId as ResponseTypeId, type HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Pipeable from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import type { Socket } from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { Dispatcher } from "undici"
import * as Timer from "../../policy/Timer.ts"
import { BodyTooLarge, connectionFailure } from "../ConnectionFailure.ts"
import { type ByteSink, type ByteSource, Subscribe } from "./source.ts"

type Head = (effect: Effect.Effect<HttpClientResponse, HttpClientError>) => void

/** What is kept of a body before anybody reads it; past it the socket is paused. */
const maxUnreadBytes = 64 * 1024

/** The largest body that is read whole unless `MaxBodySize` says otherwise: 64 MiB, twice what providers send. */
const defaultMaxBodyBytes = 64 * 1024 * 1024

/** A body that is too large to keep and that nobody begins to read is given up after this time, with its socket. */
const maxUnreadMillis = 60_000

const nothing = (): void => {}

/**
 * The handler of one dispatch. It keeps what arrives until a sink subscribes, and settles the head one microtask after
 * the headers: by then a small body that came in the same packet is complete, and reading it needs no waiting.
 */
export class Exchange implements Dispatcher.DispatchHandler, ByteSource {
  readonly request: HttpClientRequest
  readonly url: string
  private readonly clock: Clock.Clock
  private readonly head: Head
  private cancelUnread: () => void = nothing
  private controller: Dispatcher.DispatchController | undefined
  private response: UndiciResponse | undefined
  private chunks: Array<Buffer> = []
  private unreadBytes = 0
  private sink: ByteSink | undefined
  private isAborted = false
  isEnded = false
  error: HttpClientError | undefined

  constructor(request: HttpClientRequest, url: string, clock: Clock.Clock, head: Head) {
    this.request = request
    this.url = url
    this.clock = clock
    this.head = head
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.isAborted) controller.abort(new Error("aborted"))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | Array<string> | undefined>
  ): void {
    if (status < 200 || this.response !== undefined) return
    const response = new UndiciResponse(this, status, headers)
    this.response = response
    queueMicrotask(() => {
      this.head(Effect.succeed(response))
      // Whoever asked has begun to read by now, or is gone, or takes its time: that is bounded.
      if (!this.isEnded && !this.isRead)
        this.cancelUnread = Timer.after(this.clock, maxUnreadMillis, () => this.abort())
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.sink !== undefined) return this.sink.onBytes(chunk)
    this.chunks.push(chunk)
    this.unreadBytes += chunk.length
    if (this.unreadBytes > maxUnreadBytes) controller.pause()
  }

  onResponseEnd(): void {
    this.isEnded = true
    this.cancelUnread()
    this.sink?.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, cause: Error): void {
    if (this.isEnded) return
    this.isEnded = true
    this.cancelUnread()
    const failure = connectionFailure(cause, this.controller !== undefined)
    const { request, response } = this
    const description = failure.description
    if (response === undefined) {
      const isInvalid = failure.code === "UND_ERR_INVALID_ARG"
      const args = { request, cause: isInvalid ? cause : failure, description }
      const reason = isInvalid ? new EncodeError(args) : new TransportError(args)
      this.head(Effect.fail(new HttpClientError({ reason })))
      return
    }
    this.error = new HttpClientError({ reason: new DecodeError({ request, response, cause: failure, description }) })
    this.sink?.onError(this.error)
  }

  subscribe(sink: ByteSink): ByteSource {
    this.cancelUnread()
    this.sink = sink
    const chunks = this.chunks
    this.chunks = []
    for (const chunk of chunks) sink.onBytes(chunk)
    if (this.error !== undefined) sink.onError(this.error)
    else if (this.isEnded) sink.onEnd()
    else if (this.unreadBytes > maxUnreadBytes) this.controller?.resume()
    return this
  }

  get isRead(): boolean {
    return this.sink !== undefined
  }

  /** The whole body, if it has arrived and nobody reads it yet. */
  take(): Buffer | undefined {
    if (!this.isEnded || this.error !== undefined || this.sink !== undefined) return undefined
    this.sink = { onBytes: nothing, onEnd: nothing, onError: nothing }
    return joined(this.chunks)
  }

  pause(): void {
    if (!this.isEnded) this.controller?.pause()
  }

  resume(): void {
    if (!this.isEnded) this.controller?.resume()
  }

  abort(): void {
    if (this.isEnded || this.isAborted) return
    this.isAborted = true
    this.isEnded = true
    this.cancelUnread()
    this.controller?.abort(new Error("aborted"))
  }
}

const joined = (chunks: ReadonlyArray<Buffer>): Buffer => {
  const [first] = chunks
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)
}

/** undici's names are lower case already: without a repeated header its object only gets another prototype. */
const toHeaders = (raw: RawHeaders): Headers.Headers =>
  isSingle(raw) ? Headers.fromRecordUnsafe(raw) : Headers.fromInput(raw)

type RawHeaders = Record<string, string | Array<string> | undefined>

const isSingle = (raw: RawHeaders): raw is Record<string, string> => {
  for (const name in raw) if (typeof raw[name] !== "string") return false
  return true
}

/** A response whose headers are read when asked for and whose body is read once. */
export class UndiciResponse extends Pipeable.Class implements HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [ResponseTypeId]: typeof ResponseTypeId = ResponseTypeId
  readonly status: number
  private readonly exchange: Exchange
  private readonly rawHeaders: Record<string, string | Array<string> | undefined>
  private parsedHeaders: Headers.Headers | undefined
  private parsedCookies: Cookies.Cookies | undefined
  private body: Effect.Effect<Buffer, HttpClientError> | undefined

  constructor(exchange: Exchange, status: number, headers: Record<string, string | Array<string> | undefined>) {
    super()
    this.exchange = exchange
    this.status = status
    this.rawHeaders = headers
  }

  get request(): HttpClientRequest {
    return this.exchange.request
  }
  get url(): string {
    return this.exchange.url
  }
  get headers(): Headers.Headers {
    return (this.parsedHeaders ??= toHeaders(this.rawHeaders))
  }
  get cookies(): Cookies.Cookies {
    const set = this.rawHeaders["set-cookie"]
    return (this.parsedCookies ??= Cookies.fromSetCookie(set === undefined ? [] : set))
  }
  get remoteAddress(): Option.Option<string> {
    return Option.none()
  }

  [Subscribe](sink: ByteSink): ByteSource {
    if (this.exchange.isRead) {
      sink.onError(this.failed("the body has been read before"))
      return { pause: nothing, resume: nothing, abort: nothing }
    }
    return this.exchange.subscribe(sink)
  }

  /** The whole body, read once and kept: `text` and `json` may be asked for again. */
  private get bytes(): Effect.Effect<Buffer, HttpClientError> {
    return (this.body ??= Effect.withFiber((fiber) => {
      const limit = Number(fiber.getRef(HttpIncomingMessage.MaxBodySize) ?? defaultMaxBodyBytes)
      const whole = this.exchange.take()
      if (whole !== undefined && whole.length <= limit) {
        this.body = Effect.succeed(whole)
        return this.body
      }
      return Effect.tap(this.collect(limit, whole), (bytes) =>
        Effect.sync(() => {
          this.body = Effect.succeed(bytes)
        })
      )
    }))
  }

  private collect(limit: number, whole: Buffer | undefined): Effect.Effect<Buffer, HttpClientError> {
    return Effect.callback<Buffer, HttpClientError>((resume) => {
      const tooLarge = (): void =>
        resume(Effect.fail(this.failed(`over ${limit} bytes`, new BodyTooLarge({ limitBytes: limit }))))
      if (whole !== undefined) return tooLarge()
      const chunks: Array<Buffer> = []
      let bytes = 0
      const source = this[Subscribe]({
        onBytes: (chunk) => {
          bytes += chunk.length
          if (bytes > limit) {
            chunks.length = 0
            this.exchange.abort()
            tooLarge()
          } else chunks.push(chunk instanceof Buffer ? chunk : Buffer.from(chunk))
        },
        onEnd: () => resume(Effect.succeed(joined(chunks))),
        onError: (error) => resume(Effect.fail(error))
      })
      return Effect.sync(() => source.abort())
    })
  }

  get text(): Effect.Effect<string, HttpClientError> {
    return Effect.map(this.bytes, (bytes) => bytes.toString("utf8"))
  }

  get json(): Effect.Effect<Schema.Json, HttpClientError> {
    return Effect.flatMap(this.bytes, (bytes) => {
      if (bytes.length === 0) return Effect.succeed(null)
      try {
        return Effect.succeed(JSON.parse(bytes.toString("utf8")))
      } catch (cause) {
        return Effect.fail(this.failed("the body is not JSON", cause))
      }
    })
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get formData(): Effect.Effect<FormData, HttpClientError> {
    return Effect.flatMap(this.bytes, (bytes) =>
      Effect.tryPromise({
        try: () => new Response(bytes.slice(), { headers: { ...this.headers } }).formData(),
        catch: (cause) => this.failed("the body is not form data", cause)
      })
    )
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError> {
    return Effect.map(this.bytes, (bytes) => new Uint8Array(bytes).buffer)
  }

  /** The body as it arrives, one batch for each time the consumer comes back; the socket waits for a slow one. */
  get stream(): Stream.Stream<Uint8Array, HttpClientError> {
    return Stream.unwrap(
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => new ChunkReader((sink) => this[Subscribe](sink))),
          (reader) => Effect.sync(() => reader.source.abort())
        ),
        (reader) => Stream.fromPull(Effect.succeed(reader.pull))
      )
    )
  }

  get upgrade(): Effect.Effect<Socket, HttpClientError> {
    const reason = new StatusCodeError({
      request: this.request,
      response: this,
      description: "this client does not upgrade connections"
    })
    return Effect.fail(new HttpClientError({ reason }))
  }

  private failed(description: string, cause?: unknown): HttpClientError {
    const { request } = this
    const args = { request, response: this, description }
    return new HttpClientError({
      reason: cause === undefined ? new EmptyBodyError(args) : new DecodeError({ ...args, cause })
    })
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
  override toString(): string {
    return Inspectable.toStringUnknown(this.toJSON())
  }
  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }
}

/** Chunks between a data handler and a pulling consumer, bounded by pausing the socket. */
class ChunkReader implements ByteSink {
  readonly source: ByteSource
  private chunks: Array<Uint8Array> = []
  private bytes = 0
  private end: Effect.Effect<never, HttpClientError | Cause.Done> | undefined
  private wake: (() => void) | undefined

  constructor(subscribe: (sink: ByteSink) => ByteSource) {
    this.source = subscribe(this)
  }
  onBytes = (chunk: Uint8Array): void => {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    if (this.bytes > maxUnreadBytes) this.source?.pause()
    this.wake?.()
  }
  onEnd = (): void => {
    this.end = Cause.done()
    this.wake?.()
  }
  onError = (error: HttpClientError): void => {
    this.end = Effect.fail(error)
    this.wake?.()
  }
  private take(): Effect.Effect<readonly [Uint8Array, ...Array<Uint8Array>], HttpClientError | Cause.Done> | undefined {
    const [first, ...rest] = this.chunks
    if (first === undefined) return this.end
    this.chunks = []
    const wasPaused = this.bytes > maxUnreadBytes
    this.bytes = 0
    // Resuming pushes at once what the parser still holds.
    if (wasPaused) this.source.resume()
    return Effect.succeed([first, ...rest])
  }
  readonly pull: Effect.Effect<readonly [Uint8Array, ...Array<Uint8Array>], HttpClientError | Cause.Done> =
    Effect.suspend(
      () =>
        this.take() ??
        Effect.callback((resume) => {
          // The fiber may have yielded since it found nothing.
          const ready = this.take()
          if (ready !== undefined) return resume(ready)
          this.wake = () => {
            const taken = this.take()
            if (taken === undefined) return
            this.wake = undefined
            resume(taken)
          }
          return Effect.sync(() => {
            this.wake = undefined
          })
        })
    )
}
