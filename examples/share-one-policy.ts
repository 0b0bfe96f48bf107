/** Let two models share one policy, so that together they never have more than two calls in flight. */
import { Context, Effect, Layer } from "effect"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

class Small extends Context.Service<Small, Llm.Llm["Service"]>()("Small") {}
class Large extends Context.Service<Large, Llm.Llm["Service"]>()("Large") {}

// In place of a network: an answer after a moment, and a count of the calls in flight.
let inFlight = 0
let most = 0
const network = TestHttpClient.layer(() =>
  Effect.gen(function* () {
    most = Math.max(most, ++inFlight)
    yield* Effect.sleep("20 millis")
    inFlight--
    return JSON.stringify({ choices: [{ message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }] })
  })
)

// A policy is a value without state. `Policy.open` makes the slots, and who gets the same open policy shares them.
const models = Layer.unwrap(
  Effect.gen(function* () {
    const policy = yield* Policy.open(Policy.make({ maxConcurrency: 2 }))
    return Layer.merge(
      Layer.effect(Small, OpenAiLlm.make({ model: "small", policy })),
      Layer.effect(Large, OpenAiLlm.make({ model: "large", policy }))
    )
  })
).pipe(Layer.provide(network))

const program = Effect.gen(function* () {
  const small = yield* Small
  const large = yield* Large
  const calls = [small, large, small, large, small, large].map((llm) => llm.generateText(Llm.toRequest("Hello")))
  const answers = yield* Effect.all(calls, { concurrency: "unbounded" })
  console.log(answers.map(({ model }) => model).join(", "))
  console.log(`at most ${most} at once`)
})

await Effect.runPromise(program.pipe(Effect.provide(models)))
// Output:
// small, large, small, large, small, large
// at most 2 at once
