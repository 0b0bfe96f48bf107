import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, type Layer, Redacted, Ref, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { DeepSeekLlm, Llm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient } from "holdfast/testing"
import { city, weather } from "../contract/Llm.ts"
import { startEndpoint } from "../fixtures/endpoint.ts"

interface Sent {
  readonly url: string
  readonly authorization: string | undefined
  readonly body: { readonly messages: ReadonlyArray<object> } & Readonly<Record<string, unknown>>
}

const answer = JSON.stringify({ choices: [{ message: { content: "hello" }, finish_reason: "stop" }] })

/** What a DeepSeek in memory was sent by these calls. */
const sentBy = <A, E, E2>(
  layer: Layer.Layer<Llm.Llm, E2, HttpClient.HttpClient>,
  calls: Effect.Effect<A, E, Llm.Llm>,
  replies: Parameters<typeof TestHttpClient.layer>[0] = answer
) =>
  Effect.gen(function* () {
    const result = yield* Effect.provide(calls, layer)
    const requests = yield* Ref.get(yield* TestHttpClient.Requests)
    const sent = requests.map(({ body, headers, url }): Sent => {
      const raw: Sent["body"] = JSON.parse(body._tag === "Raw" ? String(body.body) : "{}")
      return { url, authorization: headers.authorization, body: raw }
    })
    return { result, sent }
  }).pipe(Effect.provide(TestHttpClient.layer(replies)))

const options = { model: "deepseek-flash", apiKey: Redacted.make("sk-deep") }
const hi: Llm.Request = { messages: [{ role: "user", content: "hi" }] }

const events = (...chunks: ReadonlyArray<object>): Response =>
  new Response(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" }
  })
const delta = (fields: object, finish_reason?: string): object => ({ choices: [{ delta: fields, finish_reason }] })

