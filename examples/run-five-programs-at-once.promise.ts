/** Run five programs at the same time with promises: where a failing one rejects, `map` keeps it beside the others. */
import { createClient, SandboxError } from "holdfast/promise"

await using client = createClient({ sandbox: { provider: "local", languages: ["javascript"] } })

const programs = ["6 * 7", "[3, 1, 2].toSorted()", "null.name", "'abc'.at(-1)", "2 ** 10"]

// `Promise.all` would reject with the first failure, and leave the other four running.
const results = await client.map(
  programs,
  (code, { signal }) => client.executeCode(`console.log(${code})`, "javascript", { signal }),
  { concurrency: 5 }
)
const nameOf = (error: unknown): string =>
  error instanceof SandboxError && error.reason._tag === "ExecutionFailed" ? error.reason.name : String(error)

results.forEach((result, index) => {
  const shown = result.status === "fulfilled" ? result.value.stdout.trim() : nameOf(result.reason)
  console.log(`${programs[index]}: ${shown}`)
})
// Output:
// 6 * 7: 42
// [3, 1, 2].toSorted(): [ 1, 2, 3 ]
// null.name: TypeError
// 'abc'.at(-1): c
// 2 ** 10: 1024
