/** Choose how the waits between retries grow, where they stop growing, and how chance spreads them. */
import { Duration, Effect, Random } from "effect"
import { Retry } from "holdfast/policy"

const down = Effect.fail("503")

/** The waits of a call that fails again and again, in milliseconds. */
const waitsOf = (options: Retry.Options) =>
  Effect.gen(function* () {
    const waits: Array<number> = []
    const call = down.pipe(
      Retry.retry({
        retries: 5,
        base: "2 millis",
        retryIf: () => true,
        onRetry: ({ wait }) => Effect.sync(() => void waits.push(Duration.toMillis(wait))),
        ...options
      })
    )
    yield* Effect.ignore(call)
    return waits
  })

const program = Effect.gen(function* () {
  console.log("doubled:        ", ...(yield* waitsOf({ jitter: "none" })))
  console.log("tripled:        ", ...(yield* waitsOf({ jitter: "none", factor: 3, maxDelay: "20 millis" })))
  console.log("always the same:", ...(yield* waitsOf({ jitter: "none", factor: 1 })))

  // By chance, so that those who failed together do not come back together. "full" is the default.
  const whole = [2, 4, 8, 16, 32]
  const equal = yield* waitsOf({ jitter: "equal" })
  console.log(
    "from half to whole:   ",
    equal.every((wait, n) => wait >= whole[n]! / 2 && wait <= whole[n]!)
  )
  const full = yield* waitsOf({ jitter: "full" })
  console.log(
    "from nothing to whole:",
    full.every((wait, n) => wait <= whole[n]!)
  )
})

// Chance is Effect's: with a seed it is the same in each run.
await Effect.runPromise(program.pipe(Random.withSeed("waits")))
// Output:
// doubled:         2 4 8 16 32
// tripled:         2 6 18 20 20
// always the same: 2 2 2 2 2
// from half to whole:    true
// from nothing to whole: true