describe("DeepSeekLlm", () => {
  it.effect("sends what DeepSeek reads", () =>
    Effect.gen(function* () {
      const calls = Effect.all([
        Llm.generateText({ ...hi, maxTokens: 9, extra: { user_id: "user-7" } }),
        Llm.generateText({ ...hi, reasoning: { effort: "none" } }),
        Llm.generateText({ ...hi, reasoning: { effort: "medium" } }),
        Llm.generateText({ ...hi, responseFormat: city })
      ])
      const { result, sent } = yield* sentBy(DeepSeekLlm.layer(options), calls)
      assert.isTrue(result.every(({ text }) => text === "hello"))
      const [plain, thoughtless, thinking, object] = sent
      assert.strictEqual(plain?.url, "https://api.deepseek.com/chat/completions")
      assert.strictEqual(plain?.authorization, "Bearer sk-deep")
      // Thinking is on unless it is turned off, so nothing is said.
      assert.deepStrictEqual(plain?.body, { ...hi, model: "deepseek-flash", max_tokens: 9, user_id: "user-7" })
      assert.deepStrictEqual(thoughtless?.body.thinking, { type: "disabled" })
      assert.deepInclude(thinking?.body, { thinking: { type: "enabled" }, reasoning_effort: "high" })
      assert.deepStrictEqual(object?.body.response_format, { type: "json_object" })
      assert.include(JSON.stringify(object?.body.messages), "JSON Schema")
    })
  )

  it.effect("gives the reasoning back on turns with tool calls, and on no others", () =>
    Effect.gen(function* () {
      const call = { id: "call_1", name: "get_weather", input: {}, inputText: "{}" }
      const turns: Llm.Request["messages"] = [
        ...hi.messages,
        { role: "assistant", content: "hello", reasoning: "a greeting" },
        { role: "user", content: "and the weather?" },
        { role: "assistant", content: "", reasoning: "look it up", toolCalls: [call] },
        { role: "tool", toolCallId: "call_1", toolName: "get_weather", content: "sunny" }
      ]
      const request = { messages: turns, tools: [weather] }
      const { sent } = yield* sentBy(DeepSeekLlm.layer(options), Llm.generateText(request))
      const messages = sent[0]?.body.messages ?? []
      assert.deepStrictEqual(messages[1], { role: "assistant", content: "hello" })
      assert.deepInclude(messages[3], { content: null, reasoning_content: "look it up" })
    })
  )

  it.effect("goes on from an answer's beginning at the beta address, wherever the API is", () =>
    Effect.gen(function* () {
      const addresses = [
        [undefined, "https://api.deepseek.com/chat/completions", "https://api.deepseek.com/beta/chat/completions"],
        [
          "https://proxy.test/deepseek/v1/",
          "https://proxy.test/deepseek/v1/chat/completions",
          "https://proxy.test/deepseek/beta/chat/completions"
        ]
      ] as const
      for (const [baseUrl, first, second] of addresses) {
        const policy = Policy.make({ retry: { base: 0 } })
        const layer = DeepSeekLlm.layer({ ...options, baseUrl, policy, onCut: "continue" })
        const asked = Stream.runFold(Llm.streamText("hi"), () => Llm.collected, Llm.collect)
        const { result, sent } = yield* sentBy(layer, asked, [
          events(delta({ content: "Paris is " })),
          events(delta({ content: "big." }, "stop"))
        ])
        assert.strictEqual(result.text, "Paris is big.")
        assert.deepStrictEqual(
          sent.map(({ url }) => url),
          [first, second]
        )
        assert.deepInclude(sent[1]?.body.messages.at(-1), { role: "assistant", content: "Paris is ", prefix: true })
      }
    })
  )

  it.live("is what the endpoint accepts, refusals by DeepSeek's own rules included", () =>
    Effect.gen(function* () {
      const endpoint = yield* Effect.acquireRelease(
        Effect.promise(() => startEndpoint("deepseek")),
        ({ close }) => Effect.promise(close)
      )
      const llm = DeepSeekLlm.layer({ ...options, baseUrl: endpoint.url })
      const refused = DeepSeekLlm.layer({ ...options, apiKey: Redacted.make("bad-key"), baseUrl: endpoint.url })
      const request: Llm.Request = { messages: [{ role: "user", content: "object" }], responseFormat: city }
      const { text } = yield* Effect.provide(Llm.generateText(request), llm)
      assert.deepStrictEqual(JSON.parse(text), { city: "Paris", population: 2102650 })
      const failure = yield* Effect.flip(Effect.provide(Llm.generateText("text"), refused))
      assert.deepStrictEqual([failure.code, failure.provider], ["Unauthorized", "deepseek"])
    }).pipe(Effect.provide(UndiciHttpClient.layer()))
  )

  describe("layerConfig", () => {
    const environment = (env: Readonly<Record<string, string>>) =>
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    const key = { DEEPSEEK_API_KEY: "sk-env" }
    const ask = Llm.generateText("hi")
    const where = (sent: ReadonlyArray<Sent>) => sent.map(({ authorization, url }) => [url, authorization])

    it.effect("reads the key and the address, and the options win", () =>
      Effect.gen(function* () {
        const { apiKey, model } = options
        const env = { ...key, DEEPSEEK_BASE_URL: "https://env.test" }
        const layer = DeepSeekLlm.layerConfig({ model })
        const own = DeepSeekLlm.layerConfig({ model, apiKey, baseUrl: "https://own.test" })
        const all = [
          yield* environment(key)(sentBy(layer, ask)),
          yield* environment(env)(sentBy(layer, ask)),
          yield* environment(env)(sentBy(own, ask))
        ]
        assert.deepStrictEqual(where(all.flatMap(({ sent }) => sent)), [
          ["https://api.deepseek.com/chat/completions", "Bearer sk-env"],
          ["https://env.test/chat/completions", "Bearer sk-env"],
          ["https://own.test/chat/completions", "Bearer sk-deep"]
        ])
      })
    )

    it.effect("keeps the variable's key from another server", () =>
      Effect.gen(function* () {
        const layer = DeepSeekLlm.layerConfig({ model: "m", baseUrl: "https://own.test" })
        const { sent } = yield* environment(key)(sentBy(layer, ask))
        assert.deepStrictEqual(where(sent), [["https://own.test/chat/completions", undefined]])
      })
    )

    it.effect("names the key that is missing", () =>
      Effect.gen(function* () {
        const call = sentBy(DeepSeekLlm.layerConfig({ model: "m" }), ask)
        for (const env of [{}, { DEEPSEEK_API_KEY: "" }]) {
          const { message } = yield* Effect.flip(environment(env)(call))
          assert.include(message, "DEEPSEEK_API_KEY")
        }
      })
    )
  })
})
