/** Serve the people who wait before the reports that run at night, and every customer in turn. */
import { Effect } from "effect"
import { Concurrency } from "holdfast/policy"

const served: Array<string> = []

// Stands for any call that holds a slot for a while.
const call = (name: string) => Effect.sync(() => served.push(name)).pipe(Effect.delay("5 millis"))

const program = Effect.gen(function* () {
  const slots = yield* Concurrency.make({ maxConcurrency: 1, maxQueue: 6, ageing: "1 minute" })
  const ask = (name: string, claim: Concurrency.Claim) =>
    call(name).pipe(
      slots.withSlot("model", claim),
      Effect.catch((shed) => Effect.sync(() => console.log(`${name} is shed, ${shed.waiting} calls wait`)))
    )
  const reports = [1, 2, 3].map((n) => ask(`report ${n}`, { priority: "low" }))
  const chats = ["anna 1", "anna 2", "anna 3", "bert 1"].map((name) =>
    ask(name, { priority: "high", tenant: name.slice(0, 4) })
  )
  // The first report has the slot when the chats come; the line has six places, so one report has to leave.
  yield* Effect.all([...reports, ask("summary", {}), ...chats], { concurrency: "unbounded" })
  console.log(served.join(", "))
})

await Effect.runPromise(program)
// Output:
// report 3 is shed, 6 calls wait
// report 1, anna 1, bert 1, anna 2, anna 3, summary, report 2
