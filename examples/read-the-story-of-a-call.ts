/** See what a failed call went through: each attempt, how it ended, and why the call waited before the next one. */
import { Effect, Layer } from "effect"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

// In place of a network: a throttle with a wait, a broken connection, and a server that is down.
const network = TestHttpClient.layer((request, call) => {
  if (call === 1) return new Response("{}", { status: 429, headers: { "retry-after-ms": "100" } })
  if (call === 2) return Effect.fail(TestHttpClient.failure(request, "read ECONNRESET"))
  return new Response("{}", { status: 503 })
})
const policy = Policy.make({ retry: { retries: 2, base: "10 millis", jitter: "none" } })
const model = OpenAiLlm.layer({ model: "some-model", policy }).pipe(Layer.provide(network))

const program = Effect.gen(function* () {
  // An answer has `attempts` too; here the call fails and its error has them.
  const error = yield* Effect.flip(Llm.generateText("Good morning"))
  for (const { outcome, phase, waitCause, waitMillis } of error.attempts) {
    console.log(`waited ${waitMillis} ms (${waitCause}), then ${outcome}, ${phase}`)
  }
  console.log(error.message)
})

await Effect.runPromise(program.pipe(Effect.provide(model)))
// Output:
// waited 0 ms (none), then RateLimited, rejected
// waited 100 ms (retryAfter), then ConnectionLost, maybeSent
// waited 20 ms (backoff), then ServerError, rejected
// llm openai https://api.openai.com/v1: the provider failed with status 503; try later (after 3 attempts)
