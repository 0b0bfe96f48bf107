/** A circuit breaker's store on another machine: each answer is bounded in time, and after a failure it is left alone. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Timer from "../Timer.ts"

type Store = CircuitBreaker.CircuitBreakerStore["Service"]

/** A store that failed is left alone for so long, or each send would wait for its timeout. */
const restMillis = 10_000

export class RemoteStore {
  private readonly timeoutMillis: number
  private readonly late: () => CircuitBreaker.CircuitBreakerError
  private restsUntil = -Infinity

  constructor(timeoutMillis: number, late: () => CircuitBreaker.CircuitBreakerError) {
    this.timeoutMillis = timeoutMillis
    this.late = late
  }

  isResting(now: number): boolean {
    return now < this.restsUntil
  }

  bound(store: Store): Store {
    return {
      admit: (key) => this.inTime(store.admit(key)),
      record: (options) => this.inTime(store.record(options)),
      state: (key) => this.inTime(store.state(key))
    }
  }

  private inTime<A, R>(
    self: Effect.Effect<A, CircuitBreaker.CircuitBreakerError, R>
  ): Effect.Effect<A, CircuitBreaker.CircuitBreakerError, R> {
    const bounded = Timer.within(self, this.timeoutMillis, this.late)
    return Effect.flatMap(Clock.Clock, (clock) =>
      Effect.onExitPrimitive(bounded, (exit) => {
        const hasFailed =
          Exit.isFailure(exit) &&
          exit.cause.reasons.some((one) => one._tag === "Fail" && one.error.reason._tag === "CircuitBreakerStoreError")
        if (hasFailed) this.restsUntil = clock.currentTimeMillisUnsafe() + restMillis
        return undefined
      })
    )
  }
}
