/** See how code takes a model that fails: streams that are cut, throttles, timeouts, by seed and in virtual time. */
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Llm } from "holdfast/llm"
import { Fault, TestLlm } from "holdfast/testing"

/** The code under test: an answer, what there is of it when the stream breaks, or an apology. */
const answer = (question: string) => {
  let said = ""
  return Llm.streamText(question).pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event.type === "text") said += event.text
      })
    ),
    Effect.match({
      onSuccess: () => said,
      onFailure: ({ code }) => (said === "" ? `Sorry (${code}).` : `${said} ... (${code})`)
    })
  )
}

const program = Effect.gen(function* () {
  // Each of these faults is dealt as often as the others; another seed gives them to other calls.
  const plan = yield* Fault.plan({ seed: 3, rate: 0.6, kinds: ["rateLimited", "cut", "silence"] })
  const model = TestLlm.layer("All is well today.").pipe(Fault.llm(plan))
  const questions = Array.from({ length: 6 }, (_, number) => `How are you, number ${number}?`)
  const asking = yield* Effect.forkChild(Effect.provide(Effect.forEach(questions, answer), model))

  // Two minutes of silence are over at once.
  yield* TestClock.adjust("1 hour")
  for (const said of yield* Fiber.join(asking)) console.log(said)
  const { injected, requests } = yield* plan.tally
  console.log(`${requests} calls: ${injected.rateLimited} throttled, ${injected.cut} cut, ${injected.silence} silent`)
})

await Effect.runPromise(program.pipe(Effect.provide(TestClock.layer())))
// Output:
// All ... (StreamCut)
// Sorry (RateLimited).
// All is well today.
// Sorry (FirstContentTimeout).
// All is well today.
// Sorry (FirstContentTimeout).
// 6 calls: 1 throttled, 1 cut, 2 silent
