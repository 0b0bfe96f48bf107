/** Say in one place what holds for every call: address, retries and their waits, time, calls at once, and a logger. */
import { Duration, Effect, Layer, Logger } from "effect"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"

const policy = Policy.make({
  retry: {
    retries: 3,
    base: "10 millis",
    factor: 3,
    // Default: "full", which keeps many callers from coming back at the same moment.
    jitter: "none",
    onRetry: ({ retry, wait }) => Effect.logWarning(`retry ${retry} in ${Duration.toMillis(wait)} ms`)
  },
  timeout: { total: "1 minute" },
  maxConcurrency: 2
})

// In place of the network: busy twice, then an answer.
let inFlight = 0
let most = 0
const network = TestHttpClient.layer((_, request) =>
  Effect.gen(function* () {
    most = Math.max(most, ++inFlight)
    yield* Effect.sleep("20 millis")
    inFlight--
    if (request <= 2) return new Response("{}", { status: 503 })
    return Response.json({ choices: [{ message: { role: "assistant", content: "42" }, finish_reason: "stop" }] })
  })
)
// In a constant: its slots belong to the layer.
const model = OpenAiLlm.layer({ baseUrl: "https://models.example/v1", model: "some-model", policy }).pipe(
  Layer.provide(network)
)
const logger = Logger.layer([Logger.make(({ logLevel, message }) => console.log(logLevel, String(message)))])

const ask = Llm.generateText("What is 6 x 7?")
const program = Effect.gen(function* () {
  console.log((yield* ask).text)
  const answers = yield* Effect.all(
    Array.from({ length: 6 }, () => ask),
    { concurrency: "unbounded" }
  )
  console.log(`${answers.length} answers, at most ${most} at once`)
})

await Effect.runPromise(program.pipe(Effect.provide([model, logger])))
// Output:
// Warn retry 1 in 10 ms
// Warn retry 2 in 30 ms
// 42
// 6 answers, at most 2 at once
