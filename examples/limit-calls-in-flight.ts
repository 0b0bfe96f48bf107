/** Let everybody call, but never more than three at the same time; the others wait in order. */
import { Effect } from "effect"
import { Policy } from "holdfast/policy"

let inFlight = 0
let most = 0

// Stands for any call; what it measures is how many of them run together.
const call = Effect.gen(function* () {
  most = Math.max(most, ++inFlight)
  yield* Effect.sleep("20 millis")
  inFlight--
})

const program = Effect.gen(function* () {
  // Opened once: everybody who calls through `held` shares its slots. Each key has slots of its own.
  const held = yield* Policy.open(Policy.make({ maxConcurrency: 3 }))
  const limited = call.pipe(held.apply({ key: "api.example.com", safety: "idempotent" }))
  yield* Effect.all(
    Array.from({ length: 12 }, () => limited),
    { concurrency: "unbounded" }
  )
  console.log(`at most ${most} at once`)

  // Resizable while calls run.
  most = 0
  yield* held.concurrency.resize(5)
  yield* Effect.all(
    Array.from({ length: 12 }, () => limited),
    { concurrency: "unbounded" }
  )
  console.log(`at most ${most} at once`)
})

await Effect.runPromise(Effect.scoped(program))
// Output:
// at most 3 at once
// at most 5 at once
