/** A recorded answer as a response of Effect's `HttpClient`: the same frames, the same end, the same failures. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import { ConnectionFailure } from "../../http/ConnectionFailure.ts"
import { PushedResponse } from "../../http/internal/response.ts"
import { type ByteSink, type ByteSource, Subscribe } from "../../http/internal/source.ts"
import * as Timer from "../../policy/Timer.ts"
import { bytesOf, type Exchange, type FailureRecord, type Frame, type ResponseRecord } from "./cassetteFormat.ts"

/** Answers a request as it was answered, `pace` times as slowly; 0 waits for nothing. */
export const replay = (
  { response }: Exchange,
  request: HttpClientRequest,
  url: string,
  pace: number
): Effect.Effect<HttpClientResponse, HttpClientError> => {
  // Whoever recorded it did not wait for the answer: it never comes, and the reader's own times end it again.
  if (response === "left") return Effect.never
  if (!("status" in response)) {
    const cause = failureOf(response)
    const { description } = response
    return Effect.fail(new HttpClientError({ reason: new TransportError({ request, cause, description }) }))
  }
  const answered = Effect.clockWith((clock) =>
    Effect.succeed(new ReplayedResponse(response, request, url, pace, clock))
  )
  const millis = response.afterMillis * pace
  return millis > 0 ? Effect.delay(answered, millis) : answered
}

const failureOf = ({ code, description, phase }: FailureRecord): ConnectionFailure =>
  new ConnectionFailure({
    description,
    code,
    phase,
    cause: Object.assign(new Error(`${description} (replayed)`), code === undefined ? undefined : { code })
  })

class ReplayedResponse extends PushedResponse {
  readonly request: HttpClientRequest
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  readonly cookies: Cookies.Cookies
  private readonly recorded: ResponseRecord
  private readonly pace: number
  private readonly clock: Clock.Clock
  private readonly startedAt: number
  private isRead = false

  constructor(recorded: ResponseRecord, request: HttpClientRequest, url: string, pace: number, clock: Clock.Clock) {
    super()
    this.recorded = recorded
    this.request = request
    this.url = url
    this.pace = pace
    this.clock = clock
    this.startedAt = clock.currentTimeMillisUnsafe()
    this.status = recorded.status
    this.headers = Headers.fromInput(recorded.headers)
    this.cookies = Cookies.fromSetCookie(recorded.headers["set-cookie"] ?? [])
  }

  [Subscribe](sink: ByteSink): ByteSource {
    const { frames } = this.recorded
    const timing = { pace: this.pace, clock: this.clock, startedAt: this.startedAt }
    const player = new Player(frames, timing, sink, () => this.finish(sink))
    if (this.isRead) sink.onError(this.failed("the body has been read before"))
    else player.next()
    this.isRead = true
    return player
  }

  private finish(sink: ByteSink): void {
    const { end } = this.recorded
    if (end === "whole") sink.onEnd()
    else if (end === "unread")
      sink.onError(this.failed("nobody read this body when its cassette was recorded; record it again"))
    else if (end !== "left") sink.onError(this.failed(end.description, failureOf(end)))
    // What its reader did not wait for never comes.
  }
}

interface Timing {
  readonly pace: number
  readonly clock: Clock.Clock
  /** When the headers were there, in milliseconds since the epoch. */
  readonly startedAt: number
}

/** Hands frames to a sink, each at its time. */
class Player implements ByteSource {
  private readonly frames: ReadonlyArray<Frame>
  private readonly timing: Timing
  private readonly sink: ByteSink
  private readonly onLast: () => void
  private at = 0
  private isPaused = false
  private isWaiting = false
  private isOver = false
  private cancel: (() => void) | undefined

  constructor(frames: ReadonlyArray<Frame>, timing: Timing, sink: ByteSink, onLast: () => void) {
    this.frames = frames
    this.timing = timing
    this.sink = sink
    this.onLast = onLast
  }

  private waitMillis([atMillis]: Frame): number {
    const { clock, pace, startedAt } = this.timing
    return pace === 0 ? 0 : startedAt + atMillis * pace - clock.currentTimeMillisUnsafe()
  }

  readonly next = (): void => {
    this.isWaiting = false
    while (!this.isOver && !this.isPaused) {
      const frame = this.frames[this.at]
      if (frame === undefined) {
        this.isOver = true
        return this.onLast()
      }
      const wait = this.waitMillis(frame)
      if (wait > 0) {
        this.isWaiting = true
        this.cancel = Timer.after(this.timing.clock, wait, this.next)
        return
      }
      this.at++
      this.sink.onBytes(bytesOf(frame))
    }
  }

  pause(): void {
    this.isPaused = true
  }
  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    if (!this.isWaiting) this.next()
  }
  abort(): void {
    this.isOver = true
    this.cancel?.()
  }
}
