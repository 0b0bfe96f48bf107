/** Retry any effect with exponential backoff and jitter, by your own rule of which errors may pass. */
import { Data, Duration, Effect } from "effect"
import { Retry } from "holdfast/policy"

class Busy extends Data.TaggedError("Busy")<{ readonly call: number }> {}

let calls = 0
const flaky = Effect.suspend(() => (++calls < 3 ? Effect.fail(new Busy({ call: calls })) : Effect.succeed("done")))

const program = flaky.pipe(
  Retry.retry({
    retries: 4,
    base: "10 millis",
    factor: 2,
    jitter: "none",
    retryIf: (error) => error instanceof Busy,
    onRetry: ({ retry, wait }) => Effect.sync(() => console.log(`retry ${retry} in ${Duration.toMillis(wait)} ms`))
  })
)

console.log(await Effect.runPromise(program))
// Output:
// retry 1 in 10 ms
// retry 2 in 20 ms
// done
