/** A reservation in both windows, settled at once with other tokens than were reserved. */
import { Clock, Context } from "effect"
import { type Concurrency, RateLimit } from "holdfast/policy"
import { type Contender, ofCalls } from "../Contender.ts"

export const contender: Contender = {
  name: "holdfast",
  reserve: async () => {
    const limit = RateLimit.makeUnsafe({ requestsPerMinute: 1e12, tokensPerMinute: 1e15 })
    const clock = Context.get(Context.empty(), Clock.Clock)
    return ofCalls(async () => {
      const claim: Concurrency.Claim = { tokens: 700 }
      if (limit.admitUnsafe("bench", claim, clock.currentTimeMillisUnsafe()) > 0) throw new Error("refused")
      RateLimit.reservationOf(claim)?.settle(450, clock.currentTimeMillisUnsafe())
    })
  }
}
