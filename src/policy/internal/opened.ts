/** A stream that has emitted: until then it is an effect that can fail, and be followed by another one. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** Pulls the first elements; what fails before them has released what it held. */
export const opened = <A, E, R>(
  self: Stream.Stream<A, E, R>
): Effect.Effect<Stream.Stream<A, E, R>, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const first = Effect.gen(function* () {
      const pull = yield* Scope.provide(Stream.toPull(self), scope)
      const elements = yield* Pull.catchDone(pull, () => Effect.succeed<ReadonlyArray<A>>([]))
      const rest = elements.length === 0 ? Stream.empty : Stream.fromPull(Effect.succeed(pull))
      return Stream.concat(Stream.fromIterable(elements), rest)
    })
    return yield* Effect.onExit(first, (exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
  })
