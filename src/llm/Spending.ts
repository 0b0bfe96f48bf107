/** What calls to models use, whether they end well, break or are given up: the listener around them is told of each. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Usage from "./Usage.ts"

/** What one call used. */
export interface Spent {
  /** Which implementation was asked, e.g. `"openai"`. */
  readonly provider: string
  readonly model: string
  /** `isEstimate` where the provider did not come to tell. */
  readonly usage: Usage.Usage
  /** In US dollars, by `Price.Table`. Absent where the table does not have the model. */
  readonly cost?: number | undefined
  /** `"ok"`, `"interrupted"`, or the tag of the reason that the call failed with. */
  readonly outcome: string
}

/** Whoever listens. `add` is called in the middle of a call: it must not throw. */
export interface Listener {
  readonly add: (spent: Spent) => void
}

/** The listener of the calls inside. Default: nobody listens. */
export const Current: Context.Reference<Listener | undefined> = Context.Reference<Listener | undefined>(
  "holdfast/llm/Spending/Current",
  { defaultValue: () => undefined }
)

/** What was spent in all. */
export interface Total {
  readonly usage: Usage.Usage
  /** In US dollars, of the calls whose model has a price. */
  readonly cost: number
  readonly calls: ReadonlyArray<Spent>
}

/** A listener that adds up. */
export class Tally implements Listener {
  readonly calls: Array<Spent> = []
  readonly add = (spent: Spent): void => void this.calls.push(spent)
  get total(): Total {
    const usage = this.calls.reduce((sum, spent) => Usage.add(sum, spent.usage), Usage.empty)
    const cost = this.calls.reduce((sum, spent) => sum + (spent.cost ?? 0), 0)
    return { usage, cost, calls: this.calls }
  }
}

/** Runs an effect with a tally around it: its result with what was spent. For one that fails, provide a `Tally` as `Current`. */
export const track = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, Total], E, R> =>
  Effect.suspend(() => {
    const tally = new Tally()
    return Effect.map(Effect.provideService(self, Current, tally), (result) => [result, tally.total] as const)
  })
