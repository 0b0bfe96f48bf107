/** Ask many questions, a few at a time, and keep the failures beside the answers. */
import { Effect, Layer, Result } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { ReplayServer } from "holdfast/testing"

// A server on loopback that knows three of the four answers.
const answers = [
  { prompt: "France", answers: ["Paris"] },
  { prompt: "Japan", answers: ["Tokyo"] },
  { prompt: "Peru", answers: ["Lima"] }
]
const model = Layer.unwrap(
  Effect.map(ReplayServer.make({ answer: ReplayServer.recorded(answers) }), ({ url }) =>
    OpenAiLlm.layer({ baseUrl: url, model: "some-model" })
  )
).pipe(Layer.provide(UndiciHttpClient.layer()))

const countries = ["France", "Japan", "Atlantis", "Peru"]

// Two at a time, results in the order of the questions; `Effect.result` turns a failure into a value.
const program = Effect.forEach(
  countries,
  (country) => Effect.result(Llm.generateText(`What is the capital of ${country}?`)),
  { concurrency: 2 }
)

const results = await Effect.runPromise(program.pipe(Effect.provide(model)))
results.forEach((result, index) =>
  console.log(`${countries[index]}: ${Result.isSuccess(result) ? result.success.text : result.failure.code}`)
)
// Output:
// France: Paris
// Japan: Tokyo
// Atlantis: InvalidRequest
// Peru: Lima
