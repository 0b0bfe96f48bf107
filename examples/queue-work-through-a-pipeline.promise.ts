/** Send requests through stages of promises that work at different speeds, and read what comes out with `for await`. */
import { Effect, Exit, Stream } from "effect"
import { Pipeline } from "holdfast/work"

// Functions of your own; the signal is aborted when nobody wants the result any more.
const prepare = async (question: string) => `${question}?`
const ask = async (prompt: string, signal: AbortSignal) => {
  signal.throwIfAborted()
  if (prompt === "why?") throw new Error("refused")
  return prompt.toUpperCase()
}

const plan = Pipeline.stage({
  concurrency: 4,
  run: (question: string) => Effect.tryPromise(() => prepare(question))
}).pipe(
  // Two at a time; two more may wait for it, and the stage before waits with the rest.
  Pipeline.to({ concurrency: 2, buffer: 2, run: (prompt) => Effect.tryPromise((signal) => ask(prompt, signal)) })
)

const pipeline = await Effect.runPromise(Pipeline.open(plan))
console.log(await Effect.runPromise(pipeline.request("who")))

const outcomes = Stream.toAsyncIterable(pipeline.run(["what", "why", "when"], { ordered: true }))
for await (const { exit, index, request } of outcomes)
  console.log(index, request, Exit.isSuccess(exit) ? exit.value : "failed")
// Output:
// WHO?
// 0 what WHAT?
// 1 why failed
// 2 when WHEN?
