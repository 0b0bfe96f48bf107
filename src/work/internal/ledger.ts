/** What Effect's persisted queue does not tell: how much there is, what is due, and what was given up. */
import type * as Effect from "effect/Effect"
import type { StoreFailed } from "../WorkQueueError.ts"

/** A dead job in the lane of its class. */
export interface Grave {
  readonly lane: string
  readonly id: string
  readonly element: unknown
  readonly attempts: number
  readonly failure: string
}

export interface Lane {
  readonly ready: number
  readonly delayed: number
  readonly held: number
  readonly dead: number
}

/** A lane is a queue of Effect's; each class of a queue of ours has one. */
export interface Ledger {
  /** For each lane, how many jobs may be taken now, `max` at most, and how many somebody has. */
  readonly due: (
    lanes: ReadonlyArray<string>,
    max: number
  ) => Effect.Effect<ReadonlyArray<Pick<Lane, "ready" | "held">>, StoreFailed>
  readonly counts: (lanes: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Lane>, StoreFailed>
  readonly outcome: (lanes: ReadonlyArray<string>, id: string) => Effect.Effect<"done" | Grave | undefined, StoreFailed>
  readonly dead: (lanes: ReadonlyArray<string>, limit: number) => Effect.Effect<ReadonlyArray<Grave>, StoreFailed>
  readonly revive: (lanes: ReadonlyArray<string>, id: string) => Effect.Effect<boolean, StoreFailed>
  readonly bury: (lanes: ReadonlyArray<string>, id: string) => Effect.Effect<boolean, StoreFailed>
}
