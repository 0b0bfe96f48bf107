/** Let a call that waits for its retry hold no slot: others go first meanwhile, though one call at a time is allowed. */
import { Data, Effect } from "effect"
import { Policy } from "holdfast/policy"

class Busy extends Data.TaggedError("Busy")<{}> {
  readonly isRetryable = true
  readonly phase = "rejected"
}

let inFlight = 0
let most = 0
let isFirst = true

// Stands for any call. The very first one is refused.
const call = (name: string) =>
  Effect.gen(function* () {
    most = Math.max(most, ++inFlight)
    yield* Effect.yieldNow
    inFlight--
    const isRefused = isFirst
    isFirst = false
    console.log(`${name} is ${isRefused ? "refused" : "answered"}`)
    if (isRefused) return yield* Effect.fail(new Busy())
  })

const program = Effect.gen(function* () {
  const held = yield* Policy.open(
    Policy.make({ maxConcurrency: 1, retry: { retries: 2, base: "200 millis", jitter: "none" } })
  )
  const calls = ["a", "b", "c"].map((name) => call(name).pipe(held.apply({ key: "server", safety: "idempotent" })))
  yield* Effect.all(calls, { concurrency: "unbounded" })
  console.log(`at most ${most} at once`)
})

await Effect.runPromise(Effect.scoped(program))
// Output:
// a is refused
// b is answered
// c is answered
// a is answered
// at most 1 at once
