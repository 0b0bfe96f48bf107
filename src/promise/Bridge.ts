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
  private readonly running = new Set<Fiber.Fiber<unknown, unknown>>()
  private readonly onIdle: Array<() => void> = []
  /** What the caller opened and has not closed: the client closes it. */
  readonly resources = new Set<() => Promise<void>>()
  isClosing = false

  add(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.running.add(fiber)
    fiber.addObserver(() => {
      this.running.delete(fiber)
      if (this.running.size === 0) for (const idle of this.onIdle.splice(0)) idle()
    })
  }

  get size(): number {
    return this.running.size
  }

  /** Waits until nothing runs. */
  readonly idle: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.running.size === 0) return resume(Effect.void)
    this.onIdle.push(() => resume(Effect.void))
  })

  interruptAll(): void {
    for (const fiber of this.running) fiber.interruptUnsafe()
  }
}

/** What a caller is told of a failed exit: the typed error itself, the signal's reason, or that the client closed. */
const rejection = (cause: Cause.Cause<unknown>, calls: Calls, signal: AbortSignal | undefined): unknown => {
  const error = Cause.findError(cause)
  if (Result.isSuccess(error)) return error.success
  if (!Cause.hasInterruptsOnly(cause)) return Cause.squash(cause)
  if (signal?.aborted === true) return signal.reason
  return calls.isClosing ? new Draining({ key: "client" }) : Cause.squash(cause)
}

/** Runs an effect as a promise. */
export const run = <A, E, R, ER>(
  effect: Effect.Effect<A, E, R>,
  runtime: ManagedRuntime.ManagedRuntime<R, ER>,
  calls: Calls,
  signal?: AbortSignal,
  onStart?: (fiber: Fiber.Fiber<A, E | ER>) => void
): Promise<A> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    if (calls.isClosing) return reject(new Draining({ key: "client" }))
    const fiber = runtime.runFork(effect)
    onStart?.(fiber)
    let onAbort: (() => void) | undefined
    if (fiber.pollUnsafe() === undefined) {
      calls.add(fiber)
      if (signal !== undefined) {
        onAbort = () => {
          reject(signal.reason)
          fiber.interruptUnsafe()
        }
        signal.addEventListener("abort", onAbort, { once: true })
      }
    }
    fiber.addObserver((exit) => {
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
  signal?: AbortSignal
): AsyncIterableIterator<A> & AsyncDisposable => new Iteration(stream, runtime, calls, signal)

const done = { done: true, value: undefined } as const

class Iteration<A, E, R, ER> implements AsyncIterableIterator<A>, AsyncDisposable {
  private readonly stream: Stream.Stream<A, E, R>
  private readonly runtime: ManagedRuntime.ManagedRuntime<R, ER>
  private readonly calls: Calls
  private readonly signal: AbortSignal | undefined
  private readonly scope = Scope.makeUnsafe()
  private batch: ReadonlyArray<A> = []
  private at = 0
  private isOver = false
  private pull: (() => Promise<ReadonlyArray<A> | undefined>) | undefined
  private last: Promise<unknown> = Promise.resolve()
  private waiting: Fiber.Fiber<unknown, unknown> | undefined
  private closing: Promise<void> | undefined
  // A consumer that is busy between two events is not pulling: the abort still has to close the socket.
  private readonly onAbort = (): void => void this.close()
  private readonly onStart = (fiber: Fiber.Fiber<unknown, unknown>): void => {
    this.waiting = fiber
  }

  constructor(
    stream: Stream.Stream<A, E, R>,
    runtime: ManagedRuntime.ManagedRuntime<R, ER>,
    calls: Calls,
    signal: AbortSignal | undefined
  ) {
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
    if (this.at < this.batch.length && value !== undefined) {
      this.at++
      return Promise.resolve({ done: false, value })
    }
    // Calls of `next` that do not wait for each other are answered in order.
    const result = this.last.then(() => this.advance())
    this.last = result.catch(() => undefined)
    return result
  }

  private async advance(): Promise<IteratorResult<A, undefined>> {
    this.signal?.throwIfAborted()
    while (!this.isOver) {
      const value = this.batch[this.at]
      if (value !== undefined) {
        this.at++
        return { done: false, value }
      }
      try {
        this.pull ??= await this.open()
        const batch = await this.pull()
        if (batch === undefined) break
        this.batch = batch
        this.at = 0
      } catch (error) {
        this.batch = []
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
    const { calls, onStart, runtime, scope, signal } = this
    signal?.addEventListener("abort", this.onAbort, { once: true })
    const opening = Scope.provide(Stream.toPull(this.stream), scope)
    const pull = await run(opening, runtime, calls, signal, onStart)
    const next = Effect.catch(pull, (error): Effect.Effect<undefined, E, R> => {
      return Cause.isDone(error) ? Effect.succeed(undefined) : Effect.fail(error)
    })
    return () => run(next, runtime, calls, signal, onStart)
  }

  private close(): Promise<void> {
    return (this.closing ??= new Promise((resolve) => {
      this.isOver = true
      this.batch = []
      this.signal?.removeEventListener("abort", this.onAbort)
      this.waiting?.interruptUnsafe()
      const closing = Effect.runFork(Scope.close(this.scope, Exit.void))
      this.calls.add(closing)
      closing.addObserver(() => resolve())
    }))
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
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
