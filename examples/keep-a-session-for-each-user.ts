/** Keep a session for each user: many calls, whose variables stay, and nobody sees those of another one. */
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

/** The calls of one user. The scope's end is the end of the session. */
const shopping = (userId: string, prices: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const session = yield* Sandbox.create({ language: "javascript", userId })
    yield* session.runCode("let total = 0")
    for (const price of prices) yield* session.runCode(`total += ${price}`)
    const { results } = yield* session.runCode("total")
    return `${session.userId}: ${results[0]?.["text/plain"]}`
  }).pipe(Effect.scoped)

const program = Effect.all([shopping("ada", [3, 4]), shopping("bob", [10, 20, 30])], { concurrency: 2 })

const totals = await Effect.runPromise(program.pipe(Effect.provide(LocalSandbox.layer())))
for (const total of totals) console.log(total)
// Output:
// ada: 7
// bob: 60
