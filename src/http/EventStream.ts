/**
 * Server-sent events and newline-delimited JSON, decoded straight from the bytes that a socket hands over.
 *
 * SSE: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, without reconnects;
 * NDJSON: https://github.com/ndjson/ndjson-spec. Written again instead of Effect's `Sse` because its parser walks
 * characters: 354 ns an event, where this one looks for line ends: 47 (PERFORMANCE.md, 2026-11-21).
 *
 * Comments and empty events wake nobody: a reader that waits for events is not told of a server's keep-alives.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { DecodeError, HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BodyTooLarge } from "./ConnectionFailure.ts"
import { LineDecoder } from "./internal/lines.ts"
import { type ByteSink, type ByteSource, subscribe } from "./internal/source.ts"

/** One event. */
export interface ServerSentEvent {
  /** The `event:` field. Absent reads as `"message"`. */
  readonly event: string | undefined
  /** The `data:` lines, joined by line feeds. */
  readonly data: string
}

export interface Options {
  /** The longest event or line; a longer one fails the stream. Default: 10 MiB, as Effect's `Sse`. */
  readonly maxEventBytes?: number | undefined
}

/** Decoded events of one response, between its socket and one consumer. */
export interface Reader<A> {
  /** What has arrived since the last call. `undefined` when that is nothing. */
  readonly take: () => readonly [A, ...Array<A>] | undefined
  /** Why nothing more will arrive after what `take` has: the end (`Done`) or a failure. */
  readonly ended: () => Effect.Effect<never, HttpClientError | Cause.Done> | undefined
  /** Sets what is called once when there is something to take. */
  readonly onReady: (ready: (() => void) | undefined) => void
  /** Waits for the next events. */
  readonly pull: Effect.Effect<readonly [A, ...Array<A>], HttpClientError | Cause.Done>
  /** Closes the connection, unless the body has ended. */
  readonly abort: () => void
  /**
   * The consumer has all it wants: what follows is read to nowhere, at most `bytes` of it, so that the connection can
   * be used again. The result cancels that and closes the connection.
   */
  readonly finish: (bytes: number) => () => void
}

/** Reads a line; the result is how many characters it keeps for an event that is not complete. */
type Decode<A> = (line: string, emit: (event: A) => void) => number

/** Bytes that wait for the consumer before the socket is paused. */
const maxWaiting = 1024 * 1024

class EventReader<A> implements Reader<A>, ByteSink {
  private readonly source: ByteSource
  private readonly response: HttpClientResponse
  private readonly maxLength: number
  private readonly decode: Decode<A>
  private readonly lines = new LineDecoder()
  private events: Array<A> = []
  private waiting = 0
  private isPaused = false
  private isScheduled = false
  /** Characters of an event that is not complete. */
  private kept = 0
  private ready: (() => void) | undefined
  private end: Effect.Effect<never, HttpClientError | Cause.Done> | undefined
  /** Set by `finish`: how much of the tail may still be read. */
  private left: number | undefined

  constructor(response: HttpClientResponse, maxLength: number, decode: Decode<A>) {
    this.response = response
    this.maxLength = maxLength
    this.decode = decode
    this.source = subscribe(response, this)
  }

  private readonly emit = (event: A): void => {
    this.events.push(event)
  }
  private readonly onLine = (line: string): void => {
    this.kept = this.decode(line, this.emit)
  }

