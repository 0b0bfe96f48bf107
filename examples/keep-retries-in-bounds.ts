/** When the server is down, retry a tenth of the calls and not each of them twice. */
import { Effect, Schedule } from "effect"
import { RetryBudget } from "holdfast/policy"

let sends = 0
let isDown = true

// Stands for any call.
const send = Effect.suspend(() => {
  sends++
  return isDown ? Effect.fail("503") : Effect.void
})

/** Sends 1 000 calls, 50 at a time, and returns how many requests the server saw. */
const requests = (call: Effect.Effect<void, string>) =>
  Effect.suspend(() => {
    sends = 0
    const calls = Array.from({ length: 1000 }, () => Effect.ignore(call))
    return Effect.map(Effect.all(calls, { concurrency: 50 }), () => sends)
  })

const program = Effect.gen(function* () {
  const twice = Schedule.recurs(2)
  console.log(`without a budget: ${yield* requests(Effect.retry(send, twice))} requests`)

  // One for each server. It holds 20 retries at the start, and each call adds a tenth.
  const budget = yield* RetryBudget.make({ floor: 20 })
  const call = send.pipe(RetryBudget.retry(budget, twice))
  console.log(`with a budget: ${yield* requests(call)} requests`)

  // The server is back: calls that succeed fill the bucket again.
  isDown = false
  yield* requests(call)
  console.log(`${budget.available} retries to spend`)
})

await Effect.runPromise(program)
// Output:
// without a budget: 3000 requests
// with a budget: 1120 requests
// 40 retries to spend
