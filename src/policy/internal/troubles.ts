/** What is known of the keys that have failed, learned from the store of a circuit breaker. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"

/** One key that has failed. The store has the rest. */
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

type Store = CircuitBreaker.CircuitBreakerStore["Service"]

export class Troubles {
  private readonly byKey = new Map<string, Trouble>()
  private readonly maxKeys: number

  constructor(maxKeys: number) {
    this.maxKeys = maxKeys
  }

  get(key: string): Readonly<Trouble> | undefined {
    return this.byKey.get(key)
  }

  /** A store that tells what it does to each key. */
  observe(store: Store): Store {
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
    const known = this.byKey.get(key)
    if (known !== undefined) return known
    const trouble: Trouble = { isQuiet: false, openUntil: 0, openings: 0, generation: -1 }
    if (this.byKey.size >= this.maxKeys) this.forget()
    this.byKey.set(key, trouble)
    return trouble
  }

  /** Makes room: a quiet key first. One that is open lets a send through, whose failure brings it back. */
  private forget(): void {
    const [oldest] = this.byKey.keys()
    for (const [key, { isQuiet }] of this.byKey) {
      if (isQuiet) return void this.byKey.delete(key)
    }
    if (oldest !== undefined) this.byKey.delete(oldest)
  }
}
