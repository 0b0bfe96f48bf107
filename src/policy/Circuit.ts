/**
 * Stop calling what keeps failing, by key: closed until `failures` sends in a row have failed, then open for `openFor`,
 * then one trial decides.
 *
 * The states and their rules are those of Effect's `CircuitBreaker`. It costs 10.7 µs a send, where the whole policy
 * may cost 1.5, and 130 ms to import (measured 2026-11-21). So sends of a key without a failure on record run beside it,
 * for 0.5 µs, and the module is loaded by `make`.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Internal from "./internal/circuit.ts"
import type { CircuitOpen } from "./PolicyError.ts"
import type { Retryable } from "./Retryable.ts"

/** The share of failures that opens a circuit. */
export interface Rate {
  /** Failures among the sends that are remembered, from 0 to 1. Default: `0.5`. */
  readonly threshold?: number | undefined
  /** Sends that are remembered. Default: `100`. */
  readonly size?: number | undefined
  /** Sends before anything is decided. Default: `20`, or `size` where that is less. */
  readonly minimumCalls?: number | undefined
}

export interface Options {
  /**
   * Failures in a row, in order of completion, that open the circuit. Default: `10`. A dead server is found after ten
   * sends, while one that fails 30 % at random comes to ten in a row once in 240 000 sends.
   */
  readonly failures?: number | undefined
  /**
   * Opens by the share of failures instead. Default: none. Each send then passes through Effect's breaker: about 20 µs,
   * half of it the Schedule of `openFor`.
   */
  readonly rate?: Rate | undefined
  /**
   * How long it stays open before a trial; of a Schedule the n-th opening takes the n-th delay. Default: 5 seconds, twice
   * as long at each further opening, up to 1 minute: a restart is over soon, an outage is asked once a minute.
   */
  readonly openFor?: Duration.Input | Schedule.Schedule<unknown, number> | undefined
  /** The longest opening that a server's `retryAfter` may ask for. Default: `"5 minutes"`. */
  readonly maxOpenFor?: Duration.Input | undefined
  /**
   * Which errors count against the key. Default: those that are `isRetryable`, but no throttle with a `retryAfter`: a
   * server that says when to come back is not broken, and the wait keeps callers away already.
   */
  readonly failureIf?: ((error: unknown) => boolean) | undefined
  /** Reads an error of a foreign kind. Default: the error's own members. */
  readonly classify?: ((error: unknown) => Retryable) | undefined
  /** Keys with a failure on record that are remembered; one more forgets the oldest. Default: `1024`. */
  readonly maxKeys?: number | undefined
  /**
   * Where the states are kept: `yield* CircuitBreakerStore` under `layerStoreRedis()`, for processes that share circuits.
   * Default: in memory. Each send then asks the store. When the store fails, sends run uncounted for ten seconds.
   */
  readonly store?: CircuitBreaker.CircuitBreakerStore["Service"] | undefined
  /** The longest time for an answer of `store`. Default: `"1 second"`, a thousand times what Redis needs. */
  readonly storeTimeout?: Duration.Input | undefined
}

/** The state of one key. */
export type State =
  | { readonly _tag: "Closed" }
  /** Nothing is sent for `retryAfter` more. Past it the next send is the trial. */
  | { readonly _tag: "Open"; readonly retryAfter: Duration.Duration }
  /** One trial is under way, or the next send will be it. */
  | { readonly _tag: "HalfOpen" }

/** A change of the state of one key. */
export interface Transition {
  readonly key: string
  readonly from: State["_tag"]
  readonly to: State["_tag"]
  /** How long it is open. Absent when it does not open. */
  readonly retryAfter?: Duration.Duration | undefined
}

export interface Circuit {
  /**
   * Runs an effect unless the circuit of `key` is open. A failure counts against it, an answer for it, a refusal
   * such as a 4xx too; an interruption, a defect and a refusal of a policy say nothing.
   */
  readonly protect: (
    key: string,
    classify?: (error: unknown) => Retryable
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  /** When the circuit of `key` lets a trial through, milliseconds since the epoch. `undefined` while it is closed. */
  readonly openUntilUnsafe: (key: string) => number | undefined
  /** Reads the state of a key; a store that cannot be read reads as closed, as its sends run. */
  readonly state: (key: string) => Effect.Effect<State>
  /** The changes made by this circuit from now on, until its scope closes. */
  readonly transitions: Stream.Stream<Transition>
}

/** Makes circuits with a state of their own: one for each group of callers that call the same endpoints. */
export const make = (options: Options = {}): Effect.Effect<Circuit, never, Scope.Scope> => Internal.make(options)
