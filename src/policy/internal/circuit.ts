/** Circuits by key: a quick path for keys without a failure on record, Effect's breaker for the others. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Circuit, Options, State, Transition } from "../Circuit.ts"
import { AttemptTimeout, CircuitOpen, isPolicyError } from "../PolicyError.ts"
import { classify as classifyError, type Retryable } from "../Retryable.ts"

/** What is known here of a key that has failed. The store of the breaker has the rest. */
interface Trouble {
  /** No failure is on record: sends need not be counted. */
  isQuiet: boolean
  /** Zero while closed. */
  openUntil: number
  /** How many times it opened: what was sent before an opening says nothing after it. */
  openings: number
  /** The generation of the last send that the store admitted. */
  generation: number
}

type Outcome = CircuitBreaker.Outcome
type Store = CircuitBreaker.CircuitBreakerStore["Service"]

const success: Outcome = { _tag: "Success" }
const ignored: Outcome = { _tag: "Ignored" }
const closed: State = { _tag: "Closed" }

const doubling = Schedule.min([Schedule.exponential("5 seconds"), Schedule.spaced("1 minute")])

/** What may pass by itself, unless it is a throttle that says when to come back: whoever says that is not broken. */
const isFailure = ({ isRetryable, isThrottle, retryAfter }: Retryable): boolean =>
  isRetryable && !(isThrottle === true && retryAfter !== undefined)

export class KeyedCircuit implements Circuit {
  readonly transitions: Stream.Stream<Transition>
  private readonly options: Options
  private readonly breaker: Effect.Effect<CircuitBreaker.CircuitBreaker>
  private readonly troubles = new Map<string, Trouble>()
  private readonly maxKeys: number
  /** Whether every send has to be counted: by a share, or because others count with us. */
  private readonly countsAll: boolean

  /** The breaker itself is made at the first failure. */
  static make(options: Options, scope: Scope.Scope): Effect.Effect<Circuit> {
    return Effect.suspend(() => {
      let circuit: KeyedCircuit | undefined
      const observe = (store: Store): Store => circuit?.observe(store) ?? store
      const built = Scope.provide(Effect.uninterruptible(build(options, observe)), scope)
      return Effect.map(Effect.cached(built), (breaker) => (circuit = new KeyedCircuit(options, breaker)))
    })
  }

  private constructor(options: Options, breaker: Effect.Effect<CircuitBreaker.CircuitBreaker>) {
    this.options = options
    this.breaker = breaker
    this.maxKeys = options.maxKeys ?? 1024
    this.countsAll = options.rate !== undefined || options.store !== undefined
    this.transitions = Stream.unwrap(Effect.map(breaker, ({ transitions }) => transitions))
  }

