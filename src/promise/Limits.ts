/** What bounds all calls of a client together, in plain values. Defaults and meanings are those of the policies. */
import type { Duration } from "effect/Duration"
import { identity } from "effect/Function"
import type * as Circuit from "../policy/Circuit.ts"
import type * as Concurrency from "../policy/Concurrency.ts"
import * as CostBudget from "../policy/CostBudget.ts"
import type * as Hedge from "../policy/Hedge.ts"
import type * as RateLimit from "../policy/RateLimit.ts"
import type * as RetryBudget from "../policy/RetryBudget.ts"
import { atLeast, durations, onlyKnown, type Time, toDuration } from "./Time.ts"

/** Options with these durations said as plain times. */
type Plain<Options, Times extends keyof Options> = Omit<Options, Times> & {
  readonly [Name in Times]?: Time | undefined
}

/** Requests and tokens per window. Defaults and meanings are those of `RateLimit.Options`. */
export type RateLimitOptions = Plain<Omit<RateLimit.Options, "maxQueue" | "maxWait">, "window" | "maxPause">

/** When to leave alone what keeps failing. Defaults and meanings are those of `Circuit.Options`. */
export type CircuitOptions = Plain<
  Omit<Circuit.Options, "store" | "storeTimeout" | "classify">,
  "openFor" | "maxOpenFor"
>

/** When to send a second time what is slow. Defaults and meanings are those of `Hedge.Options`. */
export type HedgeOptions = Plain<Hedge.Options, "delay" | "minDelay">

export interface LimitOptions {
  /** Requests and tokens a minute. Default: none; a throttled call waits as it is told to. */
  readonly rateLimit?: RateLimitOptions | undefined
  /** How much all calls may retry together. Default: a tenth of the calls; `false` for no bound. */
  readonly retryBudget?: RetryBudget.Options | false | undefined
  /** Default: none. */
  readonly circuit?: CircuitOptions | undefined
  /** Default: none. Streams are not hedged. */
  readonly hedge?: HedgeOptions | undefined
  /** What all calls may spend together, in tokens or by a price. Default: none. */
  readonly costBudget?: CostBudget.Options | undefined
  /** Finds the number of slots by throttles, timeouts and latency. Default: `false`. */
  readonly adaptive?: boolean | Concurrency.Adaptive | undefined
  /** A waiting call moves up one class after this time. Default: `"30 seconds"`. */
  readonly ageing?: Time | undefined
}

/** The same, as `Policy.Options` has them. */
export interface Limits {
  readonly adaptive: boolean | Concurrency.Adaptive | undefined
  readonly ageing: Duration | undefined
  readonly circuit: Circuit.Options | undefined
  /** One for the model and plain requests together. */
  readonly costBudget: CostBudget.CostBudget | undefined
  readonly hedge: Hedge.Options | undefined
  readonly rateLimit: RateLimit.Options | undefined
  readonly retryBudget: RetryBudget.Options | false | undefined
}

interface Shape {
  readonly times: ReadonlyArray<string>
  /** Numbers of at least 0; those that must be more are in `positive`. */
  readonly numbers: ReadonlyArray<string>
  readonly positive: ReadonlyArray<string>
  readonly others: ReadonlyArray<string>
}

const shapes: Readonly<Record<Exclude<keyof LimitOptions, "ageing">, Shape>> = {
  rateLimit: {
    times: ["window", "maxPause"],
    numbers: ["tokensPerCall"],
    positive: ["requestsPerMinute", "tokensPerMinute", "requestsPerDay", "tokensPerDay"],
    others: ["oversize", "learn", "pause"]
  },
  retryBudget: { times: [], numbers: ["ratio", "floor", "max"], positive: [], others: [] },
  circuit: {
    times: ["openFor", "maxOpenFor"],
    numbers: [],
    positive: ["failures", "maxKeys"],
    others: ["rate", "failureIf"]
  },
  hedge: {
    times: ["delay", "minDelay"],
    numbers: ["percentile", "maxExtra", "burst"],
    positive: ["minSamples", "maxKeys"],
    others: ["costly"]
  },
  costBudget: {
    times: [],
    numbers: ["limit", "spent", "defaultMaxTokens"],
    positive: [],
    others: ["name", "unit", "price"]
  },
  adaptive: { times: [], numbers: [], positive: ["min", "max", "initial", "backoffRatio"], others: [] }
}

/** What the types promise, checked for programs without types. */
const check = (options: object, where: keyof typeof shapes): void => {
  if (typeof options !== "object" || options === null)
    throw new TypeError(`${where}: ${JSON.stringify(options)} is not an object of options`)
  const { numbers, others, positive, times } = shapes[where]
  onlyKnown(options, [...numbers, ...positive, ...times, ...others], where)
  const given: Readonly<Record<string, unknown>> = { ...options }
  for (const name of [...numbers, ...positive]) atLeast(given[name], 0, `${where}.${name}`)
  for (const name of positive) {
    if (given[name] === 0) throw new TypeError(`${where}.${name}: 0 lets nothing pass; give more, or leave it out`)
  }
}

/** Checks the options that are given, and reads them. */
const when = <O extends object, A>(
  options: O | undefined,
  where: keyof typeof shapes,
  to: (options: O) => A
): A | undefined => {
  if (options === undefined) return undefined
  check(options, where)
  return to(options)
}

const toRateLimit = ({ maxPause, window, ...rest }: RateLimitOptions): RateLimit.Options => ({
  ...rest,
  ...durations({ maxPause, window }, shapes.rateLimit.times, "rateLimit")
})

const toCircuit = ({ maxOpenFor, openFor, ...rest }: CircuitOptions): Circuit.Options => ({
  ...rest,
  ...durations({ maxOpenFor, openFor }, shapes.circuit.times, "circuit")
})

const toHedge = ({ delay, minDelay, ...rest }: HedgeOptions): Hedge.Options => ({
  ...rest,
  ...durations({ delay, minDelay }, shapes.hedge.times, "hedge")
})

/** Reads the options. Throws a `TypeError` that names the one that is wrong. */
export const toLimits = (options: LimitOptions): Limits => {
  const { adaptive, ageing, circuit, costBudget, hedge, rateLimit, retryBudget } = options
  return {
    rateLimit: when(rateLimit, "rateLimit", toRateLimit),
    circuit: when(circuit, "circuit", toCircuit),
    hedge: when(hedge, "hedge", toHedge),
    costBudget: when(costBudget, "costBudget", CostBudget.makeUnsafe),
    retryBudget: retryBudget === false ? false : when(retryBudget, "retryBudget", identity),
    adaptive: typeof adaptive === "boolean" ? adaptive : when(adaptive, "adaptive", identity),
    ageing: ageing === undefined ? undefined : toDuration(ageing, "ageing")
  }
}
