/** Stop a batch at SIGTERM: what is under way finishes, what waits does not begin, and the process ends with 143. */
import { Console, Effect, Logger } from "effect"
import { Shutdown } from "holdfast/policy"

const item = (n: number) =>
  Effect.gen(function* () {
    yield* Console.log(`item ${n} begins`)
    // In place of a supervisor: the signal comes in the middle of the first two items.
    if (n === 2) process.kill(process.pid, "SIGTERM")
    yield* Effect.sleep("100 millis")
    yield* Console.log(`item ${n} is done`)
  })

// A unit finishes within the grace, with all the calls that it has yet to make.
const batch = Effect.forEach([1, 2, 3, 4], (n) => Shutdown.unit(item(n)), { concurrency: 2 })

// A program of one's own says `Shutdown.run(batch, { grace: "8 seconds" })`, which also ends the process.
const main = Shutdown.stopOnSignal(batch, { grace: "8 seconds" }).pipe(
  Effect.catchTag("Stopped", ({ exitCode, message }) => Console.log(`${message}\nthe exit code is ${exitCode}`)),
  Effect.provide(Logger.layer([]))
)

await Effect.runPromise(main)
// Output:
// item 1 begins
// item 2 begins
// item 1 is done
// item 2 is done
// stopped by SIGTERM: 2 units finished, 0 interrupted
// the exit code is 143
