/** One conversation over several providers: each refuses what another one may have left in it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, DeepSeekLlm, GeminiLlm, Llm, Message, OpenAiLlm } from "holdfast/llm"
import { over, time, weather } from "../contract/Llm.ts"

const settings = (baseUrl: string) => ({ baseUrl, model: "some-model", apiKey: Redacted.make("sk-test") })
const http = UndiciHttpClient.layer()

const providers = {
  OpenAI: over("openai", (url) => Layer.provide(OpenAiLlm.layer(settings(url)), http)),
  DeepSeek: over("deepseek", (url) => Layer.provide(DeepSeekLlm.layer(settings(url)), http)),
  Anthropic: over("anthropic", (url) => Layer.provide(AnthropicLlm.layer(settings(url)), http)),
  Gemini: over("gemini", (url) => Layer.provide(GeminiLlm.layer(settings(url)), http))
}

const tools = [weather, time]

/** What the model asks for, and what comes of it. */
const withResults = (messages: ReadonlyArray<Message.Message>, { message, toolCalls }: Llm.Answer) => [
  ...messages,
  message,
  ...toolCalls.map((call) => Message.toolResult(call, "21"))
]

describe("a conversation", () => {
  for (const [from, first] of Object.entries(providers)) {
    for (const [to, second] of Object.entries(providers)) {
      it.live(`that called tools of ${from} goes on with ${to}, and back`, () =>
        Effect.gen(function* () {
          const question = [Message.user("tools")]
          const asked = yield* Effect.provide(Llm.generateText({ messages: question, tools }), first)
          assert.strictEqual(asked.toolCalls.length, 2)
          const messages = withResults(question, asked)
          const answered = yield* Effect.provide(Llm.generateText({ messages, tools }), second)
          assert.strictEqual(answered.text, "It is 21 degrees in Paris at noon.")
          // The same calls again: their ids are those of before.
          const again = withResults([...messages, answered.message, Message.user("And now?")], asked)
          for (const layer of [first, second]) {
            const last = yield* Effect.provide(Llm.generateText({ messages: again, tools }), layer)
            assert.strictEqual(last.text, answered.text)
          }
        })
      )
    }
  }

  it.live("that called tools of a model which does not reason goes on with DeepSeek, which asks for reasoning", () =>
    Effect.gen(function* () {
      const call = { id: "call_of_another", name: "get_weather", input: {}, inputText: "{}" }
      const turn = Message.turn({ text: "", toolCalls: [call] })
      const messages = [Message.user("reasoning-tools"), turn, Message.toolResult(call, "21")]
      assert.strictEqual((yield* Llm.generateText({ messages, tools })).text, "Sunny.")
    }).pipe(Effect.provide(providers.DeepSeek))
  )

  for (const [name, layer] of Object.entries(providers)) {
    it.live(`that speaks of tools goes on without tools, over ${name}`, () =>
      Effect.gen(function* () {
        const call = { id: "call_1", name: "get_weather", input: {}, inputText: "{}" }
        const messages = [
          Message.system(""),
          Message.user("text"),
          Message.turn({ text: "", reasoning: "hm", toolCalls: [call] }),
          // What came in between stands behind the result.
          Message.system("Be brief."),
          Message.user("Hurry up!"),
          Message.toolResult(call, "21"),
          Message.user("So?")
        ]
        const more = { toolChoice: "auto", parallelToolCalls: false, tools: [] } as const
        for (const request of [{ messages }, { messages, ...more }]) {
          assert.strictEqual((yield* Llm.generateText(request)).text, "Paris is the capital of France.")
        }
      }).pipe(Effect.provide(layer))
    )
  }
})
