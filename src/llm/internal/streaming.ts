/**
 * One streamed answer from its first byte to its finish marker: which event is content, how long to wait for it, and
 * what the end means. The timers run only while the consumer waits: a slow consumer is not a stall.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { Reader, ServerSentEvent } from "../../http/EventStream.ts"
import type { Draining } from "../../policy/PolicyError.ts"
import { DeadlineExceeded } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import type { StreamEvent } from "../Llm.ts"
import {
  FirstContentTimeout,
  InvalidResponse,
  type Reason,
  StreamCut,
  StreamStalled,
  StreamTruncated
} from "../LlmError.ts"
import type * as Usage from "../Usage.ts"
import { reasonOfHttpError } from "../../http/internal/serviceReason.ts"

/** What a provider's decoder of events knows. */
export interface Decoder {
  /** The finish marker was read. */
  readonly isFinished: boolean
  /** Nothing that matters follows. */
  readonly isDone: boolean
  readonly partial: string
  readonly usage: Usage.Usage | undefined
  readonly failure: Reason | undefined
  /** Grows with content that is not an event of its own yet, such as a tool's arguments. */
  readonly progress: number
  readonly push: (event: ServerSentEvent, out: Array<StreamEvent>) => void
}

export interface Times {
  readonly firstContentMillis: number
  readonly idleContentMillis: number
}

/** After the finish marker, how long to wait for the usage and the end before doing without. */
const maxFinishMillis = 2_000

/** The tail behind the end that is read so that the connection can be used again: 64 kB and 1 s, as FAILURES.md says. */
const maxTailBytes = 64 * 1024
const maxTailMillis = 1_000

type Resume = (effect: Pulled) => void

export type Events = readonly [StreamEvent, ...Array<StreamEvent>]

export type Pulled = Effect.Effect<Events, Reason | Cause.Done>

const isNonEmpty = (events: Array<StreamEvent>): events is [StreamEvent, ...Array<StreamEvent>] => events.length > 0

/** What the call around knows once it has its lease. */
export interface Attachment {
  readonly deadlineAt: number
  readonly totalMillis: number
  /** The answer is complete; the result is what is left to tell. Called once, or `onFailure` is. */
  readonly onFinish: () => Events
  readonly onFailure: (reason: Reason) => void
}

export interface Options {
  readonly key: string
  readonly reader: Reader<ServerSentEvent>
  readonly decoder: Decoder
  readonly clock: Clock.Clock
  readonly times: Times
  /** What of `firstContent` was used before the headers came. */
  readonly waitedMillis: number
}

export class Streaming {
  private readonly options: Options
  private readonly reader: Reader<ServerSentEvent>
  private readonly decoder: Decoder
  private attachment: Attachment | undefined
  /** Time spent waiting since the last content. */
  private waitedMillis: number
  private hasContent = false
  private stopped: Draining | DeadlineExceeded | undefined
  /** The finish marker was read and only the last event is left to tell. */
  private isFinishing = false
  private isOver = false
  private resume: Resume | undefined
  private waitingSince = 0
  private cancelTimer: (() => void) | undefined
  private cancelDeadline: (() => void) | undefined
  private progress = 0
  private sawFinish = false
  private armedUntil = Infinity
  /** What it failed with: whoever asks again is told again, and never that it ended. */
  private failure: Reason | undefined
  /** What came with the first content, until the consumer takes it. */
  private buffered: Events | undefined

  constructor(options: Options) {
    this.options = options
    this.reader = options.reader
    this.decoder = options.decoder
    this.waitedMillis = options.waitedMillis
  }

  /**
   * Waits for the first content, or for an answer that is complete without any, and keeps it for `pull`. Part of the
   * attempt: it may be retried.
   */
  readonly first: Effect.Effect<void, Reason> = Effect.suspend(() =>
    Effect.matchEffect(this.step(), {
      onFailure: (error) => (Cause.isDone(error) ? Effect.void : Effect.fail(error)),
      onSuccess: (events) => {
        this.buffered = events
        return Effect.void
      }
    })
  )

  /** From here on the stream belongs to its consumer, for as long as its deadline allows, read or not. */
  attach(attachment: Attachment): void {
    this.attachment = attachment
    if (this.isOver) return
    // A short answer may be complete before anybody has it; only its last event is left, and that needs no deadline.
    if (this.isFinishing || attachment.deadlineAt === Infinity) return
    const left = attachment.deadlineAt - this.options.clock.currentTimeMillisUnsafe()
    const { totalMillis } = attachment
    this.cancelDeadline = Timer.after(this.options.clock, left, () =>
      this.stop(new DeadlineExceeded({ key: this.options.key, totalMillis, phase: "answered" }))
    )
  }

  /** Ends the stream from outside: the client is closing, or the time is over. A finished answer stays one. */
  stop = (reason: Draining | DeadlineExceeded): void => {
    if (this.isOver || this.isFinishing) return
    this.stopped = reason
    if (this.resume !== undefined) return this.next()
    // Nobody is waiting: the socket and the slot go back now, and whoever comes is told.
    if (!this.decoder.isFinished) this.end(reason)
  }

  /** Closes the connection unless the answer is complete. */
  close = (): void => {
    if (this.isOver) return
    this.isOver = true
    this.cancelTimers()
    this.reader.abort()
  }

  private cancelTimers(): void {
    this.cancelTimer?.()
    this.cancelDeadline?.()
  }

  /** Whether content came. */
  get hasDelivered(): boolean {
    return this.hasContent
  }