  // A socket read may hold many chunks. They are decoded together when it is over, and the consumer is woken once.
  onBytes = (chunk: Uint8Array): void => {
    if (this.end !== undefined) return
    if (this.left !== undefined) return this.skip(this.left, chunk)
    this.lines.push(chunk)
    this.waiting += chunk.length
    if (this.waiting > maxWaiting && !this.isPaused) {
      this.isPaused = true
      this.source?.pause()
    }
    if (this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(this.flush)
  }

  private skip(left: number, chunk: Uint8Array): void {
    this.left = left - chunk.length
    if (this.left >= 0) return
    this.source.abort()
    this.onEnd()
  }

  private readonly flush = (): void => {
    this.isScheduled = false
    if (this.end !== undefined || this.left !== undefined) return
    this.lines.drain(this.onLine)
    if (this.lines.waitingBytes + this.kept > this.maxLength) return this.tooLong()
    if (this.events.length > 0) this.wake()
    else this.unpause()
  }

  private tooLong(): void {
    const { request } = this.response
    const cause = new BodyTooLarge({ limitBytes: this.maxLength })
    const description = `an event is longer than ${this.maxLength} bytes`
    const reason = new DecodeError({ request, response: this.response, cause, description })
    this.source.abort()
    this.onError(new HttpClientError({ reason }))
  }

  onEnd = (): void => {
    if (this.end !== undefined) return
    if (this.left === undefined) this.lines.end(this.onLine)
    this.end = Cause.done()
    this.wake()
  }

  onError = (error: HttpClientError): void => {
    if (this.end !== undefined) return
    // What had arrived is delivered before the failure.
    if (this.left === undefined) this.lines.drain(this.onLine)
    this.end = Effect.fail(error)
    this.wake()
  }

  private wake(): void {
    const { ready } = this
    this.ready = undefined
    ready?.()
  }

  private unpause(): void {
    this.waiting = 0
    if (!this.isPaused) return
    this.isPaused = false
    this.source.resume()
  }

  ended = (): Effect.Effect<never, HttpClientError | Cause.Done> | undefined => this.end

  take = (): readonly [A, ...Array<A>] | undefined => {
    const { events } = this
    if (!isNonEmpty(events)) return undefined
    this.events = []
    this.unpause()
    return events
  }

  onReady = (ready: (() => void) | undefined): void => {
    this.ready = ready
    // The fiber may have yielded since it found nothing; nobody would wake it for what came meanwhile.
    if (ready !== undefined && (this.events.length > 0 || this.end !== undefined)) this.wake()
  }

  readonly pull: Effect.Effect<readonly [A, ...Array<A>], HttpClientError | Cause.Done> = Effect.suspend(() => {
    const taken = this.take()
    if (taken !== undefined) return Effect.succeed(taken)
    if (this.end !== undefined) return this.end
    return Effect.callback((resume) => {
      this.onReady(() => resume(this.pull))
      return Effect.sync(() => {
        this.ready = undefined
      })
    })
  })

  abort = (): void => this.source.abort()

  finish = (bytes: number): (() => void) => {
    this.left = bytes
    this.events = []
    this.unpause()
    return this.abort
  }
}

const isNonEmpty = <A>(events: Array<A>): events is [A, ...Array<A>] => events.length > 0

const defaultMaxBytes = 10 * 1024 * 1024

/** Reads a response as server-sent events. The caller ends it by `abort` or `finish`. */
export const sseReader = (response: HttpClientResponse, options?: Options): Reader<ServerSentEvent> => {
  let event: string | undefined
  let data: string | undefined
  const decode: Decode<ServerSentEvent> = (line, emit) => {
    if (line === "") {
      if (data !== undefined) emit({ event, data })
      event = undefined
      data = undefined
    } else if (line.startsWith("data:")) {
      const value = line.charCodeAt(5) === 32 ? line.slice(6) : line.slice(5)
      data = data === undefined ? value : `${data}\n${value}`
    } else if (line.startsWith("event:")) event = line.slice(6).trimStart()
    else if (line === "data") data = data === undefined ? "" : `${data}\n`
    return data === undefined ? 0 : data.length
  }
  // What follows the last blank line is not an event, by the standard: it was cut off.
  return new EventReader(response, options?.maxEventBytes ?? defaultMaxBytes, decode)
}

/** Reads a response as newline-delimited JSON texts, blank lines left out. The caller ends it by `abort` or `finish`. */
export const ndjsonReader = (response: HttpClientResponse, options?: Options): Reader<string> =>
  new EventReader<string>(response, options?.maxEventBytes ?? defaultMaxBytes, (line, emit) => {
    if (line.trim() !== "") emit(line)
    return 0
  })

/** A reader of events that are at hand already. */
export const readerOf = <A>(events: readonly [A, ...Array<A>]): Reader<A> => {
  let left: readonly [A, ...Array<A>] | undefined = events
  const take = (): readonly [A, ...Array<A>] | undefined => {
    const taken = left
    left = undefined
    return taken
  }
  const nothing = (): void => {}
  return {
    take,
    ended: () => Cause.done(),
    onReady: nothing,
    pull: Effect.suspend(() => {
      const taken = take()
      return taken === undefined ? Cause.done() : Effect.succeed(taken)
    }),
    abort: nothing,
    finish: () => nothing
  }
}

const toStream = <A>(make: () => Reader<A>): Stream.Stream<A, HttpClientError> => {
  const acquired: Effect.Effect<Reader<A>, never, Scope.Scope> = Effect.acquireRelease(Effect.sync(make), (reader) =>
    Effect.sync(() => reader.abort())
  )
  return Stream.unwrap(Effect.map(acquired, (reader) => Stream.fromPull(Effect.succeed(reader.pull))))
}

/** A response as server-sent events. Leaving the stream closes the connection. */
export const sse = (response: HttpClientResponse, options?: Options): Stream.Stream<ServerSentEvent, HttpClientError> =>
  toStream(() => sseReader(response, options))

/** A response as the JSON values of its lines. A line that is not JSON fails the stream. */
export const ndjson = (response: HttpClientResponse, options?: Options): Stream.Stream<unknown, HttpClientError> =>
  Stream.mapEffect(
    toStream(() => ndjsonReader(response, options)),
    (line): Effect.Effect<unknown, HttpClientError> =>
      Effect.try({
        try: (): unknown => JSON.parse(line),
        catch: (cause) => {
          const { request } = response
          const description = "a line is not JSON"
          return new HttpClientError({ reason: new DecodeError({ request, response, cause, description }) })
        }
      })
  )
