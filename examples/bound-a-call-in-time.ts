/** Give a whole piece of work half a second; every call inside inherits what is left of it. */
import { Duration, Effect } from "effect"
import { Deadline, Policy } from "holdfast/policy"

const program = Effect.gen(function* () {
  const held = yield* Policy.open(Policy.make({ timeout: { total: "1 minute" } }))
  const call = (name: string, time: Duration.Input) =>
    Effect.sleep(time).pipe(
      Effect.andThen(Effect.sync(() => console.log(`${name} is done`))),
      held.apply({ key: name, safety: "idempotent" })
    )

  const work = Effect.gen(function* () {
    yield* call("the first call", "50 millis")
    const left = Duration.toMillis(yield* Deadline.remaining)
    console.log(`less than half a second is left: ${left < 500}`)
    // Its own deadline is a minute, but the work around has less.
    yield* call("the second call", "30 seconds")
  })

  yield* work.pipe(
    Deadline.within("500 millis", "the report"),
    Effect.catchTag("DeadlineExceeded", ({ _tag }) => Effect.sync(() => console.log(`the report failed: ${_tag}`)))
  )
})

await Effect.runPromise(Effect.scoped(program))
// Output:
// the first call is done
// less than half a second is left: true
// the report failed: DeadlineExceeded
