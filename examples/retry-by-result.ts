/** Ask again when the answer is not good enough: here, when it is empty. */
import { Effect, Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { ReplayServer } from "holdfast/testing"

const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "text" in value && value.text === ""

// A server on loopback that says nothing twice.
let calls = 0
const model = Layer.unwrap(
  Effect.map(ReplayServer.make({ answer: () => (++calls < 3 ? "" : "Here I am.") }), ({ url }) =>
    OpenAiLlm.layer({
      baseUrl: url,
      model: "some-model",
      policy: Policy.make({ retry: { retries: 3, base: "10 millis", retryWhen: isEmpty } })
    })
  )
).pipe(Layer.provide(UndiciHttpClient.layer()))

const answer = await Effect.runPromise(Llm.generateText("Are you there?").pipe(Effect.provide(model)))

console.log(`${answer.text} (${answer.attempts.length} attempts)`)
// Output:
// Here I am. (3 attempts)
