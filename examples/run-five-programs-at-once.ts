/** Run five programs at the same time, each in a sandbox of its own, and keep the ones that fail beside the others. */
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

const programs = ["6 * 7", "[3, 1, 2].toSorted().join()", "null.name", "'abc'.at(-1)", "2 ** 10"]

// Results in the order of the programs. One that fails is a value: nothing of the others is lost.
const runs = await Effect.runPromise(
  Effect.forEach(programs, (code) => Sandbox.runCode(code, { language: "javascript" }), { concurrency: 5 }).pipe(
    Effect.provide(LocalSandbox.layer())
  )
)
runs.forEach((run, index) => console.log(`${programs[index]}: ${run.results[0]?.["text/plain"] ?? run.error?.name}`))
// Output:
// 6 * 7: 42
// [3, 1, 2].toSorted().join(): '1,2,3'
// null.name: TypeError
// 'abc'.at(-1): 'c'
// 2 ** 10: 1024
