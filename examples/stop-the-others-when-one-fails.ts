/** Stop the others when one fails: those that run are interrupted, those that wait do not begin, and none goes on unseen. */
import { type Duration, Effect } from "effect"

const fetchPage = (name: string, time: Duration.Input) =>
  Effect.sleep(time).pipe(
    Effect.andThen(name === "b" ? Effect.fail(`${name} is not there`) : Effect.succeed(name)),
    // Where a socket is closed, a program is killed, a slot is given back.
    Effect.onInterrupt(() => Effect.sync(() => console.log(`${name} is interrupted`)))
  )

const pages = [
  ["a", "1 minute"],
  ["b", "20 millis"],
  ["c", "1 minute"],
  ["d", "1 minute"]
] as const

// `Effect.all` and `Effect.forEach` do it by themselves; `Effect.result` around each page keeps the others running.
const program = Effect.forEach(pages, ([name, time]) => fetchPage(name, time), { concurrency: 3 })

console.log("failed:", await Effect.runPromise(Effect.flip(program)))
// Output:
// a is interrupted
// c is interrupted
// failed: b is not there
