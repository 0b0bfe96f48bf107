/** Give a model tools with Effect's own Toolkit and Chat, over any provider: here OpenAI, then Anthropic. */
import { Effect, Layer, Redacted, Schema } from "effect"
import { Chat, Tool, Toolkit } from "effect/ai"
import { AnthropicLlm, LlmLanguageModel, OpenAiLlm } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

const Weather = Tool.make("get_weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ degrees: Schema.Int })
})

const Tools = Toolkit.make(Weather)

const handlers = Tools.toLayer({
  get_weather: ({ city }) =>
    Effect.sync(() => {
      console.log(`  looks up the weather of ${city}`)
      return { degrees: 21 }
    })
})

// The program knows effect/ai and no provider. It asks until no tool is asked for, ten times at most.
const program = Effect.gen(function* () {
  const chat = yield* Chat.fromPrompt([{ role: "system", content: "Be brief." }])
  let answer = yield* chat.generateText({ prompt: "How warm is it in Paris?", toolkit: Tools })
  for (let round = 1; round < 10 && answer.finishReason === "tool-calls"; round++) {
    answer = yield* chat.generateText({ prompt: [], toolkit: Tools })
  }
  return answer.text
})

// In place of two networks.
const openaiNetwork = TestHttpClient.layer((_, call) =>
  JSON.stringify({
    choices: [
      call === 1
        ? {
            message: {
              role: "assistant",
              tool_calls: [
                { id: "1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } }
              ]
            },
            finish_reason: "tool_calls"
          }
        : { message: { role: "assistant", content: "21 degrees" }, finish_reason: "stop" }
    ]
  })
)
const anthropicNetwork = TestHttpClient.layer((_, call) =>
  JSON.stringify(
    call === 1
      ? {
          content: [{ type: "tool_use", id: "1", name: "get_weather", input: { city: "Paris" } }],
          stop_reason: "tool_use"
        }
      : { content: [{ type: "text", text: "It is 21 °C." }], stop_reason: "end_turn" }
  )
)

const apiKey = Redacted.make("your key")
const openai = Layer.provide(OpenAiLlm.layer({ model: "some-model", apiKey }), openaiNetwork)
const anthropic = Layer.provide(AnthropicLlm.layer({ model: "some-model", apiKey }), anthropicNetwork)

for (const [name, llm] of [
  ["OpenAI", openai],
  ["Anthropic", anthropic]
] as const) {
  console.log(`${name}:`)
  // Retries, limits, times and prices are those of the Llm below.
  const model = Layer.provide(LlmLanguageModel.layerText({ maxTokens: 500 }), llm)
  const text = await Effect.runPromise(program.pipe(Effect.provide([model, handlers])))
  console.log(`  answers: ${text}`)
}
// Output:
// OpenAI:
//   looks up the weather of Paris
//   answers: 21 degrees
// Anthropic:
//   looks up the weather of Paris
//   answers: It is 21 °C.
