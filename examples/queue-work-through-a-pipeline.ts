/** Send requests through stages that work at different speeds, with failures as values. */
import { Effect, Exit, Stream } from "effect"
import { Pipeline } from "holdfast/work"

const plan = Pipeline.stage({
  concurrency: 4,
  run: (question: string) => Effect.as(Effect.sleep("5 millis"), `${question}?`)
}).pipe(
  // The model takes two at a time; two more may wait for it, and the stage before waits with the rest.
  Pipeline.to({
    concurrency: 2,
    buffer: 2,
    run: (prompt) => (prompt === "why?" ? Effect.fail("refused") : Effect.succeed(prompt.toUpperCase()))
  })
)

const program = Effect.gen(function* () {
  const pipeline = yield* Pipeline.open(plan)
  console.log(yield* pipeline.request("who"))

  const outcomes = pipeline.run(["what", "why", "when"], { ordered: true })
  yield* Stream.runForEach(outcomes, ({ exit, index, request }) =>
    Effect.sync(() => console.log(index, request, Exit.isSuccess(exit) ? exit.value : "failed"))
  )
})

await Effect.runPromise(program)
// Output:
// WHO?
// 0 what WHAT?
// 1 why failed
// 2 when WHEN?
