/** Open one thing inside another with `await using`, and have them closed in the reverse order, whatever happens. */
import { fromLayer } from "holdfast/promise/effect"
import { TestSandbox } from "holdfast/testing"

// Anything that must be given back, and how it is.
const connection = (name: string) => {
  console.log(`${name} is open`)
  return { name, [Symbol.asyncDispose]: async () => console.log(`${name} is closed`) }
}

const main = async () => {
  await using database = connection("the database")
  // A scripted sandbox; in production `createClient({ sandbox: { provider: "local" } })`.
  await using client = fromLayer(TestSandbox.layer(["42"]))
  {
    await using _transaction = connection("the transaction")
    await using session = await client.createSession({ language: "python" })
    const { stdout } = await session.runCode("print(6 * 7)")
    console.log(`${stdout}, and ${database.name} is still open`)
  }

  // As many as there are: a stack closes them in the reverse order, too.
  await using stack = new AsyncDisposableStack()
  for (const name of ["page 1", "page 2"]) stack.use(connection(name))
  throw new Error("the disk is full")
}

await main().catch((error: Error) => console.log(`failed: ${error.message}`))
// Output:
// the database is open
// the transaction is open
// 42, and the database is still open
// the transaction is closed
// page 1 is open
// page 2 is open
// page 2 is closed
// page 1 is closed
// the database is closed
// failed: the disk is full
