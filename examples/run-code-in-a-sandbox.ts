/** Run Python and JavaScript that you did not write, in a process of its own that can touch nothing of yours. */
import { Effect } from "effect"
import { LocalSandbox, Sandbox } from "holdfast/sandbox"

const program = Effect.gen(function* () {
  const python = yield* Sandbox.create({ language: "python" })

  // A session keeps its variables; the last expression is a result.
  yield* python.runCode("total = sum(n * n for n in range(10))")
  const shown = yield* python.runCode("print('the total is', total)\ntotal / 10")
  console.log(shown.stdout.trim(), shown.results[0]?.["text/plain"])

  // A program that raises is an answer, not a failure of the sandbox.
  const raised = yield* python.runCode("{}['key']")
  console.log(raised.outcome, raised.error?.name)

  // An endless one is stopped; the outcome is decided outside of the guest.
  const endless = yield* python.runCode("while True: pass", { timeout: "300 millis" })
  console.log(endless.outcome, endless.exitCode)

  const javascript = yield* Sandbox.runCode("[3, 1, 2].toSorted().join()", { language: "javascript" })
  console.log(javascript.results[0]?.["text/plain"])
})

// The scope's end is the sessions' end: no process is left, on failure and interruption too.
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(LocalSandbox.layer())))
// Output:
// the total is 285 28.5
// failed KeyError
// timedOut 124
// '1,2,3'
