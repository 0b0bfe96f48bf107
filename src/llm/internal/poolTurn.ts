/**
 * Whose turn it is in a pool.
 *
 * Shares are kept by smooth weighted round robin, as nginx has it (ngx_http_upstream_round_robin.c, 2026-11): at each turn
 * every one gains its weight, and the one that has most is chosen and pays the weights of all. So 5 : 1 : 1 runs
 * a a b a c a a, without five in a row to the heaviest.
 */
import * as Effect from "effect/Effect"

/** What a pool remembers of a member. */
export class Turn {
  readonly weight: number
  /** Calls that it has been given and that are not over. */
  inFlight = 0
  /** What its turns have not paid for yet. */
  credit = 0
  constructor(weight: number) {
    this.weight = weight
  }

  /** Takes a call, and succeeds with what gives it back; more than once does nothing. */
  readonly take: Effect.Effect<Effect.Effect<void>> = Effect.sync(() => {
    let isTaken = true
    this.inFlight++
    return Effect.sync(() => {
      if (isTaken) this.inFlight--
      isTaken = false
    })
  })
}

/** One that takes turns. */
interface Taking {
  readonly turn: Turn
}

type Ready<T> = readonly [T, ...ReadonlyArray<T>]

/** The next by weight alone. */
export const roundRobin = <T extends Taking>(ready: Ready<T>): T => {
  let [chosen] = ready
  let weights = 0
  for (const one of ready) {
    one.turn.credit += one.turn.weight
    weights += one.turn.weight
    if (one.turn.credit > chosen.turn.credit) chosen = one
  }
  chosen.turn.credit -= weights
  return chosen
}

/** The one with the fewest calls for its weight; who are equal take turns. */
export const leastInFlight = <T extends Taking>(ready: Ready<T>): T => {
  const [first, ...others] = ready
  let least: [T, ...Array<T>] = [first]
  for (const one of others) {
    // Compared without a division: a third of three calls is as much as one call.
    const isLess = one.turn.inFlight * least[0].turn.weight - least[0].turn.inFlight * one.turn.weight
    if (isLess < 0) least = [one]
    else if (isLess === 0) least.push(one)
  }
  return roundRobin(least)
}
