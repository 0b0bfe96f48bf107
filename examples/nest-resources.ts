/** Open one thing inside another, and have them closed in the reverse order, whatever happens in between. */
import { Effect } from "effect"
import { Sandbox } from "holdfast/sandbox"
import { TestSandbox } from "holdfast/testing"

// Anything that must be given back: open it, and say how it is closed. Its scope decides when.
const connection = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      console.log(`${name} is open`)
      return { name }
    }),
    () => Effect.sync(() => console.log(`${name} is closed`))
  )

const program = Effect.gen(function* () {
  const database = yield* connection("the database")
  yield* connection("the cache")

  // A scope within: what is opened here is closed here.
  const output = yield* Effect.scoped(
    Effect.gen(function* () {
      yield* connection("the transaction")
      // What holdfast opens is closed in the same way: sessions, clients, queues.
      const session = yield* Sandbox.create({ language: "python" })
      return (yield* session.runCode("print(6 * 7)")).stdout
    })
  )
  console.log(`${output}, and ${database.name} is still open`)

  yield* connection("the report")
  return yield* Effect.fail("the disk is full")
})

// `Effect.scoped` closes them; here after a failure, and the same after success or an interruption.
const main = program.pipe(
  Effect.scoped,
  Effect.catch((reason) => Effect.sync(() => console.log(`failed: ${reason}`)))
)
await Effect.runPromise(main.pipe(Effect.provide(TestSandbox.layer(["42"]))))
// Output:
// the database is open
// the cache is open
// the transaction is open
// the transaction is closed
// 42, and the database is still open
// the report is open
// the report is closed
// the cache is closed
// the database is closed
// failed: the disk is full
