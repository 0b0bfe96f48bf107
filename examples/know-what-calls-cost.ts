/** Know what calls to models used and cost, also those that were given up, by prices of your own. */
import { Effect, Layer, Stream } from "effect"
import { Llm, OpenAiLlm, Price, Spending } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

// US dollars for a million tokens. Those that the package lists are of one day: bring what you are billed by.
const prices: Price.Prices = {
  ...Price.listed,
  "some-model": { input: 2, output: 8, cachedInput: 0.5 }
}

// In place of the network: an answer that tells its usage, and a stream that would only have told it at its end.
const usage = { prompt_tokens: 1000, completion_tokens: 250, prompt_tokens_details: { cached_tokens: 600 } }
const whole = JSON.stringify({ choices: [{ message: { content: "Once upon a time" }, finish_reason: "stop" }], usage })
const begun = ["Once", " upon"].map((content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`)
const open = () => new ReadableStream({ start: (out) => out.enqueue(new TextEncoder().encode(begun.join(""))) })
const network = TestHttpClient.layer(({ body }) => {
  const isStream = body._tag === "Raw" && String(body.body).includes('"stream":true')
  return isStream ? new Response(open()) : whole
})
const model = OpenAiLlm.layer({ model: "some-model" }).pipe(Layer.provide(network))

const dollars = (amount: number | undefined): string => (amount === undefined ? "no price" : `$${amount.toFixed(6)}`)

const calls = Effect.gen(function* () {
  const answer = yield* Llm.generateText("Tell me a story")
  console.log(`one answer: ${dollars(answer.cost)}`)

  // The reader leaves after two words. The provider has not told what they cost: it is estimated by their length.
  yield* Llm.streamText("Tell me a story").pipe(Stream.take(2), Stream.runDrain)

  const unknown = yield* Llm.generateText({ ...Llm.toRequest("Tell me a story"), model: "another-model" })
  console.log(`without a price: ${dollars(unknown.cost)}`)
})

const program = Effect.gen(function* () {
  // Every call inside is counted, however deep.
  const [, spent] = yield* Spending.track(calls)
  for (const { cost, model, outcome, usage } of spent.calls) {
    const about = usage.isEstimate === true ? "about " : ""
    console.log(`${model}, ${outcome}: ${about}${usage.inputTokens} + ${usage.outputTokens} tokens, ${dollars(cost)}`)
  }
  console.log(`in all: ${dollars(spent.cost)}`)
})

await Effect.runPromise(program.pipe(Effect.provideService(Price.Table, prices), Effect.provide(model)))
// Output:
// one answer: $0.003100
// without a price: no price
// some-model, ok: 1000 + 250 tokens, $0.003100
// some-model, interrupted: about 8 + 3 tokens, $0.000040
// another-model, ok: 1000 + 250 tokens, no price
// in all: $0.003140
