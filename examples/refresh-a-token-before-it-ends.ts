/** Ask Cloud.ru Evolution with a pair of keys: one token for all callers, replaced before it ends and when it is refused. */
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { EvolutionLlm, Llm } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

// In place of the network: the tokens of an hour, and an endpoint that answers with the token that it was shown.
let tokens = 0
let revoked = ""
const network = TestHttpClient.layer(({ headers, url }) => {
  if (new URL(url).host === "iam.api.cloud.ru") {
    console.log(`POST ${new URL(url).pathname}`)
    return JSON.stringify({ access_token: `token-${++tokens}`, expires_in: 3600 })
  }
  const shown = headers["authorization"]
  if (shown === revoked) return new Response("{}", { status: 401 })
  return JSON.stringify({ choices: [{ message: { role: "assistant", content: shown }, finish_reason: "stop" }] })
})

// In production `EvolutionLlm.layerConfig()` reads EVOLUTION_KEY_ID, EVOLUTION_SECRET and EVOLUTION_BASE_URL.
const model = EvolutionLlm.layer({
  keyId: "your key id",
  secret: Redacted.make("your secret"),
  baseUrl: "https://my-endpoint.cloud.ru/v1"
}).pipe(Layer.provide(network))

const ask = Effect.map(Llm.generateText("Which token do you see?"), ({ text }) => text)
const program = Effect.gen(function* () {
  const shown = yield* Effect.all(
    Array.from({ length: 10 }, () => ask),
    { concurrency: "unbounded" }
  )
  console.log("ten callers:", new Set(shown))

  // A quarter of a minute before its end.
  yield* TestClock.adjust("59.75 minutes")
  console.log("while it is replaced, the old one is good:", yield* ask)
  yield* TestClock.adjust("15 seconds")
  console.log("after an hour:", yield* ask)

  revoked = "Bearer token-2"
  console.log("refused, and fetched anew:", yield* ask)
})

// Under a clock of its own, so that an hour passes at once.
await Effect.runPromise(program.pipe(Effect.provide(Layer.provideMerge(model, TestClock.layer()))))
// Output:
// POST /api/v1/auth/token
// ten callers: Set(1) { 'Bearer token-1' }
// POST /api/v1/auth/token
// while it is replaced, the old one is good: Bearer token-1
// after an hour: Bearer token-2
// POST /api/v1/auth/token
// refused, and fetched anew: Bearer token-3
