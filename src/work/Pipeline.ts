/**
 * Requests through stages, each with its own concurrency, and with a bounded number of them waiting between two: a stage
 * that is slow holds up those before it, and memory stays flat.
 *
 * A request has a place in one stage at a time. It leaves a stage when the next one has a place for it, and the first one
 * has as many places as its concurrency and its buffer.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Pipeable from "effect/Pipeable"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"

export interface StageOptions<A, B, E, R> {
  /** What the stage does with each request. */
  readonly run: (input: A) => Effect.Effect<B, E, R>
  /** Requests that it works on at a time. Default: `1`. */
  readonly concurrency?: number | undefined
  /** Requests that may wait for it besides. Default: as many as its concurrency. */
  readonly buffer?: number | undefined
}

/** What became of one request: failures are values. */
export interface Outcome<A, B, E> {
  /** Its number among the requests, starting at 0. */
  readonly index: number
  readonly request: A
  readonly exit: Exit.Exit<B, E>
}

/** Where a request is, so that it leaves there once it has a place further on. */
class Ticket {
  private place: Semaphore.Semaphore | undefined

  move(to: Semaphore.Semaphore): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => Effect.andThen(restore(to.take(1)), this.leave(to)))
  }

  leave(to?: Semaphore.Semaphore): Effect.Effect<void> {
    return Effect.suspend(() => {
      const place = this.place
      this.place = to
      return place === undefined ? Effect.void : Effect.asVoid(place.release(1))
    })
  }
}

interface Open<A, B, E, R> {
  readonly run: (input: A, ticket: Ticket) => Effect.Effect<B, E, R>
  /** Requests that are in it at most. */
  readonly places: number
}

/** Stages in their order. It holds no state: `open` makes the places that requests share. */
export interface Plan<A, B, E = never, R = never> extends Pipeable.Pipeable {
  readonly make: () => Open<A, B, E, R>
}

const planOf = <A, B, E, R>(make: () => Open<A, B, E, R>): Plan<A, B, E, R> => ({
  make,
  pipe() {
    return Pipeable.pipeArguments(this, arguments)
  }
})

/** Stages at work. */
export interface Pipeline<A, B, E = never, R = never> {
  /** Sends one request through; waits while the first stage is full. Its interruption frees its place. */
  readonly request: (input: A) => Effect.Effect<B, E, R>
  /**
   * Sends all of them through and says what became of each as soon as it is known; `ordered` keeps the order of the
   * requests (default: `false`). Reads no more requests than there are places.
   */
  readonly run: <E2 = never, R2 = never>(
    requests: Iterable<A> | Stream.Stream<A, E2, R2>,
    options?: { readonly ordered?: boolean | undefined }
  ) => Stream.Stream<Outcome<A, B, E>, E2, R | R2>
}

/** A first stage. */
export const stage = <A, B, E = never, R = never>(options: StageOptions<A, B, E, R>): Plan<A, B, E, R> => {
  const { concurrency = 1, run } = options
  const { buffer = concurrency } = options
  if (!(concurrency >= 1)) throw new RangeError(`concurrency must be at least 1, not ${concurrency}`)
  if (!(buffer >= 0)) throw new RangeError(`buffer must be at least 0, not ${buffer}`)
  return planOf(() => {
    const places = Semaphore.makeUnsafe(concurrency + buffer)
    const slots = Semaphore.makeUnsafe(concurrency)
    return {
      places: concurrency + buffer,
      run: (input, ticket) => Effect.andThen(ticket.move(places), slots.withPermit(Effect.suspend(() => run(input))))
    }
  })
}

/** Adds a stage that takes what comes out of those before it. */
export const to =
  <B, C, E2 = never, R2 = never>(options: StageOptions<B, C, E2, R2>) =>
  <A, E, R>(self: Plan<A, B, E, R>): Plan<A, C, E | E2, R | R2> => {
    const last = stage(options)
    return planOf(() => {
      const [before, after] = [self.make(), last.make()]
      return {
        places: before.places + after.places,
        run: (input, ticket) => Effect.flatMap(before.run(input, ticket), (output) => after.run(output, ticket))
      }
    })
  }

/** Opens the stages: those who send requests through the same pipeline share its places. */
export const open = <A, B, E, R>(plan: Plan<A, B, E, R>): Effect.Effect<Pipeline<A, B, E, R>> =>
  Effect.sync(() => {
    const { places, run } = plan.make()
    const request = (input: A): Effect.Effect<B, E, R> =>
      Effect.suspend(() => {
        const ticket = new Ticket()
        return Effect.ensuring(run(input, ticket), ticket.leave())
      })
    return {
      request,
      run: (requests, { ordered = false } = {}) =>
        (Stream.isStream(requests) ? requests : Stream.fromIterable(requests)).pipe(
          Stream.zipWithIndex,
          Stream.mapEffect(
            ([input, index]) => Effect.map(Effect.exit(request(input)), (exit) => ({ index, request: input, exit })),
            { concurrency: places, unordered: !ordered }
          )
        )
    }
  })
