/** Ask a model; when it says "too many requests", wait as long as it asks, and try again. */
import { Effect, Layer } from "effect"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

// Retries are on by default; these are the numbers of one's own.
const policy = Policy.make({
  retry: { retries: 5, base: "50 millis", maxRetryAfter: "30 seconds" },
  timeout: { total: "2 minutes" }
})

// In place of a network, two answers: "come back in 300 ms", then the answer. A real model has
// `OpenAiLlm.layer({ apiKey, model, policy })` over `UndiciHttpClient.layer()`.
const network = TestHttpClient.layer([
  new Response("{}", { status: 429, headers: { "retry-after-ms": "300" } }),
  JSON.stringify({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
])
const model = OpenAiLlm.layer({ model: "some-model", policy }).pipe(Layer.provide(network))

const answer = await Effect.runPromise(Llm.generateText("What is 6 x 7?").pipe(Effect.provide(model)))

console.log(answer.text)
for (const { outcome, waitCause, waitMillis } of answer.attempts) {
  console.log(`${outcome}, after a wait of ${waitMillis} ms (${waitCause})`)
}
// Output:
// 42
// RateLimited, after a wait of 0 ms (none)
// ok, after a wait of 300 ms (retryAfter)
