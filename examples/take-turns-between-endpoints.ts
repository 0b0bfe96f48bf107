/** Give each call to the next of several endpoints, in turns; who is down is left out for a while. */
import { Effect, Layer, Redacted } from "effect"
import { Llm, LlmPool, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

// In place of the network.
let down = ""
const network = TestHttpClient.layer(({ headers }) => {
  if (headers["authorization"] === `Bearer ${down}`) return new Response("{}", { status: 503 })
  return JSON.stringify({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
})

const policy = Policy.make({ retry: { retries: 0 } })
const members = ["a", "b", "c"].map((name) => ({
  name,
  llm: OpenAiLlm.layer({ model: "some-model", apiKey: Redacted.make(name), policy })
}))
// Default: "leastInFlight", which gives less to one that became slow.
const pool = LlmPool.layer(members, { strategy: "roundRobin", coolDown: "1 minute" })

const ask = Effect.map(Llm.generateText("What is 6 x 7?"), ({ servedBy }) => servedBy)
const sixTimes = Effect.all(Array.from({ length: 6 }, () => ask))

const program = Effect.gen(function* () {
  console.log((yield* sixTimes).join(" "))
  down = "b"
  console.log((yield* sixTimes).join(" "))
})

await Effect.runPromise(program.pipe(Effect.provide(Layer.provide(pool, network))))
// Output:
// a b c a b c
// a c c a c a
