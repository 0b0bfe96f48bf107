import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Llm, OpenAiLlm, Price } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

const prices: Price.Prices = {
  "gpt-4o": { input: 2, output: 10, cachedInput: 1 },
  "gpt-4o-mini": { input: 0.2, output: 0.6 },
  "gpt-5": { input: 1, output: 8 },
  claude: { input: 3, output: 15, cachedInput: 0.3, cacheWriteInput: 3.75 }
}

describe("Price", () => {
  it.each([
    ["gpt-4o", 2],
    ["gpt-4o-2024-08-06", 2],
    ["gpt-4o-mini", 0.2],
    ["gpt-4o-mini-2024-07-18", 0.2],
    ["gpt-4o-latest", 2],
    ["gpt-5-preview-05-06", 1],
    ["claude@20250929", 3],
    // Another model, whatever its name begins with.
    ["gpt-5.5", undefined],
    ["gpt-5-pro", undefined],
    ["gpt-4", undefined],
    ["toString", undefined],
    ["", undefined]
  ])("of %s is %s", (model, input) => {
    assert.strictEqual(Price.priceOf(prices, model)?.input, input)
  })

  it("counts cached, written and fresh input apart", () => {
    const usage = {
      inputTokens: 1_000_000,
      outputTokens: 100_000,
      cachedInputTokens: 500_000,
      cacheWriteInputTokens: 100_000
    }
    // 0.4 × 3 + 0.5 × 0.3 + 0.1 × 3.75 + 0.1 × 15
    assert.closeTo(Price.costOf(prices, "claude", usage) ?? 0, 1.2 + 0.15 + 0.375 + 1.5, 1e-9)
    // Where cached input has no price of its own it is input.
    assert.closeTo(Price.costOf(prices, "gpt-4o-mini", usage) ?? 0, 0.2 + 0.06, 1e-9)
    assert.isUndefined(Price.costOf(prices, "somebody's own", usage))
  })

  it("has no price that is not above zero for its input", () => {
    for (const [model, price] of Object.entries(Price.listed)) assert.isAbove(price.input, 0, model)
  })

  const answers = (model: string) =>
    TestHttpClient.layer((request) => {
      const isStream = request.body._tag === "Raw" && String(request.body.body).includes('"stream":true')
      const usage = { prompt_tokens: 1_000_000, completion_tokens: 100_000 }
      return isStream
        ? new Response(
            `data: ${JSON.stringify({ model, choices: [{ delta: { content: "x" }, finish_reason: "stop" }], usage })}\n\n`,
            { headers: { "content-type": "text/event-stream" } }
          )
        : JSON.stringify({ model, usage, choices: [{ message: { content: "x" }, finish_reason: "stop" }] })
    })

  const llm = (model: string) =>
    OpenAiLlm.layer({ model: "asked", baseUrl: "http://llm.test/v1" }).pipe(Layer.provide(answers(model)))

  it.effect("is told with every answer and at the end of every stream", () =>
    Effect.gen(function* () {
      const { cost } = yield* Llm.generateText("hi")
      const end = yield* Stream.runLast(Llm.streamText("hi"))
      assert.strictEqual(cost, 3)
      assert.isTrue(end._tag === "Some" && end.value.type === "finish" && end.value.cost === 3)
    }).pipe(Effect.provide(llm("gpt-4o-2024-08-06")), Effect.provideService(Price.Table, prices))
  )

  it.effect("is left out for a model that the table does not have", () =>
    Effect.gen(function* () {
      assert.isUndefined((yield* Llm.generateText("hi")).cost)
    }).pipe(Effect.provide(llm("somebody's own")), Effect.provideService(Price.Table, prices))
  )
})
