/** Give each kind of call a time of its own: a second to search, five to the model, ten to code, and more where asked. */
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Policy } from "holdfast/policy"

// What all have in common, and the tiers as named policies.
const common = Policy.make({ retry: { retries: 0 }, maxConcurrency: 20 })
const tiers = {
  search: Policy.merge(common, { timeout: { total: "1 second" } }),
  model: Policy.merge(common, { timeout: { total: "5 seconds" } }),
  code: Policy.merge(common, { timeout: { total: "10 seconds" } })
}

const program = Effect.gen(function* () {
  // Opened once, for all calls of the program.
  const held = yield* Effect.all({
    search: Policy.open(tiers.search),
    model: Policy.open(tiers.model),
    code: Policy.open(tiers.code)
  })

  const call = (kind: keyof typeof tiers, takes: Duration.Input) =>
    Effect.sleep(takes).pipe(
      held[kind].apply({ key: kind, safety: "idempotent" }),
      Effect.timed,
      Effect.match({
        onSuccess: ([time]) => `${kind}: done after ${Duration.toSeconds(time)} s`,
        onFailure: ({ _tag }) => `${kind}: ${_tag}`
      }),
      Effect.map((line) => console.log(line))
    )
  /** The same with a time that goes by the size of the work. */
  const callFor = (pages: number) =>
    Effect.provideService(call("model", "8 seconds"), Policy.Override, { timeout: { total: `${pages * 2} seconds` } })

  yield* call("search", "500 millis")
  yield* call("search", "2 seconds")
  yield* call("model", "2 seconds")
  yield* call("model", "8 seconds")
  yield* call("code", "8 seconds")
  yield* callFor(3)
  yield* callFor(10)
})

// Virtual time: the seconds pass at once.
const main = Effect.gen(function* () {
  const calls = yield* Effect.forkChild(program)
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(calls)
})
await Effect.runPromise(Effect.scoped(Effect.provide(main, TestClock.layer())))
// Output:
// search: done after 0.5 s
// search: DeadlineExceeded
// model: done after 2 s
// model: DeadlineExceeded
// code: done after 8 s
// model: DeadlineExceeded
// model: done after 8 s
