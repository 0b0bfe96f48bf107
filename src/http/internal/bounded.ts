/**
 * A response of any client under a policy. The loop ends at the headers; the body is bounded here: read whole by what is
 * left of the attempt, read as a stream by the time between two pieces, both by the deadline, and by the body's limit,
 * which not every client keeps.
 */
import type * as Clock from "effect/Clock"
import type * as Cookies from "effect/http/Cookies"
import type * as Headers from "effect/http/Headers"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type { HttpClientError } from "effect/http/HttpClientError"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Socket } from "effect/socket/Socket"
import { AttemptTimeout, DeadlineExceeded } from "../../policy/PolicyError.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import * as Timer from "../../policy/Timer.ts"
import { BodyStalled } from "../ConnectionFailure.ts"
import { PushedResponse } from "./response.ts"
import { type ByteSink, type ByteSource, headerOf, HeaderOf, subscribe, Subscribe } from "./source.ts"

/** The times of the attempt that was answered; points in time in milliseconds since the epoch. */
export interface Bounds {
  readonly clock: Clock.Clock
  readonly key: string
  readonly timeout: Timeout.Timeout
  readonly startedAt: number
  readonly deadlineAt: number
}

export class BoundedResponse extends PushedResponse {
  private readonly original: HttpClientResponse
  private readonly bounds: Bounds

  constructor(original: HttpClientResponse, bounds: Bounds) {
    super()
    this.original = original
    this.bounds = bounds
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
  override get upgrade(): Effect.Effect<Socket, HttpClientError> {
    return this.original.upgrade
  }

  // What is here already needs no time.
  override take(): Uint8Array | undefined {
    return this.original instanceof PushedResponse ? this.original.take() : undefined
  }

  [HeaderOf](name: string): string | undefined {
    return headerOf(this.original, name)
  }

  [Subscribe](sink: ByteSink): ByteSource {
    return this.watch(sink, Infinity, this.bounds.timeout.idleContentMillis)
  }

  protected override subscribeWhole(sink: ByteSink): ByteSource {
    const { startedAt, timeout } = this.bounds
    const { onBytes, onEnd } = sink
    // Effect's web response has no stream where there is no body; read whole it is empty.
    const onError = (error: HttpClientError): void =>
      error.reason._tag === "EmptyBodyError" ? onEnd() : sink.onError(error)
    return this.watch({ onBytes, onEnd, onError }, startedAt + timeout.attemptMillis, Infinity)
  }

  private watch(sink: ByteSink, attemptAt: number, idleMillis: number): ByteSource {
    const { clock, deadlineAt, key, timeout } = this.bounds
    const onOver = (now: number): HttpClientError => {
      const refused =
        now >= deadlineAt
          ? new DeadlineExceeded({ key, totalMillis: timeout.totalMillis, phase: "answered" })
          : now >= attemptAt
            ? new AttemptTimeout({ key, timeoutMillis: timeout.attemptMillis })
            : new BodyStalled({ timeoutMillis: idleMillis })
      return this.failed(refused.message, refused)
    }
    const watched = new Watched(sink, clock, Math.min(attemptAt, deadlineAt), idleMillis, onOver)
    return watched.begin((sink) => subscribe(this.original, sink))
  }
}

/** A reader between the body and a sink: passes everything on, until the time is over. */
class Watched implements ByteSink, ByteSource {
  private readonly sink: ByteSink
  private readonly clock: Clock.Clock
  private readonly endAt: number
  private readonly idleMillis: number
  private readonly onOver: (now: number) => HttpClientError
  private source: ByteSource | undefined
  private lastAt: number
  private isPaused = false
  private isOver = false
  private cancel: (() => void) | undefined

  constructor(
    sink: ByteSink,
    clock: Clock.Clock,
    endAt: number,
    idleMillis: number,
    onOver: (now: number) => HttpClientError
  ) {
    this.sink = sink
    this.clock = clock
    this.endAt = endAt
    this.idleMillis = idleMillis
    this.onOver = onOver
    this.lastAt = clock.currentTimeMillisUnsafe()
  }

  begin(open: (sink: ByteSink) => ByteSource): this {
    this.source = open(this)
    // A small body has come with the headers, and needs no timer.
    if (!this.isOver) this.arm(this.lastAt)
    return this
  }

  private arm(now: number): void {
    const idleAt = (this.isPaused ? now : this.lastAt) + this.idleMillis
    this.cancel = Timer.after(this.clock, Math.min(idleAt, this.endAt) - now, () => {
      const now = this.clock.currentTimeMillisUnsafe()
      const isIdle = !this.isPaused && now - this.lastAt >= this.idleMillis
      if (now < this.endAt && !isIdle) return this.arm(now)
      this.isOver = true
      this.source?.abort()
      this.sink.onError(this.onOver(now))
    })
  }

  onBytes = (chunk: Uint8Array): void => {
    if (this.isOver) return
    if (this.idleMillis !== Infinity) this.lastAt = this.clock.currentTimeMillisUnsafe()
    this.sink.onBytes(chunk)
  }
  onEnd = (): void => {
    if (this.finish()) this.sink.onEnd()
  }
  onError = (error: HttpClientError): void => {
    if (this.finish()) this.sink.onError(error)
  }
  private finish(): boolean {
    if (this.isOver) return false
    this.isOver = true
    this.cancel?.()
    return true
  }

  pause(): void {
    this.isPaused = true
    this.source?.pause()
  }
  resume(): void {
    // A consumer that was away is not a server that was silent.
    this.lastAt = this.clock.currentTimeMillisUnsafe()
    this.isPaused = false
    this.source?.resume()
  }
  abort(): void {
    this.finish()
    this.source?.abort()
  }
}
