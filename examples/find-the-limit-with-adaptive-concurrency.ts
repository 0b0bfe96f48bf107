/** How many calls at a time can the server take? Let the limit find out, and follow when it changes. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Concurrency } from "holdfast/policy"

const server = { capacity: 20, inFlight: 0, answers: 0 }

// A server that answers 429 to more calls than it has room for. Any error with `isThrottle` is one to the policies.
const call = Effect.gen(function* () {
  const isTooMuch = ++server.inFlight > server.capacity
  yield* Effect.sleep(isTooMuch ? "50 millis" : "1 second")
  if (isTooMuch) return yield* Effect.fail({ isRetryable: true, isThrottle: true })
  server.answers++
}).pipe(Effect.ensuring(Effect.sync(() => server.inFlight--)))

const program = Effect.gen(function* () {
  const slots = yield* Concurrency.make({ maxConcurrency: 200, adaptive: { initial: 10 } })
  const caller = Effect.forever(Effect.catch(slots.withSlot("server")(call), () => Effect.sleep("100 millis")))
  const callers = yield* Effect.forkChild(
    Effect.all(
      Array.from({ length: 60 }, () => caller),
      { concurrency: "unbounded" }
    )
  )
  for (const capacity of [20, 40, 20]) {
    server.capacity = capacity
    yield* TestClock.adjust("60 seconds")
    const before = server.answers
    yield* TestClock.adjust("30 seconds")
    const isNear = Math.abs(slots.limit("server") - capacity) <= capacity / 10
    const share = (server.answers - before) / (30 * capacity)
    console.log(
      `room for ${capacity}: the limit is ${isNear ? "within" : "not within"} 10 %, ${share >= 0.9 ? "over" : "under"} 90 % is used`
    )
  }
  yield* Fiber.interrupt(callers)
})

// Minutes pass at once under a TestClock.
await Effect.runPromise(Effect.scoped(Effect.provide(program, TestClock.layer())))
// Output:
// room for 20: the limit is within 10 %, over 90 % is used
// room for 40: the limit is within 10 %, over 90 % is used
// room for 20: the limit is within 10 %, over 90 % is used
