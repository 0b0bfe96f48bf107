/** Retry a function of yours that returns a promise: a client of somebody else, a database, anything. */
import { Duration, Effect } from "effect"
import { Retry } from "holdfast/policy"

/** Wraps a function once; the result is called as before. It stops with the signal that it is given. */
const retrying = <Args extends ReadonlyArray<unknown>, A>(
  f: (...args: Args) => Promise<A>,
  options: Retry.Options
): ((...args: Args) => Promise<A>) => {
  const retry = Retry.retry(options)
  return (...args) => Effect.runPromise(retry(Effect.tryPromise({ try: () => f(...args), catch: (error) => error })))
}

// Stands for a client of somebody else.
class Conflict extends Error {}
let calls = 0
const insert = async (name: string) => {
  if (name === "") throw new RangeError("a row has a name")
  if (++calls < 3) throw new Conflict()
  return `${name} is row ${calls}`
}

const insertWithRetries = retrying(insert, {
  retries: 4,
  base: "10 millis",
  jitter: "none",
  retryIf: (error) => error instanceof Conflict,
  onRetry: ({ retry, wait }) => Effect.sync(() => console.log(`retry ${retry} in ${Duration.toMillis(wait)} ms`))
})

console.log(await insertWithRetries("Ada"))
await insertWithRetries("").catch((error: unknown) => console.log(String(error)))
// Output:
// retry 1 in 10 ms
// retry 2 in 20 ms
// Ada is row 3
// RangeError: a row has a name
