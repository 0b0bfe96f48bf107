/**
 * One request over undici's `dispatch`, and its response. Written again instead of Effect's undici client because that
 * one costs 3.1 × raw undici per call and this one 0.9 (PERFORMANCE.md, 2026-11-21).
 *
 * undici: https://undici.nodejs.org, `docs/api/Dispatcher.md`, 8.12.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import { DecodeError, EncodeError, HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Dispatcher } from "undici"
import * as Timer from "../../policy/Timer.ts"
import { connectionFailure, isReusedConnection } from "../ConnectionFailure.ts"
import { BodyFailure } from "./bodyFailure.ts"
import { Decoder, decoderFor } from "./decode.ts"
import { type Encoded, isUnsent } from "./encode.ts"
import { maxUnreadBytes, PushedResponse } from "./response.ts"
import { type ByteSink, type ByteSource, Subscribe, HeaderOf } from "./source.ts"

type Head = (effect: Effect.Effect<HttpClientResponse, HttpClientError>) => void

/** A body that is too large to keep and that nobody begins to read is given up after this time, with its socket. */
const maxUnreadMillis = 60_000

const nothing = (): void => {}

// What undici does not send, or stops sending, because of the program and not of the connection (docs/api/Errors.md).
const notARequest = new Set<string | undefined>([
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"
])

const isUnsafe = (method: string): boolean => method === "POST" || method === "PATCH"

/**
 * The handler of one dispatch. It keeps what arrives until a sink subscribes, and settles the head one microtask after
 * the headers: by then a small body that came in the same packet is complete, and reading it needs no waiting.
 */
export class Exchange implements Dispatcher.DispatchHandler, ByteSource {
  readonly request: HttpClientRequest
  readonly url: string
  private readonly clock: Clock.Clock
  private readonly head: Head
  private readonly sent: Encoded
  private decoder: Decoder | undefined
  private cancelUnread: () => void = nothing
  private controller: Dispatcher.DispatchController | undefined
  private response: UndiciResponse | undefined
  private chunks: Array<Buffer> = []
  private unreadBytes = 0
  private sink: ByteSink | undefined
  private isAborted = false
  isEnded = false
  error: HttpClientError | undefined

