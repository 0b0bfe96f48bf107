/** Which call gets which fault: dealt from shuffled decks, by seed, and remembered. */
import * as Effect from "effect/Effect"
import type * as Random from "effect/Random"

/** What goes wrong; `Fault.Kind` says it of each. */
export type Kind =
  | "rateLimited"
  | "unavailable"
  | "reset"
  | "stall"
  | "cut"
  | "latency"
  | "refuse"
  | "serverError"
  | "silence"
  | "garbage"

/** The kinds that are dealt unless a plan names others. */
export const kinds: ReadonlyArray<Kind> = ["rateLimited", "unavailable", "reset", "stall", "cut"]

/** Every kind. */
export const allKinds: ReadonlyArray<Kind> = [...kinds, "latency", "refuse", "serverError", "silence", "garbage"]

export interface Options {
  /** Default: `1`. */
  readonly seed?: number | undefined
  /** The least share of all requests that fail, 0 to 1. Default: `0.3`. */
  readonly rate?: number | undefined
  /** Which faults are dealt; each as often as the others. Default: `kinds`, the five that a default policy outlives. */
  readonly kinds?: ReadonlyArray<Kind> | undefined
  /** The most faults in a row for one call. Default: `2`, the retries of a default policy. */
  readonly maxInARow?: number | undefined
}

/** What a plan has done so far. */
export interface Tally {
  readonly requests: number
  /** Requests that failed on purpose, by kind. */
  readonly injected: Readonly<Record<Kind, number>>
  /** Of those, the ones whose call was answered in full later. */
  readonly survived: Readonly<Record<Kind, number>>
}

/** Deals faults, and remembers them: make one for each run. */
export interface Plan {
  /**
   * What happens to this request of the logical call `key`: one of `playable`, what who asks can play. Default: `kinds`.
   * `undefined`: nothing.
   */
  readonly dealUnsafe: {
    (key: string): Kind | undefined
    <K extends Kind>(key: string, playable: ReadonlyArray<K>): K | undefined
  }
  /** Notes that the call `key` has been answered in full. */
  readonly answeredUnsafe: (key: string) => void
  readonly tally: Effect.Effect<Tally>
  /** The same, at once. */
  readonly tallyUnsafe: () => Tally
}

const none = (): Record<Kind, number> => ({
  rateLimited: 0,
  unavailable: 0,
  reset: 0,
  stall: 0,
  cut: 0,
  latency: 0,
  refuse: 0,
  serverError: 0,
  silence: 0,
  garbage: 0
})

// Calls that failed and were never answered; the oldest is forgotten, and counts as not survived, as it would have.
const maxPending = 100_000

export class SeededPlan implements Plan {
  private readonly options: Options
  private readonly random: Random.Random
  private readonly pending = new Map<string, ReadonlyArray<Kind>>()
  private readonly injected = none()
  private readonly survived = none()
  private requests = 0
  private total = 0
  /** One deck for each list of kinds that somebody can play: none fills up with cards that are never drawn. */
  private readonly decks = new Map<string, Array<Kind>>()

  constructor(options: Options, random: Random.Random) {
    this.options = options
    this.random = random
  }

  dealUnsafe(key: string): Kind | undefined
  dealUnsafe<K extends Kind>(key: string, playable: ReadonlyArray<K>): K | undefined
  dealUnsafe(key: string, playable: ReadonlyArray<Kind> = kinds): Kind | undefined {
    const { maxInARow = 2, rate = 0.3 } = this.options
    const before = this.pending.get(key) ?? []
    this.requests++
    const isDue = this.total < rate * this.requests
    // Drawn for each request, due or not, so that the seed alone decides the sequence.
    const isUnlucky = this.random.nextDoubleUnsafe() < rate / 2
    if (rate <= 0 || before.length >= maxInARow || !(isDue || isUnlucky)) return undefined
    const cards = (this.options.kinds ?? kinds).filter((kind) => playable.includes(kind))
    const kind = this.draw(cards, before)
    if (kind === undefined) return undefined
    this.remember(key, [...before, kind])
    this.injected[kind]++
    this.total++
    return kind
  }

  answeredUnsafe(key: string): void {
    for (const kind of this.pending.get(key) ?? []) this.survived[kind]++
    this.pending.delete(key)
  }

  readonly tallyUnsafe = (): Tally => ({
    requests: this.requests,
    injected: { ...this.injected },
    survived: { ...this.survived }
  })

  readonly tally: Effect.Effect<Tally> = Effect.sync(this.tallyUnsafe)

  private remember(key: string, dealt: ReadonlyArray<Kind>): void {
    this.pending.set(key, dealt)
    if (this.pending.size <= maxPending) return
    for (const oldest of this.pending.keys()) {
      this.pending.delete(oldest)
      return
    }
  }

  /** Takes the first card of a kind that the call has not had; the deck is made anew when it has none. */
  private draw(cards: ReadonlyArray<Kind>, before: ReadonlyArray<Kind>): Kind | undefined {
    if (cards.every((kind) => before.includes(kind))) return undefined
    const name = cards.join()
    const deck = this.decks.get(name) ?? []
    this.decks.set(name, deck)
    const isNew = (kind: Kind): boolean => !before.includes(kind)
    if (!deck.some(isNew)) deck.push(...this.shuffled(cards))
    return deck.splice(deck.findIndex(isNew), 1)[0]
  }

  private shuffled(cards: ReadonlyArray<Kind>): Array<Kind> {
    return cards
      .map((card) => ({ card, order: this.random.nextDoubleUnsafe() }))
      .sort((a, b) => a.order - b.order)
      .map(({ card }) => card)
  }
}
