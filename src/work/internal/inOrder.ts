/** Many effects at a time whose results keep the order of their items. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"

export interface Bounds {
  /** Items that are worked on at a time. */
  readonly concurrency: number
  /** Items from the oldest unfinished one on that may be begun. */
  readonly window: number
}

/**
 * Works on `concurrency` items at a time, begun in their order; what is finished waits for those before it, `window` items
 * at most, and holds no place meanwhile.
 */
export const inOrder = <A, E, R, B, E2, R2>(
  items: Stream.Stream<A, E, R>,
  work: (item: A) => Effect.Effect<B, E2, R2>,
  { concurrency, window }: Bounds
): Stream.Stream<B, E | E2, R | R2> =>
  Stream.suspend(() => {
    const places = Semaphore.makeUnsafe(concurrency)
    return items.pipe(
      // The place is taken before the next item is read: what waits is not in memory.
      Stream.mapEffect((item) => Effect.as(places.take(1), item)),
      // One at a time would be the stream's own way without fibers, which reads no item ahead.
      Stream.mapEffect((item) => Effect.ensuring(work(item), places.release(1)), {
        concurrency: Math.max(2, concurrency, window)
      })
    )
  })

/** Lets what is under way finish when one failure stands for all that would follow. */
export class Stopper<E> {
  private running = 0
  private error: { readonly is: E } | undefined
  private readonly idle = Deferred.makeUnsafe<void>()

  /** Nothing begins any more. The first one counts. */
  stop(error: E): void {
    this.error ??= { is: error }
  }

  /** Runs `self` unless it is stopped. When it is stopped meanwhile, fails once all that runs has ended. */
  readonly guard = <A, E2, R>(self: Effect.Effect<A | undefined, E2, R>): Effect.Effect<A, E | E2, R> =>
    Effect.suspend(() => {
      if (this.error !== undefined) return this.stopped
      this.running += 1
      const counted = Effect.ensuring(
        self,
        Effect.sync(() => {
          this.running -= 1
          if (this.running === 0 && this.error !== undefined) Deferred.doneUnsafe(this.idle, Effect.void)
        })
      )
      return Effect.flatMap(counted, (result) => (result === undefined ? this.stopped : Effect.succeed(result)))
    })

  private readonly stopped: Effect.Effect<never, E> = Effect.suspend(() =>
    Effect.andThen(
      Deferred.await(this.idle),
      Effect.suspend(() => (this.error === undefined ? Effect.never : Effect.fail(this.error.is)))
    )
  )
}
