/** Ask one model, and another one while the first is busy. */
import { Effect, Layer } from "effect"
import { FallbackLlm, Llm, OpenAiLlm } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

// In place of two networks: a provider that asks to wait half a minute, and one that answers.
const busy = TestHttpClient.layer(() => new Response("{}", { status: 429, headers: { "retry-after": "30" } }))
const well = TestHttpClient.layer(() =>
  JSON.stringify({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
)

const large = OpenAiLlm.layer({ model: "large", baseUrl: "https://a.example.com/v1" }).pipe(Layer.provide(busy))
const small = OpenAiLlm.layer({ model: "small", baseUrl: "https://b.example.com/v1" }).pipe(Layer.provide(well))

// In order of preference. Each keeps its own policy; `total` bounds them together.
const model = FallbackLlm.layer(
  [
    { llm: large, name: "large" },
    { llm: small, name: "small" }
  ],
  { total: "1 minute", onFallback: ({ from, to }) => Effect.sync(() => console.log(`${from} is busy, ask ${to}`)) }
)

const program = Effect.gen(function* () {
  for (const question of ["What is 6 x 7?", "And 7 x 6?"]) {
    const { attempts, model, text } = yield* Llm.generateText(question)
    console.log(`${text}, says the ${model} model (${attempts.map(({ outcome }) => outcome).join(", ")})`)
  }
})

// The half minute is not waited for, and the second question does not bother the large model.
await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// large is busy, ask small
// 42, says the small model (RateLimited, ok)
// 42, says the small model (ok)
