/** The packed package in an Effect program. */
import assert from "node:assert/strict"
import { Effect, Layer, Redacted, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { serve } from "./server.ts"

const server = await serve()
const model = OpenAiLlm.layer({ baseUrl: server.baseUrl, apiKey: Redacted.make("k"), model: "m" })

const program = Effect.gen(function* () {
  const answer = yield* Llm.generateText("6 x 7?")
  const events = yield* Stream.runCollect(Llm.streamText("6 x 7?"))
  return { answer, events }
})

const { answer, events } = await Effect.runPromise(
  program.pipe(Effect.provide(Layer.provide(model, UndiciHttpClient.layer())))
)
assert.equal(answer.text, "forty-two")
assert.equal(answer.attempts.length, 2)
assert.deepEqual(
  events.map((event) => (event.type === "text" ? event.text : event.type)),
  ["forty-", "two", "finish"]
)
server.close()
console.log("effect: ok")