  protect: Circuit["protect"] =
    (key, classify = this.options.classify ?? classifyError) =>
    <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | CircuitOpen, R> =>
      Effect.withFiber((fiber) => {
        const trouble = this.troubles.get(key)
        if (!this.countsAll && (trouble === undefined || trouble.isQuiet)) {
          return this.quietly(key, trouble?.openings ?? 0, classify, self)
        }
        const left = (trouble?.openUntil ?? 0) - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
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
      return Effect.ignore(
        Effect.flatMap(this.breaker, ({ execute }) => execute(Effect.void, { key, classify: () => outcome }))
      )
    })
  }

  /** Runs an effect through the breaker. */
  private counted<A, E, R>(
    key: string,
    classify: (error: unknown) => Retryable,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | CircuitOpen, R> {
    const settled = Effect.exit(self)
    const executed = Effect.flatMap(this.breaker, ({ execute }) =>
      execute(settled, { key, classify: (exit) => (Exit.isSuccess(exit) ? this.judge(exit.value, classify) : ignored) })
    )
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
    Effect.suspend(() => {
      if (!this.countsAll && !this.troubles.has(key)) return Effect.succeed(closed)
      const read = Effect.flatMap(this.breaker, (breaker) => breaker.state(key))
      return Effect.match(read, { onFailure: () => closed, onSuccess: stateOf })
    })

  /** A store that tells what it learns of each key. */
  private observe(store: Store): Store {
    return {
      state: store.state,
      admit: (key) =>
        Effect.flatMap(Clock.Clock, (clock) =>
          Effect.onExitPrimitive(store.admit(key), (exit) => {
            if (Exit.isSuccess(exit)) this.trouble(key).generation = exit.value.generation
            else this.refused(key, exit.cause, clock.currentTimeMillisUnsafe())
            return undefined
          })
        ),
      record: (options) =>
        Effect.flatMap(Clock.Clock, (clock) =>
          Effect.tap(store.record(options), (transition) =>
            Effect.sync(() => this.learn(options, transition, clock.currentTimeMillisUnsafe()))
          )
        )
    }
  }

  private learn(
    { generation, key, outcome }: Parameters<Store["record"]>[0],
    transition: CircuitBreaker.Transition | undefined,
    now: number
  ): void {
    const trouble = this.trouble(key)
    if (transition?.to === "Open") return this.open(key, now + Duration.toMillis(transition.retryAfter))
    if (transition?.to === "Closed") trouble.openUntil = 0
    if (trouble.openUntil > 0) return
    if (outcome === "Failure") trouble.isQuiet = false
    if (outcome === "Success" && generation === trouble.generation) trouble.isQuiet = true
  }

  private refused(key: string, cause: Cause.Cause<CircuitBreaker.CircuitBreakerError>, now: number): void {
    const error = Cause.findErrorOption(cause)
    if (Option.isNone(error) || error.value.reason._tag !== "CircuitOpen") return
    this.open(key, now + Duration.toMillis(error.value.reason.retryAfter))
  }

  private open(key: string, openUntil: number): void {
    const trouble = this.trouble(key)
    trouble.isQuiet = false
    // The same opening, seen again by a send that it refused.
    if (trouble.openUntil >= openUntil) return
    trouble.openUntil = openUntil
    trouble.openings++
  }

  private trouble(key: string): Trouble {
    const known = this.troubles.get(key)
    if (known !== undefined) return known
    const trouble: Trouble = { isQuiet: false, openUntil: 0, openings: 0, generation: -1 }
    if (this.troubles.size >= this.maxKeys) this.forget()
    this.troubles.set(key, trouble)
    return trouble
  }

  /** Makes room: a quiet key first. One that is open lets a send through, whose failure brings it back. */
  private forget(): void {
    const [oldest] = this.troubles.keys()
    for (const [key, { isQuiet }] of this.troubles) {
      if (isQuiet) return void this.troubles.delete(key)
    }
    if (oldest !== undefined) this.troubles.delete(oldest)
  }
}

const stateOf = (state: CircuitBreaker.State): State => {
  if (state._tag === "Open") return { _tag: "Open", retryAfter: state.retryAfter }
  return { _tag: state._tag }
}

const build = Effect.fnUntraced(function* (options: Options, observe: (store: Store) => Store) {
  const { CircuitBreakerStore, consecutive, layerStoreMemory, make, rate } = yield* Effect.promise(
    () => import("effect/persistence/CircuitBreaker")
  )
  const store = options.store ?? Context.get(yield* Layer.build(layerStoreMemory()), CircuitBreakerStore)
  const { size = 100 } = options.rate ?? {}
  const breaker = make({
    tripPolicy:
      options.rate === undefined
        ? consecutive(options.failures ?? 10)
        : rate({ minimumCalls: Math.min(20, size), ...options.rate, size }),
    openDuration: options.openFor ?? doubling,
    maxOpenDuration: options.maxOpenFor ?? "5 minutes"
  })
  return yield* Effect.provideService(breaker, CircuitBreakerStore, observe(store))
})
