/**
 * What a pushed response gives to a program: its body whole, read once and kept, or as a stream. Who extends it says
 * where the bytes come from (`Subscribe`).
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Cookies from "effect/http/Cookies"
import type * as Headers from "effect/http/Headers"
import { DecodeError, HttpClientError, StatusCodeError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import { TypeId as ResponseTypeId, type HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Pipeable from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import type { Socket } from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { BodyTooLarge } from "../ConnectionFailure.ts"
import { type ByteSink, type ByteSource, Subscribe } from "./source.ts"

/** What is kept of a body before anybody reads it; past it the socket is paused. */
export const maxUnreadBytes = 64 * 1024

/** The largest body that is read whole unless `MaxBodySize` says otherwise: 64 MiB, twice what providers send. */
const defaultMaxBodyBytes = 64 * 1024 * 1024

const decoder = new TextDecoder()

/** One chunk stays as it is; more are copied into one. */
const joined = (chunks: ReadonlyArray<Uint8Array>, bytes: number): Uint8Array => {
  const [first] = chunks
  if (chunks.length === 1 && first !== undefined) return first
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

export abstract class PushedResponse extends Pipeable.Class implements HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [ResponseTypeId]: typeof ResponseTypeId = ResponseTypeId
  abstract readonly request: HttpClientRequest
  abstract readonly url: string
  abstract readonly status: number
  abstract readonly headers: Headers.Headers
  abstract readonly cookies: Cookies.Cookies;
  /** Pushes what has arrived and what will, as a stream that a consumer may leave for a while. */
  abstract [Subscribe](sink: ByteSink): ByteSource
  private whole: Effect.Effect<Uint8Array, HttpClientError> | undefined
  private kept: Uint8Array | undefined

  get remoteAddress(): Option.Option<string> {
    return Option.none()
  }

  /** The whole body, if it has arrived and nobody reads it yet: the short way, without a sink. Whoever takes it has it. */
  take(): Uint8Array | undefined {
    return undefined
  }

  /** Pushes the body to somebody who waits for all of it. */
  protected subscribeWhole(sink: ByteSink): ByteSource {
    return this[Subscribe](sink)
  }

  protected toText(bytes: Uint8Array): string {
    return decoder.decode(bytes)
  }

  /** Reads the whole body once and keeps it: `text` and `json` may be asked for again. */
  private withBytes<A>(
    use: (bytes: Uint8Array) => Effect.Effect<A, HttpClientError>
  ): Effect.Effect<A, HttpClientError> {
    return Effect.withFiber((fiber) => {
      if (this.kept !== undefined) return use(this.kept)
      if (this.whole === undefined) {
        const limit = Number(fiber.getRef(HttpIncomingMessage.MaxBodySize) ?? defaultMaxBodyBytes)
        const taken = this.take()
        if (taken !== undefined && taken.length <= limit) {
          this.kept = taken
          return use(taken)
        }
        if (taken === undefined) return Effect.flatMap(this.collected(limit), use)
        this.whole = this.tooLarge(limit)
      }
      return Effect.flatMap(this.whole, use)
    })
  }

  /** Collects the body once: who asks while it is being read waits for the same reading. */
  private collected(limit: number): Effect.Effect<Uint8Array, HttpClientError> {
    const kept = Effect.map(this.collect(limit), (bytes) => (this.kept = bytes))
    return Effect.flatMap(Effect.cached(kept), (whole) => (this.whole ??= whole))
  }

  private collect(limit: number): Effect.Effect<Uint8Array, HttpClientError> {
    return Effect.callback<Uint8Array, HttpClientError>((resume) => {
      const chunks: Array<Uint8Array> = []
      let bytes = 0
      let source: ByteSource | undefined
      source = this.subscribeWhole({
        onBytes: (chunk) => {
          bytes += chunk.length
          if (bytes <= limit) return void chunks.push(chunk)
          chunks.length = 0
          source?.abort()
          resume(this.tooLarge(limit))
        },
        onEnd: () => resume(Effect.succeed(joined(chunks, bytes))),
        onError: (error) => resume(Effect.fail(error))
      })
      // What was pushed at once may have been too much already.
      if (bytes > limit) source.abort()
      return Effect.sync(() => source.abort())
    })
  }

  private tooLarge(limitBytes: number): Effect.Effect<never, HttpClientError> {
    return Effect.fail(this.failed(`over ${limitBytes} bytes`, new BodyTooLarge({ limitBytes })))
  }

  get text(): Effect.Effect<string, HttpClientError> {
    return this.withBytes((bytes) => Effect.succeed(this.toText(bytes)))
  }

  get json(): Effect.Effect<Schema.Json, HttpClientError> {
    return this.withBytes((bytes) => {
      if (bytes.length === 0) return Effect.succeed(null)
      try {
        return Effect.succeed(JSON.parse(this.toText(bytes)))
      } catch (cause) {
        return Effect.fail(this.failed("the body is not JSON", cause))
      }
    })
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get formData(): Effect.Effect<FormData, HttpClientError> {
    return Effect.flatMap(this.arrayBuffer, (bytes) =>
      Effect.tryPromise({
        try: () => new Response(bytes, { headers: { ...this.headers } }).formData(),
        catch: (cause) => this.failed("the body is not form data", cause)
      })
    )
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError> {
    return this.withBytes((bytes) => Effect.succeed(new Uint8Array(bytes).buffer))
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

  protected failed(description: string, cause?: unknown): HttpClientError {
    const { request } = this
    return new HttpClientError({ reason: new DecodeError({ request, response: this, description, cause }) })
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

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]

/** Chunks between a data handler and a pulling consumer, bounded by pausing the socket. */
export class ChunkReader implements ByteSink {
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
  private take(): Effect.Effect<Chunks, HttpClientError | Cause.Done> | undefined {
    const [first, ...rest] = this.chunks
    if (first === undefined) return this.end
    this.chunks = []
    const wasPaused = this.bytes > maxUnreadBytes
    this.bytes = 0
    // Resuming pushes at once what the parser still holds.
    if (wasPaused) this.source.resume()
    return Effect.succeed([first, ...rest])
  }
  readonly pull: Effect.Effect<Chunks, HttpClientError | Cause.Done> = Effect.suspend(
    () =>
      this.take() ??
      Effect.callback((resume) => {
        // The fiber may have yielded since it found nothing.
        const ready = this.take()
        if (ready !== undefined) return resume(ready)
        const wake = (): void => {
          // Taking resumes the source, which may push at once: that is for the next pull.
          this.wake = undefined
          const taken = this.take()
          if (taken === undefined) this.wake = wake
          else resume(taken)
        }
        this.wake = wake
        return Effect.sync(() => {
          this.wake = undefined
        })
      })
  )
}