  constructor(request: HttpClientRequest, url: string, sent: Encoded, clock: Clock.Clock, head: Head) {
    this.request = request
    this.url = url
    this.sent = sent
    this.clock = clock
    this.head = head
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.isAborted) controller.abort(new Error("aborted"))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: RawHeaders): void {
    if (status < 200 || this.response !== undefined) return
    const encoding = headers["content-encoding"]
    const response = new UndiciResponse(
      this,
      status,
      encoding === undefined ? headers : this.decoded(headers, encoding)
    )
    this.response = response
    queueMicrotask(() => {
      this.head(Effect.succeed(response))
      // Whoever asked has begun to read by now, or is gone, or takes its time: that is bounded.
      if (!this.isEnded && !this.isRead)
        this.cancelUnread = Timer.after(this.clock, maxUnreadMillis, () => this.abort())
    })
  }

  /** Begins to decode, where that is known; the headers then no longer speak of the bytes on the wire. */
  private decoded(headers: RawHeaders, encoding: string | Array<string>): RawHeaders {
    const make = this.request.method === "HEAD" ? undefined : decoderFor(encoding)
    if (make === undefined) return headers
    const target = {
      onBytes: (chunk: Buffer) => this.onBytes(chunk),
      onEnd: () => this.onEnd(),
      onError: (cause: Error) => this.cancel(cause)
    }
    this.decoder = new Decoder(make, target, () => this.controller?.resume())
    const { "content-encoding": _encoding, "content-length": _length, ...rest } = headers
    return rest
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.decoder === undefined) this.onBytes(chunk)
    else if (!this.decoder.write(chunk)) controller.pause()
  }

  private onBytes(chunk: Buffer): void {
    if (this.sink !== undefined) return this.sink.onBytes(chunk)
    this.chunks.push(chunk)
    this.unreadBytes += chunk.length
    if (this.unreadBytes > maxUnreadBytes) this.pause()
  }

  onResponseEnd(): void {
    if (this.decoder === undefined) this.onEnd()
    else this.decoder.end()
  }

  private onEnd(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.cancelUnread()
    this.sink?.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, cause: Error): void {
    if (this.isEnded) return
    this.isEnded = true
    this.cancelUnread()
    this.decoder?.destroy()
    const { request, response } = this
    if (response === undefined) return this.head(Effect.fail(new HttpClientError({ reason: this.notAnswered(cause) })))
    const failure = connectionFailure(cause, true)
    const { description } = failure
    this.error = new HttpClientError({ reason: new DecodeError({ request, response, cause: failure, description }) })
    this.sink?.onError(this.error)
  }

  /** Ends it from this side, telling whoever waits. */
  cancel(cause: Error): void {
    this.onResponseError(this.controller, cause)
    this.isAborted = true
    this.controller?.abort(cause)
  }

  private notAnswered(cause: Error): EncodeError | TransportError {
    const { request } = this
    if (cause instanceof BodyFailure)
      return new EncodeError({ request, cause: cause.cause, description: cause.message })
    // A kept connection that the server closed without a word: it was closed while the request was on its way. What is
    // idempotent is sent again anyway; for the others this is said only while no byte of a body has left.
    const isStale = isUnsafe(request.method) && isReusedConnection(cause) && isUnsent(this.sent)
    const failure = connectionFailure(cause, this.controller !== undefined && !isStale)
    const { description } = failure
    if (notARequest.has(failure.code)) return new EncodeError({ request, cause, description })
    return new TransportError({ request, cause: failure, description })
  }

  subscribe(sink: ByteSink): ByteSource {
    this.cancelUnread()
    this.sink = sink
    const chunks = this.chunks
    this.chunks = []
    for (const chunk of chunks) sink.onBytes(chunk)
    if (this.error !== undefined) sink.onError(this.error)
    else if (this.isEnded) sink.onEnd()
    else if (this.unreadBytes > maxUnreadBytes) this.resume()
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
    if (this.isEnded) return
    if (this.decoder === undefined) this.controller?.pause()
    else this.decoder.pause()
  }

  resume(): void {
    if (this.isEnded) return
    if (this.decoder === undefined) this.controller?.resume()
    else this.decoder.resume()
  }

  abort(): void {
    if (this.isEnded || this.isAborted) return
    this.isAborted = true
    this.isEnded = true
    this.cancelUnread()
    this.decoder?.destroy()
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
export class UndiciResponse extends PushedResponse {
  readonly status: number
  private readonly exchange: Exchange
  private readonly rawHeaders: RawHeaders
  private parsedHeaders: Headers.Headers | undefined
  private parsedCookies: Cookies.Cookies | undefined

  constructor(exchange: Exchange, status: number, headers: RawHeaders) {
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
  [HeaderOf](name: string): string | undefined {
    const value = this.rawHeaders[name]
    return typeof value === "string" ? value : this.headers[name]
  }
  get cookies(): Cookies.Cookies {
    const set = this.rawHeaders["set-cookie"]
    return (this.parsedCookies ??= Cookies.fromSetCookie(set === undefined ? [] : set))
  }

  [Subscribe](sink: ByteSink): ByteSource {
    if (this.exchange.isRead) {
      sink.onError(this.failed("the body has been read before"))
      return { pause: nothing, resume: nothing, abort: nothing }
    }
    return this.exchange.subscribe(sink)
  }

  override take(): Buffer | undefined {
    return this.exchange.take()
  }

  // Twice as fast as a TextDecoder for small answers.
  protected override toText(bytes: Uint8Array): string {
    return (bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).toString(
      "utf8"
    )
  }
}
