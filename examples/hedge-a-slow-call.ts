/** Ask a second time when the first answer is late, and take whichever comes first. */
import { Duration, Effect } from "effect"
import { Hedge } from "holdfast/policy"

let sends = 0
// A service that answers in 5 ms, but each tenth time takes a minute.
const search = Effect.suspend(() => Effect.delay(Effect.succeed("found"), ++sends % 10 === 0 ? "1 minute" : "5 millis"))

// The second send may start after 200 ms, for one call in five at most. Without `delay` the latencies so far decide.
const quick = search.pipe(Hedge.hedge({ delay: "200 millis", maxExtra: 0.2 }))

const program = Effect.gen(function* () {
  let late = 0
  for (let call = 0; call < 25; call++) {
    const [took] = yield* Effect.timed(quick)
    if (Duration.toSeconds(took) > 10) late++
  }
  console.log(`25 calls, ${sends} sends, ${late} late answers`)
})

await Effect.runPromise(program)
// Output:
// 25 calls, 27 sends, 0 late answers
