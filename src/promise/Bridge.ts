/**
 * The two crossings from Effect to plain JavaScript: `run` gives a promise, `iterate` an async iterable. An abort
 * rejects at once with the signal's reason; what it interrupted is finished in the background, and `close` waits for it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Draining } from "../policy/PolicyError.ts"
import { type Call, Calls } from "./internal/calls.ts"
import { called, type Site, siteOf } from "./internal/site.ts"

export { Calls }

/** What a caller is told of a failed exit: the typed error itself, the signal's reason, or that the client closed. */
const rejection = (cause: Cause.Cause<unknown>, calls: Calls, signal: AbortSignal | undefined): unknown => {
  const error = Cause.findError(cause)
  if (Result.isSuccess(error)) return error.success
  if (!Cause.hasInterruptsOnly(cause)) return Cause.squash(cause)
  if (signal?.aborted === true) return signal.reason
  return calls.isClosing ? new Draining({ key: "client", isSent: true }) : Cause.squash(cause)
}

const nothing = (): void => {}

/**
 * What a method gives back: what it throws becomes a rejection, and one that nobody waits for does not end the process.
 * A forgotten call must not: closing the client, too, makes it reject. The stack of an error begins where the method was
 * called; `own` is how many functions of ours stand between.
 */
export const heard = <A>(call: () => Promise<A>, own = 1): Promise<A> => {
  const site = siteOf(1 + own)
  const promise = (async () => {
    try {
      return await call()
    } catch (error) {
      called(error, site)
      throw error
    }
  })()
  promise.catch(nothing)
  return promise
}

/** Runs an effect as a promise. */
export const run = <A, E, R, ER>(
  effect: Effect.Effect<A, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal?: AbortSignal,
  /** The call that this is a step of: it is counted once, and its steps go on while the client closes. */
  partOf?: { onStart: (fiber: Fiber.Fiber<unknown, unknown>) => void },
  /** The call has its answer, and this reads it. */
  isAnswered = false
): Promise<A> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    if (partOf === undefined && !calls.isOpen(isAnswered)) return reject(new Draining({ key: "client" }))
    const fiber = runtime.runFork(effect)
    partOf?.onStart(fiber)
    let onAbort: (() => void) | undefined
    if (fiber.pollUnsafe() === undefined) {
      if (partOf === undefined) calls.begin(fiber)
      if (signal !== undefined) {
        onAbort = () => {
          reject(signal.reason)
          fiber.interruptUnsafe()
        }
        signal.addEventListener("abort", onAbort, { once: true })
      }
    }
    fiber.addObserver((exit) => {
      calls.end(fiber)
      if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort)
      if (Exit.isSuccess(exit)) resolve(exit.value)
      else reject(rejection(exit.cause, calls, signal))
    })
  })

/**
 * Iterates a stream. Nothing runs before the first `next`; `next` resolves at once while events are at hand; `return`
 * (a `break`) closes the stream before it resolves; an abort rejects the `next` that waits.
 */
export const iterate = <A, E, R, ER>(
  stream: Stream.Stream<A, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal?: AbortSignal,
  /** The call has its answer, and this reads it. */
  isAnswered = false
): AsyncIterableIterator<A> & AsyncDisposable => new Iteration(stream, runtime, calls, signal, isAnswered)

const done = { done: true, value: undefined } as const

/** How a stream ended; what it had said before may still be to be taken. */
type Outcome = { readonly is: "done" | "left" } | { readonly is: "failed"; readonly error: unknown }

/** A stream that is read by promises. One batch is under way at a time, whoever waits for it. */
export class Iteration<A, E, R, ER> implements AsyncIterableIterator<A>, AsyncDisposable, Call {
  private readonly stream: Stream.Stream<A, E, R>
  private readonly runtime: ManagedRuntime.ManagedRuntime<R, ER>
  private readonly calls: Calls
  private readonly signal: AbortSignal | undefined
  private readonly isAnswered: boolean
  private readonly scope = Scope.makeUnsafe()
  private batch: Array<A> = []
  private at = 0
  private outcome: Outcome | undefined
  private more: (() => Promise<ReadonlyArray<A> | undefined>) | undefined
  private pulling: Promise<void> | undefined
  private wake = nothing
  private last: Promise<unknown> = Promise.resolve()
  private queued = 0
  private isLooped = false
  private waiting: Fiber.Fiber<unknown, unknown> | undefined
  private closing: Promise<void> | undefined
  /** Below a method and the function that it makes this by. */
  private readonly site: Site
  // A consumer that is busy between two events is not pulling: the abort still has to close the socket.
  private readonly onAbort = (): void => this.stop(this.signal?.reason)
  readonly interruptUnsafe = (): void => this.stop(new Draining({ key: "client", isSent: true }))
  readonly onStart = (fiber: Fiber.Fiber<unknown, unknown>): void => {
    this.waiting = fiber
  }

