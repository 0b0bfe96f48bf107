/** Leave a server alone that keeps failing, and ask it again when it has had time to come back. */
import { Data, Effect } from "effect"
import { Circuit } from "holdfast/policy"

class Unavailable extends Data.TaggedError("Unavailable")<{}> {
  // What the circuit reads: the same request may succeed later.
  readonly isRetryable = true
}

let sends = 0
let isUp = false
const server = Effect.suspend(() => {
  sends++
  return isUp ? Effect.succeed("fine") : Effect.fail(new Unavailable())
})

const program = Effect.gen(function* () {
  const circuit = yield* Circuit.make({ failures: 3, openFor: "2 seconds" })
  const ask = server.pipe(
    circuit.protect("https://api.example.com"),
    Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: (answer) => answer }),
    Effect.flatMap((outcome) => Effect.sync(() => console.log(outcome)))
  )

  // Three sends find out; the other two calls cost the server nothing.
  yield* Effect.repeat(ask, { times: 4 })
  console.log(`${sends} sends for 5 calls`)

  // The first call after the pause is the trial.
  isUp = true
  yield* Effect.sleep("2 seconds")
  yield* ask
})

await Effect.runPromise(Effect.scoped(program))
// Output:
// Unavailable
// Unavailable
// Unavailable
// CircuitOpen
// CircuitOpen
// 3 sends for 5 calls
// fine
