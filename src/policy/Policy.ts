/**
 * fallback → deadline (total) → admission (drain) → retry loop
 *   [ circuit → hedge → each send: slot and rate, granted together → retry and cost budget → attempt timeout → send ]
 *
 * All policies as one value with production defaults, and the one loop that runs them in this order. The slot goes
 * back when its send ends, so a call that waits to retry holds none. A fallback stands above the policies of its
 * alternatives (`Fallback`, `FallbackLlm`), each of which has slots, rates and a circuit of its own.
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Recorder } from "./Attempt.ts"
import type * as Circuit from "./Circuit.ts"
import type * as Concurrency from "./Concurrency.ts"
import type * as CostBudget from "./CostBudget.ts"
import type * as Hedge from "./Hedge.ts"
import { register } from "./internal/drains.ts"
import { OpenPolicy } from "./internal/held.ts"
import { make } from "./internal/settings.ts"
import type { Draining, PolicyError } from "./PolicyError.ts"
import type * as RateLimit from "./RateLimit.ts"
import type * as Retry from "./Retry.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import type { Retryable } from "./Retryable.ts"
import type * as Timeout from "./Timeout.ts"

export { defaults, make, merge, Override, Sending } from "./internal/settings.ts"

export interface Options extends Concurrency.Options {
  readonly retry?: Retry.Options | undefined
  readonly timeout?: Timeout.Options | undefined
  /** How much all calls may retry together. Default: on, a tenth of the calls; `false` for no bound. */
  readonly retryBudget?: RetryBudget.Options | false | undefined
  /** Requests and tokens per window. Default: none, limits differ by account; a throttled call waits as it is told to. */
  readonly rateLimit?: RateLimit.Options | undefined
  /** Leaves alone what keeps failing. Default: none, since where there is no other endpoint it only fails sooner. */
  readonly circuit?: Circuit.Options | undefined
  /** A second send when the first is slow. Default: none: it costs requests. Streams are not hedged. */
  readonly hedge?: Hedge.Options | undefined
  /**
   * What all calls may spend together: a budget that is made with the state, or one that is shared with other policies.
   * Default: none; budgets of a run or a tenant are `CostBudget.within`.
   */
  readonly costBudget?: CostBudget.Options | CostBudget.CostBudget | undefined
}

/** An immutable policy. It holds no state: `open` makes the slots and counters that calls share. */
export interface Policy {
  readonly options: Options
  readonly retry: Retry.Retry
  readonly timeout: Timeout.Timeout
}

/**
 * Reads a policy from the program's Config, with `prefix` before each name: `RETRIES`, `RETRY_BASE`, `RETRY_MAX_DELAY`,
 * `MAX_RETRY_AFTER`, `CONNECT_TIMEOUT`, `ATTEMPT_TIMEOUT`, `FIRST_CONTENT_TIMEOUT`, `IDLE_CONTENT_TIMEOUT`,
 * `TOTAL_TIMEOUT`, `MAX_CONCURRENCY`, `MAX_QUEUE`, `MAX_WAIT`, `REQUESTS_PER_MINUTE`, `TOKENS_PER_MINUTE`. What is not
 * set stays as `options` has it; what cannot be read fails with an error that names it. Default prefix: `"HOLDFAST"`.
 */
export const fromConfig = (prefix = "HOLDFAST", options: Options = {}): Effect.Effect<Policy, Config.ConfigError> =>
  // Config brings Schema, which is slow to load: only who reads one pays for it.
  Effect.flatMap(
    Effect.promise(() => import("./internal/options.ts")),
    ({ read }) => Effect.map(read(prefix, options), make)
  )

/** What one call, or all calls inside, may set for themselves. */
export interface CallSettings extends Pick<Options, "retry" | "timeout"> {
  /** The class of the calls in the line for slots. Default: `"normal"`. */
  readonly priority?: Concurrency.Priority | undefined
  /** Who the calls are for; tenants of one class take turns. Default: one tenant for all. */
  readonly tenant?: string | undefined
}

