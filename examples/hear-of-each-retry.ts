/** Log each retry before its wait, and look back at the attempts when the call is over. */
import { Data, Duration, Effect, Logger } from "effect"
import { Attempt, Policy } from "holdfast/policy"

class Busy extends Data.TaggedError("Busy")<{}> {
  // What the policy reads: the same call may succeed later, and it was refused.
  readonly isRetryable = true
  readonly phase = "rejected"
}

let calls = 0
const service = Effect.suspend(() => (++calls % 4 === 0 ? Effect.succeed("done") : Effect.fail(new Busy())))

const policy = Policy.make({
  retry: {
    retries: 2,
    base: "10 millis",
    jitter: "none",
    // Before each wait.
    onRetry: ({ error, retry, wait }) =>
      Effect.logWarning(`retry ${retry} in ${Duration.toMillis(wait)} ms`).pipe(
        Effect.annotateLogs({ reason: error instanceof Busy ? error._tag : "unknown" })
      )
  }
})

const program = Effect.gen(function* () {
  const held = yield* Policy.open(policy)
  const call = Effect.gen(function* () {
    const story = new Attempt.Recorder()
    yield* service.pipe(
      held.apply({ key: "service", safety: "idempotent" }),
      // After the call, however it ended.
      Effect.tap((value) => Effect.logInfo(value)),
      Effect.tapError((error) => Effect.logError(`given up: ${error._tag}`)),
      Effect.ignore,
      Effect.provideService(Attempt.Story, story)
    )
    yield* Effect.logInfo(
      `${story.attempts.map(({ outcome }) => outcome).join(", ")} (${story.stop ?? "it succeeded"})`
    )
  })
  yield* call
  yield* call
})

// Any logger of Effect: `Logger.consolePretty()`, `Logger.consoleJson`, or one's own.
const lines = Logger.make(({ logLevel, message }) => console.log(logLevel.padEnd(5), String(message)))
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Logger.layer([lines]))))
// Output:
// Warn  retry 1 in 10 ms
// Warn  retry 2 in 20 ms
// Error given up: Busy
// Info  Busy, Busy, Busy (exhausted)
// Info  done
// Info  ok (it succeeded)
