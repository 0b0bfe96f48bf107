/** Tool loops over real HTTP: what each provider wants to see again in the next request is checked by the endpoint. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, GeminiLlm, Llm, OpenAiLlm, ToolLoop } from "holdfast/llm"
import { over } from "../contract/Llm.ts"

const weather = ToolLoop.tool({
  name: "get_weather",
  description: "The weather of a city for some days",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Int) }),
  run: ({ city, days }) => Effect.succeed(`${days} warm days in ${city}`)
})
const time = ToolLoop.tool({
  name: "get_time",
  description: "The time of day",
  run: () => Effect.fail(new Error("the clock stands still"))
})

const settings = (baseUrl: string) => ({ baseUrl, model: "some-model", apiKey: Redacted.make("sk-test") })
const http = UndiciHttpClient.layer()

const providers = {
  OpenAI: over("openai", (url) => Layer.provide(OpenAiLlm.layer(settings(url)), http)),
  DeepSeek: over("deepseek", (url) =>
    Layer.provide(
      OpenAiLlm.layer({ ...settings(url), provider: "deepseek", jsonSchema: false, thinking: "deepseek" }),
      http
    )
  ),
  Anthropic: over("anthropic", (url) => Layer.provide(AnthropicLlm.layer(settings(url)), http)),
  Gemini: over("gemini", (url) => Layer.provide(GeminiLlm.layer(settings(url)), http))
}

const answer = "It is 21 degrees in Paris at noon."
const results = ["2 warm days in Paris", "Error: the clock stands still"]

describe("ToolLoop over HTTP", () => {
  for (const [name, layer] of Object.entries(providers)) {
    it.live(`goes on with what came of the tools of ${name}, whole and streamed`, () =>
      Effect.gen(function* () {
        const { attempts, rounds, text } = yield* ToolLoop.run([weather, time], "tools")
        assert.deepStrictEqual([text, attempts.length], [answer, 2])
        assert.deepStrictEqual(
          rounds[0]?.results.map(({ content }) => content),
          results
        )
        const events = yield* Stream.runCollect(ToolLoop.stream([weather, time], "tools"))
        const finish = events.at(-1)
        assert.isTrue(finish?.type === "finish" && finish.text === answer && finish.attempts.length === 2)
        assert.sameMembers(
          events.flatMap((event) => (event.type === "toolResult" ? [event.content] : [])),
          results
        )
      }).pipe(Effect.provide(layer))
    )
  }

  it.live("leaves a conversation that goes on with the next question, with tools and without", () =>
    Effect.gen(function* () {
      const first = yield* ToolLoop.run([weather, time], "tools")
      const messages = [...first.messages, { role: "user", content: "And tomorrow?" } as const]
      for (const tools of [[weather.spec, time.spec], [], undefined]) {
        assert.strictEqual((yield* Llm.generateText({ messages, tools })).text, answer)
      }
    }).pipe(Effect.provide(providers.Anthropic))
  )

  it.live("tells a result with half of a letter, which Anthropic would refuse", () =>
    Effect.gen(function* () {
      const torn = { ...weather, call: () => Effect.succeed({ outcome: "ok", output: "warm \ud83d" } as const) }
      const { text } = yield* ToolLoop.run([torn, time], "tools")
      assert.strictEqual(text, answer)
    }).pipe(Effect.provide(providers.Anthropic))
  )
})