/** What one call says of itself. */
export interface Call {
  /** Which slots it takes: for HTTP the origin. */
  readonly key: string
  /** What a second send can do. */
  readonly safety: Retry.Safety
  /** Reads errors that do not speak for themselves. Default: the policy's own, then the error's members. */
  readonly classify?: ((error: unknown) => Retryable) | undefined
  /** Told of a failure that does not become the call's result, to release what it holds. */
  readonly onDiscard?: ((error: unknown) => void) | undefined
  /** Writes the story of this call. Default: the recorder in `Attempt.Story`, if any. */
  readonly recorder?: Recorder | undefined
  /** What a send may use; asked for only where a rate limit or a cost budget counts it. Default: nothing known. */
  readonly estimate?: (() => CostBudget.Estimate) | undefined
  /**
   * What the send has used that succeeded this moment. A failure says it by its member `usage`. Default: unknown, the
   * estimate stands.
   */
  readonly usage?: (() => CostBudget.Usage | undefined) | undefined
}

/** A send that has succeeded and still holds its slot: a stream that is being read. */
export interface Lease<A, E = never> {
  readonly value: A
  /** The call's deadline, milliseconds since the epoch; `Infinity` when there is none. */
  readonly deadlineAt: number
  /** What the call had in all, in milliseconds. */
  readonly totalMillis: number
  /** The times in force for this call. */
  readonly timeout: Timeout.Timeout
  /** Gives the slot back, settles the usage and ends the attempt's record. More calls do nothing. */
  readonly end: (outcome: string, usage?: CostBudget.Usage | undefined) => void
  /**
   * Ends the attempt with this error and opens again, as the loop would after a failure that reads as `failure`: within
   * the retries that are left, the same deadline and the same budgets. Fails with the error when it may not.
   */
  readonly reopen: (
    error: E,
    failure: Retryable,
    usage?: CostBudget.Usage | undefined
  ) => Effect.Effect<A, E | PolicyError>
  /** Sets what ends the reader when the client is closed under it. */
  readonly onStop: (stop: (error: Draining) => void) => void
}

/** What `drain` saw. */
export interface DrainReport {
  /** Calls that ended by themselves within the grace. */
  readonly finished: number
  /** Calls that were interrupted at its end. */
  readonly interrupted: number
}

/** An open policy: the same slots and counters for everybody who calls through it. */
export interface Held {
  readonly policy: Policy
  readonly concurrency: Concurrency.Concurrency
  /** Its circuits: an open one reads as a cool-down to `Fallback`. `undefined` without the option. */
  readonly circuit: Circuit.Circuit | undefined
  /** Its rates, which learn from what responses say of them. `undefined` without the option. */
  readonly rateLimit: RateLimit.RateLimit | undefined
  /** What its calls have spent. `undefined` without the option. */
  readonly costBudget: CostBudget.CostBudget | undefined
  /** Runs an effect under the policy: the whole call. */
  readonly apply: (call: Call) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | PolicyError, R>
  /**
   * Opens a stream under the policy: retries until `open` succeeds, then keeps the slot until `end`, or until the scope
   * closes. `open` bounds its own time by the times it is given; the total deadline is kept here.
   */
  readonly lease: <A, E, R>(
    call: Call,
    open: (timeout: Timeout.Timeout) => Effect.Effect<A, E, R>
  ) => Effect.Effect<Lease<A, E>, E | PolicyError, R | Scope.Scope>
  /** Takes no new calls, waits for those in flight until the grace ends, interrupts the rest, and reports. */
  readonly drain: (grace: Duration.Input) => Effect.Effect<DrainReport>
}

/** Loaded where it is asked for: few policies have one, and it is a large part of a bundle. */
const makeCircuit = (options: Circuit.Options): Effect.Effect<Circuit.Circuit, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.promise(() => import("./Circuit.ts")),
    ({ make }) => make(options)
  )

/** Makes the slots and counters of a policy. Closing the scope interrupts what still runs through it. */
export const open = (policy: Policy): Effect.Effect<Held, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { options } = policy
    const circuit = options.circuit === undefined ? undefined : yield* makeCircuit(options.circuit)
    const held = yield* Effect.acquireRelease(
      Effect.sync(() => new OpenPolicy(policy, circuit)),
      (held) => held.close
    )
    yield* register(held)
    return held
  })

/** Opens a policy; one that is open already stays as it is, and whoever opened it closes it. */
export const hold = (policy: Policy | Held): Effect.Effect<Held, never, Scope.Scope> =>
  "apply" in policy ? Effect.succeed(policy) : open(policy)
