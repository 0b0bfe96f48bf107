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

/** The calls that one client has under way. */
export class Calls {
  private readonly running = new Set<Call>()
  private readonly onIdle: Array<() => void> = []
  /** What the caller opened and has not closed: the client closes it. */
  readonly resources = new Set<() => Promise<void>>()
  isClosing = false
  /** The grace has ended. */
  isOver = false

  begin(call: Call): void {
    this.running.add(call)
  }

  end(call: Call): void {
    if (!this.running.delete(call) || this.running.size > 0) return
    for (const idle of this.onIdle.splice(0)) idle()
  }

  get size(): number {
    return this.running.size
  }

  /** Whether a call may begin; what was answered may be read until the grace ends. */
  isOpen(isAnswered: boolean): boolean {
    return !this.isClosing || (isAnswered && !this.isOver)
  }

  /** Waits until nothing runs, and nobody who was answered last has gone on to read the body. */
  readonly idle: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    while (this.running.size > 0) {
      yield* Effect.callback<void>((resume) => {
        this.onIdle.push(() => resume(Effect.void))
      })
      yield* Effect.yieldNow
    }
  })

  interruptAll(): void {
    this.isOver = true
    for (const call of this.running) call.interruptUnsafe()
  }
}

/** What is under way: a promise's fiber, or a stream from its first `next` to its end. */
export interface Call {
  readonly interruptUnsafe: () => void
}

/** What a caller is told of a failed exit: the typed error itself, the signal's reason, or that the client closed. */
const rejection = (cause: Cause.Cause<unknown>, calls: Calls, signal: AbortSignal | undefined): unknown => {
  const error = Cause.findError(cause)
  if (Result.isSuccess(error)) return error.success
  if (!Cause.hasInterruptsOnly(cause)) return Cause.squash(cause)
  if (signal?.aborted === true) return signal.reason
  return calls.isClosing ? new Draining({ key: "client", isSent: true }) : Cause.squash(cause)
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

class Iteration<A, E, R, ER> implements AsyncIterableIterator<A>, AsyncDisposable, Call {
  private readonly stream: Stream.Stream<A, E, R>
  private readonly runtime: ManagedRuntime.ManagedRuntime<R, ER>
  private readonly calls: Calls
  private readonly signal: AbortSignal | undefined
  private readonly isAnswered: boolean
  private readonly scope = Scope.makeUnsafe()
  private batch: ReadonlyArray<A> = []
  private at = 0
  private isOver = false
  /** The stream came to its own end. */
  private isDone = false
  private pull: (() => Promise<ReadonlyArray<A> | undefined>) | undefined
  private last: Promise<unknown> = Promise.resolve()
  private queued = 0
  private waiting: Fiber.Fiber<unknown, unknown> | undefined
  private closing: Promise<void> | undefined
  // A consumer that is busy between two events is not pulling: the abort still has to close the socket.
  private readonly onAbort = (): void => void this.close()
  readonly interruptUnsafe = (): void => void this.close()
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
    this.isAnswered = isAnswered
    this.stream = stream
    this.runtime = runtime
    this.calls = calls
    this.signal = signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<A, undefined>> {
    const value = this.batch[this.at]
    if (this.queued === 0 && this.at < this.batch.length && value !== undefined) {
      this.at++
      return Promise.resolve({ done: false, value })
    }
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
    this.signal?.throwIfAborted()
    if (this.isOver && this.calls.isClosing && !this.isDone) throw new Draining({ key: "client", isSent: true })
    while (!this.isOver) {
      const value = this.batch[this.at]
      if (value !== undefined) {
        this.at++
        return { done: false, value }
      }
      try {
        this.pull ??= await this.open()
        const batch = await this.pull()
        if (batch === undefined) {
          this.isDone = true
          break
        }
        this.batch = batch
        this.at = 0
      } catch (error) {
        this.batch = []
        // Its own `return` ended it, while this `next` was waiting.
        if (this.isOver && this.signal?.aborted !== true && !this.calls.isClosing) break
        const closed = this.close()
        // An abort is answered at once; its finalizers are awaited by the client's `close`.
        if (this.signal?.aborted !== true) await closed
        throw error
      }
    }
    await this.close()
    return done
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

  private close(): Promise<void> {
    return (this.closing ??= new Promise((resolve) => {
      this.isOver = true
      this.batch = []
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
    this.isDone = true
    await this.close()
    return done
  }

  async throw(error: unknown): Promise<never> {
    await this.close()
    throw error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
