/** Give up on a slow attempt and try again, until the time of the whole call is over. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, Policy } from "holdfast/policy"

const policy = Policy.make({
  timeout: { attempt: "2 seconds", total: "10 seconds" },
  retry: { retries: 10, base: "1 second", jitter: "none" }
})

const program = Effect.gen(function* () {
  const held = yield* Policy.open(policy)

  /** A service that is slow the first `slow` times, and how a call of it went. */
  const callOf = (slow: number) =>
    Effect.gen(function* () {
      let sends = 0
      const service = Effect.suspend(() => Effect.delay(Effect.succeed("an answer"), ++sends > slow ? 100 : "1 minute"))
      const story = new Attempt.Recorder()
      const outcome = yield* service.pipe(
        held.apply({ key: "service", safety: "idempotent" }),
        Effect.provideService(Attempt.Story, story),
        Effect.catch(({ _tag }) => Effect.succeed(_tag))
      )
      const steps = story.attempts.map(({ outcome, waitMillis }) => `${outcome} after a wait of ${waitMillis / 1000} s`)
      console.log(`${outcome}: ${steps.join(", ")}`)
    })

  yield* callOf(2)
  yield* callOf(9)
})

// Virtual time: the seconds pass at once.
const main = Effect.gen(function* () {
  const calls = yield* Effect.forkChild(program)
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(calls)
})
await Effect.runPromise(Effect.scoped(Effect.provide(main, TestClock.layer())))
// Output:
// an answer: AttemptTimeout after a wait of 0 s, AttemptTimeout after a wait of 1 s, ok after a wait of 2 s
// DeadlineExceeded: AttemptTimeout after a wait of 0 s, AttemptTimeout after a wait of 1 s, AttemptTimeout after a wait of 2 s
