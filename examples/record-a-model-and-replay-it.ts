/** Test against what a real model said: record it once, replay it without the network, and see what went stale. */
import { Effect, Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Cassette, ReplayServer } from "holdfast/testing"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const folder = mkdtempSync(join(tmpdir(), "cassette-"))
const path = join(folder, "capitals.json")

/** The program under test. */
const capitalOf = (country: string) =>
  Effect.map(Llm.generateText(`What is the capital of ${country}?`), (answer) => answer.text)

// Stands for the live endpoint; it is closed when the recording is over.
const record = Effect.gen(function* () {
  const server = yield* ReplayServer.make({ answer: () => "Paris." })
  const model = OpenAiLlm.layer({ baseUrl: server.url, model: "some-model" })
  const cassette = Cassette.layer({ path, mode: "record" }).pipe(Layer.provide(UndiciHttpClient.layer()))
  console.log("live:    ", yield* capitalOf("France").pipe(Effect.provide(Layer.provide(model, cassette))))
})
await Effect.runPromise(Effect.scoped(record))
console.log("recorded:", JSON.parse(readFileSync(path, "utf8")).exchanges.length, "exchange")

// In a test this is all there is: no key, no network, and the address does not matter either.
const model = OpenAiLlm.layer({ baseUrl: "http://model.invalid/v1", model: "some-model" })
const replay = Effect.gen(function* () {
  console.log("replayed:", yield* capitalOf("France"))
  const stale = yield* Effect.flip(capitalOf("Italy"))
  console.log("stale:   ", /has another .* asked/.exec(stale.message)?.[0])
})
const cassette = Cassette.replay({ path, ignore: ["origin"] })
await Effect.runPromise(replay.pipe(Effect.provide(Layer.provide(model, cassette))))
rmSync(folder, { recursive: true })
// Output:
// live:     Paris.
// recorded: 1 exchange
// replayed: Paris.
// stale:    has another body.messages[0].content: "What is the capital of France?" recorded, "What is the capital of Italy?" asked
