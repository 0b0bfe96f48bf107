/** Share the calls between three keys, of which one is revoked and one is at its limit for a while. */
import { Effect, Layer, Redacted } from "effect"
import { Llm, LlmError, LlmPool, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

// In place of the network: what the provider says to each key.
let isAtLimit = true
const network = TestHttpClient.layer(({ headers }) => {
  const key = headers["authorization"]
  if (key === "Bearer revoked") return new Response("{}", { status: 401 })
  if (key === "Bearer busy" && isAtLimit) {
    return new Response("{}", { status: 429, headers: { "retry-after": "1" } })
  }
  return JSON.stringify({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
})

// Each keeps its own policy. One retry is enough: the others stand behind it.
const policy = Policy.make({ retry: { retries: 1 } })
const member = (name: string, weight: number) => ({
  name,
  weight,
  llm: OpenAiLlm.layer({ model: "some-model", apiKey: Redacted.make(name), policy })
})

const pool = LlmPool.layer([member("large", 2), member("busy", 1), member("revoked", 1)], {
  total: "1 minute",
  onMove: ({ error, from, to }) =>
    Effect.sync(() => console.log(`${from} > ${to} (${error instanceof LlmError.LlmError ? error.code : "?"})`))
})

const ask = Effect.gen(function* () {
  const { servedBy, text } = yield* Llm.generateText("What is 6 x 7?")
  console.log(`${text}, by ${servedBy}`)
})

const program = Effect.gen(function* () {
  // Nobody waits for the one at its limit, and neither it nor the revoked one is asked a second time.
  yield* Effect.repeat(ask, { times: 3 })
  isAtLimit = false
  yield* Effect.sleep("1 second")
  console.log("a second later")
  yield* Effect.repeat(ask, { times: 3 })
})

await Effect.runPromise(program.pipe(Effect.provide(Layer.provide(pool, network))))
// Output:
// 42, by large
// busy > revoked (RateLimited)
// revoked > large (Unauthorized)
// 42, by large
// 42, by large
// 42, by large
// a second later
// 42, by large
// 42, by large
// 42, by large
// 42, by busy