  constructor(
    stream: Stream.Stream<A, E, R>,
    runtime: ManagedRuntime.ManagedRuntime<R, ER>,
    calls: Calls,
    signal: AbortSignal | undefined,
    isAnswered: boolean
  ) {
    this.site = siteOf(2)
    this.isAnswered = isAnswered
    this.stream = stream
    this.runtime = runtime
    this.calls = calls
    this.signal = signal
  }

  /** The one loop over the events. A second one throws: what the first has taken is gone. */
  [Symbol.asyncIterator](): AsyncIterableIterator<A> {
    if (this.isLooped) throw new TypeError("this stream is read already: loop over it once, or make the call again")
    this.isLooped = true
    const loop: AsyncIterableIterator<A> = {
      next: () => this.next(),
      return: () => this.return(),
      [Symbol.asyncIterator]: () => loop
    }
    return loop
  }

  next(): Promise<IteratorResult<A, undefined>> {
    if (this.queued === 0 && this.at < this.batch.length) return Promise.resolve(this.take())
    // Calls of `next` that do not wait for each other are answered in order.
    this.queued++
    const result = this.last.then(() => this.advance())
    const settle = (): void => {
      this.queued--
    }
    this.last = result.then(settle, settle)
    return result
  }

  private async advance(): Promise<IteratorResult<A, undefined>> {
    while (this.at >= this.batch.length) {
      if (this.outcome === undefined) await this.pull()
      else if (this.outcome.is === "failed") throw this.outcome.error
      else return done
    }
    return this.take()
  }

  private take(): IteratorResult<A, undefined> {
    const value = this.batch[this.at++]
    if (this.at >= this.batch.length) this.forget()
    return value === undefined ? done : { done: false, value }
  }

  private forget(): void {
    this.batch = []
    this.at = 0
  }

  /** Reads on to the end. What a loop has not taken is kept for it, as long as the answer is. */
  protected async finish(): Promise<void> {
    while (this.outcome === undefined) await this.pull()
    if (this.outcome.is === "failed") throw this.outcome.error
  }

  /** Told of each batch when it is here, before anybody takes of it. */
  protected onBatch(_batch: ReadonlyArray<A>): void {}

  /** Waits for the next batch, or the end. Never rejects: the outcome says how it ended. */
  private pull(): Promise<void> {
    return (this.pulling ??= new Promise((resolve) => {
      const wake = (): void => {
        this.pulling = undefined
        resolve()
      }
      this.wake = wake
      void this.pullOnce().then(wake)
    }))
  }

  private async pullOnce(): Promise<void> {
    try {
      this.signal?.throwIfAborted()
      this.more ??= await this.open()
      const batch = this.outcome === undefined ? await this.more() : undefined
      if (this.outcome !== undefined) return
      if (batch === undefined) return await this.end({ is: "done" })
      this.onBatch(batch)
      for (const value of batch) this.batch.push(value)
    } catch (error) {
      called(error, this.site)
      const closed = this.end({ is: "failed", error })
      // An abort is answered at once; its finalizers are awaited by the client's `close`.
      if (this.signal?.aborted !== true) await closed
    }
  }

  private async open(): Promise<() => Promise<ReadonlyArray<A> | undefined>> {
    const { calls, runtime, scope, signal } = this
    if (!calls.isOpen(this.isAnswered)) throw new Draining({ key: "client" })
    calls.begin(this)
    signal?.addEventListener("abort", this.onAbort, { once: true })
    const opening = Scope.provide(Stream.toPull(this.stream), scope)
    const pull = await run(opening, runtime, calls, signal, this)
    const next = Effect.catch(pull, (error): Effect.Effect<undefined, E, R> => {
      return Cause.isDone(error) ? Effect.succeed(undefined) : Effect.fail(error)
    })
    return () => run(next, runtime, calls, signal, this)
  }

  /** Ends it now: what was not taken is forgotten, and who waits is rejected with the reason. */
  protected stop(reason: unknown): void {
    if (this.outcome !== undefined) return
    this.outcome = { is: "failed", error: reason }
    this.forget()
    // What is interrupted ends in the background.
    void this.close()
    this.wake()
  }

  private end(outcome: Outcome): Promise<void> {
    this.outcome ??= outcome
    return this.close()
  }

  private close(): Promise<void> {
    return (this.closing ??= new Promise((resolve) => {
      this.signal?.removeEventListener("abort", this.onAbort)
      this.waiting?.interruptUnsafe()
      const closing = Effect.runFork(Scope.close(this.scope, Exit.void))
      closing.addObserver(() => {
        this.calls.end(this)
        resolve()
      })
    }))
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    const closed = this.end({ is: "left" })
    this.forget()
    this.wake()
    await closed
    return done
  }

  async throw(error: unknown): Promise<never> {
    await this.return()
    throw error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}
