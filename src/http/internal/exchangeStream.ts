/** A body that is read as it comes, under the lease of a policy: closed by its reader, its deadline, or its client. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as Stream from "effect/Stream"
import type * as Policy from "../../policy/Policy.ts"
import type { Draining, PolicyError } from "../../policy/PolicyError.ts"
import type * as Timeout from "../../policy/Timeout.ts"
import { AttemptTimeout } from "../../policy/PolicyError.ts"
import * as Timer from "../../policy/Timer.ts"
import type { Reason } from "../ServiceReason.ts"
import type { OwnReason } from "./refusal.ts"
import { reasonOfHttpError } from "./serviceReason.ts"

/** What pulls a body, piece by piece. */
export interface Body<A> {
  readonly pull: Effect.Effect<readonly [A, ...Array<A>], HttpClientError | Cause.Done>
  /** Closes the connection, unless the body has ended. */
  readonly abort: () => void
}

/** Nothing is sent before the first pull. */
export const streamed = <A, R extends OwnReason>(
  held: Policy.Held,
  call: Policy.Call,
  key: string,
  open: (timeout: Timeout.Timeout) => Effect.Effect<Body<A>, Reason | PolicyError | R>
): Stream.Stream<A, Reason | PolicyError | R> => {
  const opened = Effect.gen(function* () {
    let current: Body<A> | undefined
    // Registered before the body is open, so that no interruption finds it open and unowned.
    yield* Effect.addFinalizer(() => Effect.sync(() => current?.abort()))
    const lease = yield* held.lease(call, (timeout) => {
      const { attemptMillis } = timeout
      const body = Effect.map(open(timeout), (body) => {
        current?.abort()
        current = body
        return body
      })
      return Timer.within(body, attemptMillis, () => new AttemptTimeout({ key, timeoutMillis: attemptMillis }))
    })
    const stopped = Deferred.makeUnsafe<never, Draining>()
    lease.onStop((draining) => {
      Deferred.doneUnsafe(stopped, Effect.fail(draining))
    })
    const next = Effect.raceFirst(lease.value.pull, Deferred.await(stopped))
    const pull = Effect.catch(next, (error): Effect.Effect<never, Reason | PolicyError | Cause.Done> => {
      if (Cause.isDone(error)) {
        lease.end("ok")
        return Cause.done()
      }
      const reason = error._tag === "HttpClientError" ? reasonOfHttpError(error) : error
      lease.value.abort()
      lease.end(reason._tag)
      return Effect.fail(reason)
    })
    return Stream.fromPull(Effect.succeed(pull))
  })
  return Stream.unwrap(opened)
}
