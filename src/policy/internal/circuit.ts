/** Circuits by key: a quick path for keys without a failure on record, Effect's breaker for the others. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Circuit, Options, State, Transition } from "../Circuit.ts"
import { AttemptTimeout, CircuitOpen, isPolicyError } from "../PolicyError.ts"
import { classify as classifyError, type Retryable } from "../Retryable.ts"
import { RemoteStore } from "./remoteStore.ts"
import { Troubles } from "./troubles.ts"

type Outcome = CircuitBreaker.Outcome

const success: Outcome = { _tag: "Success" }
const ignored: Outcome = { _tag: "Ignored" }
const closed: State = { _tag: "Closed" }

const doubling = Schedule.min([Schedule.exponential("5 seconds"), Schedule.spaced("1 minute")])

/** What may pass by itself, unless it is a throttle that says when to come back: whoever says that is not broken. */
const isFailure = ({ isRetryable, isThrottle, retryAfter }: Retryable): boolean =>
  isRetryable && !(isThrottle === true && retryAfter !== undefined)

class KeyedCircuit implements Circuit {
  readonly transitions: Stream.Stream<Transition>
  private readonly options: Options
  private readonly breaker: CircuitBreaker.CircuitBreaker
  private readonly troubles: Troubles
  private readonly remote: RemoteStore | undefined
  /** Whether every send has to be counted: by a share, or because others count with us. */
  private readonly countsAll: boolean

  constructor(
    options: Options,
    breaker: CircuitBreaker.CircuitBreaker,
    troubles: Troubles,
    remote: RemoteStore | undefined
  ) {
    this.options = options
    this.remote = remote
    this.breaker = breaker
    this.troubles = troubles
    this.countsAll = options.rate !== undefined || remote !== undefined
    this.transitions = breaker.transitions
  }

  protect: Circuit["protect"] =
    (key, classify = this.options.classify ?? classifyError) =>
    <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | CircuitOpen, R> =>
      Effect.withFiber((fiber) => {
        const trouble = this.troubles.get(key)
        if (!this.countsAll && (trouble === undefined || trouble.isQuiet)) {
          return this.quietly(key, trouble?.openings ?? 0, classify, self)
        }
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        const left = (trouble?.openUntil ?? 0) - now
        if (this.remote?.isResting(now) === true) return self
        if (left > 0) return Effect.fail(new CircuitOpen({ key, retryAfter: Duration.millis(left) }))
        return this.counted(key, classify, self)
      })

  /** Runs an effect and tells the breaker only what changes something. */
  private quietly<A, E, R>(
    key: string,
    openings: number,
    classify: (error: unknown) => Retryable,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.onExitPrimitive(self, (exit) => {
      const trouble = this.troubles.get(key)
      const isQuiet = trouble === undefined || trouble.isQuiet
      if (isQuiet && Exit.isSuccess(exit)) return undefined
      const outcome = this.judge(exit, classify)
      if (outcome._tag === "Ignored" || (isQuiet && outcome._tag === "Success")) return undefined
      // Sent before the circuit opened: its outcome must not pass for a trial's.
      if (openings !== (trouble?.openings ?? 0)) return undefined
      return Effect.ignore(this.breaker.execute(Effect.void, { key, classify: () => outcome }))
    })
  }

  /** Runs an effect through the breaker. */
  private counted<A, E, R>(
    key: string,
    classify: (error: unknown) => Retryable,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | CircuitOpen, R> {
    const executed = this.breaker.execute(Effect.exit(self), {
      key,
      classify: (exit) => (Exit.isSuccess(exit) ? this.judge(exit.value, classify) : ignored)
    })
    return Effect.matchEffect(executed, {
      onFailure: ({ reason }) =>
        Effect.fail(
          new CircuitOpen({ key, retryAfter: reason._tag === "CircuitOpen" ? reason.retryAfter : undefined })
        ),
      onSuccess: (exit) => exit
    })
  }

  private judge(exit: Exit.Exit<unknown, unknown>, classify: (error: unknown) => Retryable): Outcome {
    if (Exit.isSuccess(exit)) return success
    const found = Cause.findError(exit.cause)
    // A defect is a bug of this program, an interruption the caller's wish.
    if (Result.isFailure(found) || Cause.hasInterrupts(exit.cause) || Cause.hasDies(exit.cause)) return ignored
    const error = found.success
    if (isPolicyError(error) && !(error instanceof AttemptTimeout)) return ignored
    const failure = classify(error)
    const { failureIf } = this.options
    if (failureIf === undefined ? isFailure(failure) : failureIf(error)) {
      return { _tag: "Failure", retryAfter: failure.retryAfter }
    }
    // Whoever answers, even by a refusal, is alive.
    const hasAnswered = failure.phase === "rejected" || failure.phase === "answered"
    return hasAnswered && !failure.isRetryable ? success : ignored
  }

  openUntilUnsafe = (key: string): number | undefined => {
    const openUntil = this.troubles.get(key)?.openUntil ?? 0
    return openUntil === 0 ? undefined : openUntil
  }

  state = (key: string): Effect.Effect<State> =>
    Effect.match(this.breaker.state(key), { onFailure: () => closed, onSuccess: stateOf })
}

const stateOf = (state: CircuitBreaker.State): State => {
  if (state._tag === "Open") return { _tag: "Open", retryAfter: state.retryAfter }
  return { _tag: state._tag }
}

/** Loads the breaker and makes it. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Circuit, never, Scope.Scope> {
  const {
    CircuitBreakerError,
    CircuitBreakerStore,
    CircuitBreakerStoreError,
    consecutive,
    layerStoreMemory,
    make,
    rate
  } = yield* Effect.promise(() => import("./breaker.ts"))
  const late = () => new CircuitBreakerError({ reason: new CircuitBreakerStoreError({ message: "no answer in time" }) })
  const { failures = 10, maxKeys = 1024, openFor = doubling, maxOpenFor = "5 minutes" } = options
  const troubles = new Troubles(maxKeys)
  const remote =
    options.store === undefined
      ? undefined
      : new RemoteStore(Duration.toMillis(options.storeTimeout ?? "1 second"), late)
  const store =
    options.store === undefined || remote === undefined
      ? Context.get(yield* Layer.build(layerStoreMemory()), CircuitBreakerStore)
      : remote.bound(options.store)
  const { size = 100 } = options.rate ?? {}
  const breaker = make({
    tripPolicy:
      options.rate === undefined
        ? consecutive(failures)
        : rate({ minimumCalls: Math.min(20, size), ...options.rate, size }),
    openDuration: openFor,
    maxOpenDuration: maxOpenFor
  })
  const observed = Effect.provideService(breaker, CircuitBreakerStore, troubles.observe(store))
  return new KeyedCircuit(options, yield* observed, troubles, remote)
})
