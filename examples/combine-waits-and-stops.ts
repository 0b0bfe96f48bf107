/** Retry by rules that are put together: fixed waits and then growing ones, chance on top, and an end by count or by time. */
import { Duration, Effect, Fiber, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Retry } from "holdfast/policy"

/** The waits of a call that fails for ever, in seconds. */
const waitsOf = (schedule: Schedule.Schedule<unknown, unknown>) =>
  Effect.gen(function* () {
    const waits: Array<number> = []
    const call = Effect.fail("busy").pipe(
      Retry.retry({
        retries: Infinity,
        schedule,
        retryIf: () => true,
        onRetry: ({ wait }) => Effect.sync(() => void waits.push(Duration.toSeconds(wait)))
      })
    )
    const calls = yield* Effect.forkChild(Effect.ignore(call))
    // Virtual time: a minute passes at once.
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(calls)
    return waits
  })

const growing = Schedule.exponential("1 second")
// Three times the same, then growing ones.
const chained = Schedule.concat(Schedule.upTo(Schedule.spaced("1 second"), { times: 3 }), growing)
// The longer of two waits, for as long as both go on; with `min` the shorter one, for as long as one goes on.
const atLeast3 = Schedule.max([growing, Schedule.spaced("3 seconds")])
const atMost3 = Schedule.min([growing, Schedule.spaced("3 seconds")])
// Three seconds and up to two more by chance.
const spread = Schedule.spaced("3 seconds").pipe(
  Schedule.addDelay(() => Effect.map(Random.nextBetween(0, 2), Duration.seconds))
)

const program = Effect.gen(function* () {
  console.log("5 retries:          ", ...(yield* waitsOf(Schedule.upTo(chained, { times: 5 }))))
  console.log("3 seconds at least: ", ...(yield* waitsOf(Schedule.upTo(atLeast3, { times: 4 }))))
  console.log("3 seconds at most:  ", ...(yield* waitsOf(Schedule.upTo(atMost3, { times: 4 }))))
  // Whichever comes first: so many retries, or so much time until the last one is decided. A `Deadline` cuts it off.
  console.log("none begun at 10 s: ", ...(yield* waitsOf(Schedule.upTo(growing, { times: 9, duration: "10 seconds" }))))
  const waits = yield* waitsOf(Schedule.upTo(spread, { times: 6 }))
  console.log("from 3 to 5 seconds:", waits.length === 6 && waits.every((wait) => wait >= 3 && wait <= 5))
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, TestClock.layer())))
// Output:
// 5 retries:           1 1 1 1 2
// 3 seconds at least:  3 3 4 8
// 3 seconds at most:   1 2 3 3
// none begun at 10 s:  1 2 4 8
// from 3 to 5 seconds: true
