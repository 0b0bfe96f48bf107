/**
 * Bytes pushed straight from a socket's data handler to one reader, without a stream object between. A response that
 * offers this is read by it; any other response is pumped from its `stream` by a fiber.
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Stream from "effect/Stream"
import * as Timer from "../../policy/Timer.ts"

/** Who reads. Called from the data handler: it must not throw and should return soon. */
export interface ByteSink {
  readonly onBytes: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (error: HttpClientError) => void
}

/** What the reader can say to the socket. */
export interface ByteSource {
  readonly pause: () => void
  readonly resume: () => void
  /** Stops reading and closes the connection, unless the body has ended. More calls do nothing. */
  readonly abort: () => void
}

/** The method of a response that knows a header without making all of them a `Headers`, which takes 1.5 µs. */
export const HeaderOf: unique symbol = Symbol.for("holdfast/http/HeaderOf")

interface Headed {
  readonly [HeaderOf]: (name: string) => string | undefined
}

const isHeaded = (u: object): u is Headed => HeaderOf in u

/** One header of a response; its name in lower case. */
export const headerOf = (response: HttpClientResponse, name: string): string | undefined =>
  isHeaded(response) ? response[HeaderOf](name) : response.headers[name]

/** The method of a response that can push its bytes. */
export const Subscribe: unique symbol = Symbol.for("holdfast/http/Subscribe")

interface Subscribable {
  readonly [Subscribe]: (sink: ByteSink) => ByteSource
}

const isSubscribable = (u: object): u is Subscribable => Subscribe in u

/** Reads a response's body by a sink. What has arrived already is pushed at once. */
export const subscribe = (response: HttpClientResponse, sink: ByteSink): ByteSource =>
  isSubscribable(response) ? response[Subscribe](sink) : pump(response, sink)

/** Pumps a foreign response: one fiber, one chunk at a time, stopped while paused. */
const pump = (response: HttpClientResponse, sink: ByteSink): ByteSource => {
  let isPaused = false
  let wake: (() => void) | undefined
  const gate = Effect.callback<void>((resume) => {
    if (!isPaused) return resume(Effect.void)
    wake = () => resume(Effect.void)
  })
  const pumping = Effect.runFork(
    Stream.runForEachArray(response.stream, (chunks) => {
      for (const chunk of chunks) sink.onBytes(chunk)
      return isPaused ? gate : Effect.void
    })
  )
  let isAborted = false
  pumping.addObserver((exit) => {
    if (isAborted) return
    if (Exit.isSuccess(exit)) return sink.onEnd()
    const error = Cause.findErrorOption(exit.cause)
    if (error._tag === "Some") sink.onError(error.value)
    else sink.onEnd()
  })
  return {
    pause: () => {
      isPaused = true
    },
    resume: () => {
      isPaused = false
      const waiting = wake
      wake = undefined
      waiting?.()
    },
    abort: () => {
      isAborted = true
      pumping.interruptUnsafe()
    }
  }
}

/** What is read of a body that nobody wants, so that its connection can be used again; past it the socket is closed. */
const maxDiscardBytes = 64 * 1024

/** How long that may take: a server that never ends its body does not hold the connection. */
const maxDiscardMillis = 1_000

/** Reads the rest of a body to nowhere, within 64 kB and a second, so that its connection can be used again. */
export const discard = (response: HttpClientResponse): void => {
  let bytes = 0
  let source: ByteSource | undefined
  // Sockets live in the machine's time, whatever clock the call has.
  const cancel = Timer.after(Timer.defaultClock, maxDiscardMillis, () => source?.abort())
  source = subscribe(response, {
    onBytes: (chunk) => {
      bytes += chunk.length
      if (bytes <= maxDiscardBytes) return
      cancel()
      source?.abort()
    },
    onEnd: cancel,
    onError: cancel
  })
  if (bytes > maxDiscardBytes) source.abort()
}

/** The same, and the body can still be read: it is kept by the response, as it is when it is read whole. */
export const keep = (response: HttpClientResponse): void => {
  const whole = Effect.provideService(
    response.arrayBuffer,
    HttpIncomingMessage.MaxBodySize,
    ByteSize.kibibytes(maxDiscardBytes / 1024)
  )
  Effect.runFork(Effect.ignore(Timer.within(whole, maxDiscardMillis, () => "late")))
}