  /** The next events: at least one. */
  readonly pull: Pulled = Effect.suspend(() => {
    const { buffered } = this
    if (buffered === undefined) return this.step()
    this.buffered = undefined
    return Effect.succeed(buffered)
  })

  private step(): Pulled {
    if (this.isFinishing) return this.isOver ? Cause.done() : this.last([])
    if (this.stopped !== undefined) return this.decoder.isFinished ? this.finish([]) : this.fail(this.stopped)
    if (this.isOver) return this.failure === undefined ? Cause.done() : Effect.fail(this.failure)
    const out: Array<StreamEvent> = []
    const taken = this.reader.take()
    if (taken !== undefined) for (const event of taken) this.decoder.push(event, out)
    const { decoder } = this
    if (isNonEmpty(out) || decoder.progress !== this.progress) {
      this.hasContent ||= isNonEmpty(out)
      this.progress = decoder.progress
      this.waitedMillis = 0
    }
    if (decoder.isFinished && !this.sawFinish) {
      this.sawFinish = true
      this.waitedMillis = 0
    }
    if (decoder.isDone && decoder.isFinished) return this.finish(out)
    // What came before a failure is delivered first; the failure is found again by the next pull.
    if (isNonEmpty(out)) return Effect.succeed(out)
    if (decoder.failure !== undefined) return this.fail(decoder.failure)
    const ended = decoder.isDone ? Cause.done() : this.reader.ended()
    if (ended !== undefined) return decoder.isFinished ? this.finish(out) : this.broken(ended)
    return this.wait()
  }

  private finish(out: Array<StreamEvent>): Pulled {
    this.isFinishing = true
    this.cancelTimers()
    const cancel = this.reader.finish(maxTailBytes)
    if (this.reader.ended() === undefined) this.drainTail(cancel)
    return this.last(out)
  }

  private last(out: Array<StreamEvent>): Pulled {
    if (this.attachment === undefined) return isNonEmpty(out) ? Effect.succeed(out) : Cause.done()
    this.isOver = true
    const last = this.attachment.onFinish()
    return Effect.succeed(isNonEmpty(out) ? ([...out, ...last] as const) : last)
  }

  /** Reads what follows the end in the background, so that the connection survives and nobody waits for it. */
  private drainTail(cancel: () => void): void {
    const stopTimer = Timer.after(this.options.clock, maxTailMillis, cancel)
    this.reader.onReady(stopTimer)
  }

  private fail(reason: Reason): Pulled {
    this.end(reason)
    return Effect.fail(reason)
  }

  private end(reason: Reason): void {
    if (this.isOver) return
    this.failure = reason
    this.close()
    this.attachment?.onFailure(reason)
  }

  private broken(ended: Effect.Effect<never, HttpClientError | Cause.Done>): Pulled {
    const { partial, usage } = this.decoder
    return Effect.catch(ended, (error): Pulled => {
      if (Cause.isDone(error)) return this.fail(new StreamTruncated({ partial, usage, delivered: this.hasContent }))
      const reason = reasonOfHttpError(error)
      if (!this.hasContent || reason._tag !== "ConnectionLost") {
        const isOurs = reason._tag === "InvalidResponse" && this.hasContent
        return this.fail(isOurs ? new InvalidResponse({ description: reason.description, delivered: true }) : reason)
      }
      return this.fail(new StreamCut({ partial, usage, description: reason.description, cause: reason.cause }))
    })
  }

  private wait(): Pulled {
    return Effect.callback((resume) => {
      const now = this.options.clock.currentTimeMillisUnsafe()
      this.waitingSince = now
      this.resume = resume
      const until = now + this.leftMillis(now)
      // One timer serves many waits: what arrives does not move it, and when it fires it looks at the time.
      if (this.armedUntil > until) this.arm(now, until)
      this.reader.onReady(this.next)
      return Effect.sync(() => this.settle())
    })
  }

  /** Wakes the consumer that waits. */
  private readonly next = (): void => {
    this.settle()?.(this.pull)
  }

  private settle(): Resume | undefined {
    const { resume } = this
    if (resume === undefined) return undefined
    this.resume = undefined
    this.reader.onReady(undefined)
    this.waitedMillis += this.options.clock.currentTimeMillisUnsafe() - this.waitingSince
    return resume
  }

  /** What is left of the consumer's patience, for a wait that began at `waitingSince`. */
  private leftMillis(now: number): number {
    return this.patienceMillis() - this.waitedMillis - (now - this.waitingSince)
  }

  private arm(now: number, until: number): void {
    this.cancelTimer?.()
    this.armedUntil = until
    this.cancelTimer = Timer.after(this.options.clock, until - now, () => {
      this.armedUntil = Infinity
      if (this.resume === undefined) return
      const at = this.options.clock.currentTimeMillisUnsafe()
      const left = this.leftMillis(at)
      if (left > 0) return this.arm(at, at + left)
      this.settle()?.(this.outOfPatience())
    })
  }

  private patienceMillis(): number {
    if (this.decoder.isFinished) return Math.min(maxFinishMillis, this.options.times.idleContentMillis)
    return this.hasContent ? this.options.times.idleContentMillis : this.options.times.firstContentMillis
  }

  private outOfPatience(): Pulled {
    const { decoder } = this
    const { times } = this.options
    if (decoder.isFinished) return this.finish([])
    if (!this.hasContent) return this.fail(new FirstContentTimeout({ timeoutMillis: times.firstContentMillis }))
    const { partial, usage } = decoder
    return this.fail(new StreamStalled({ timeoutMillis: times.idleContentMillis, partial, usage }))
  }
}
