/** Every answer of the fixtures of OpenAI and DeepSeek, whole and streamed, over endpoints as strict as the real ones. */
import { assert, layer as testLayer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { DeepSeekLlm, Llm, Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { city, time, weather } from "../contract/Llm.ts"
import { casesOf, type Endpoint, startEndpoint } from "../fixtures/endpoint.ts"

type Provider = "openai" | "deepseek"

/** What an answer says; what is left out is empty. */
interface Said {
  readonly text?: string
  readonly reasoning?: string
  readonly refusal?: string
  /** `[id, name, input]` */
  readonly calls?: ReadonlyArray<readonly [string, string, unknown]>
  /** Default: `"stop"`. */
  readonly finishReason?: Llm.FinishReason
  /** Input and output tokens, of these from the cache and for reasoning; `undefined` where the provider does not say. */
  readonly tokens: readonly [number, number, number?, number?]
  /** Default: the provider's own. */
  readonly model?: string
}

interface Case {
  /** What the request has besides its question. */
  readonly asks?: Partial<Llm.Request>
  /** The turns after the question. */
  readonly turns?: ReadonlyArray<Message.Message>
  readonly says: Said | { readonly fails: string }
}

const france = "Paris is the capital of France."
const both = { tools: [weather, time] }
const object = '{"city":"Paris","population":2102650}'
const json: Partial<Llm.Request> = { responseFormat: { type: "json" } }

const weatherCall = { id: "call_1", name: "get_weather", input: { city: "Paris" }, inputText: '{"city":"Paris"}' }
const timeCall = { id: "call_2", name: "get_time", input: {}, inputText: "{}" }
const results: ReadonlyArray<Message.Message> = [
  { role: "assistant", content: "Let me look.", toolCalls: [weatherCall, timeCall] },
  { role: "tool", toolCallId: "call_1", toolName: "get_weather", content: "21 degrees" },
  { role: "tool", toolCallId: "call_2", toolName: "get_time", content: "noon" }
]
const corrected: ReadonlyArray<Message.Message> = [
  { role: "assistant", content: '{"city":"Paris"}' },
  { role: "user", content: "population is missing" }
]

const calls: Said["calls"] = [
  ["call_1", "get_weather", { city: "Paris", days: 2 }],
  ["call_2", "get_time", {}]
]

const openai: Readonly<Record<string, Case>> = {
  text: { says: { text: france, tokens: [12, 7, 0, 0] } },
  unicode: { says: { text: "naïve 🎉🚀 日本語", tokens: [15, 11, 0, 0] } },
  length: { says: { text: "Paris is", finishReason: "length", tokens: [12, 2, 0, 0] } },
  cached: { says: { text: france, tokens: [12, 7, 8, 0] } },
  reasoning: { says: { text: "Paris.", reasoning: "France, so Paris.", tokens: [12, 9, 0, 5] } },
  refusal: { says: { refusal: "I cannot help with that.", finishReason: "contentFilter", tokens: [12, 8, 0, 0] } },
  tools: { asks: both, says: { text: "Let me look.", calls, finishReason: "toolCalls", tokens: [85, 38, 0, 0] } },
  "tools-after": {
    asks: both,
    turns: results,
    says: { text: "It is 21 degrees in Paris at noon.", tokens: [130, 10, 0, 0] }
  },
  object: { asks: { responseFormat: city }, says: { text: object, tokens: [40, 12, 0, 0] } },
  "object-bad": { asks: { responseFormat: city }, says: { text: '{"city":"Paris"}', tokens: [40, 6, 0, 0] } },
  "object-bad-after": {
    asks: { responseFormat: city },
    turns: corrected,
    says: { text: object, tokens: [70, 12, 0, 0] }
  },
  image: {
    asks: {
      messages: [
        Message.user([
          { type: "text", text: "image" },
          { type: "image", data: new Uint8Array([1, 2, 3]), mediaType: "image/png" }
        ])
      ]
    },
    says: { text: "I see it.", tokens: [270, 5, 0, 0] }
  },
  file: {
    asks: {
      messages: [
        Message.user([
          { type: "text", text: "file" },
          { type: "file", data: new Uint8Array([1, 2, 3]), mediaType: "application/pdf", name: "a.pdf" }
        ])
      ]
    },
    says: { text: "I see it.", tokens: [1570, 5, 0, 0] }
  },
  // The answer is the first of the two; the other one and the probabilities are in `raw`.
  logprobs: {
    asks: { extra: { logprobs: true, n: 2, top_logprobs: 2 } },
    says: { text: "Paris.", tokens: [12, 4, 0, 0] }
  },
  extras: { says: { text: france, finishReason: "other", tokens: [12, 7], model: "house-model" } }
}

const reasoned: ReadonlyArray<Message.Message> = [
  { role: "assistant", content: "", reasoning: "The weather needs a look.", toolCalls: [weatherCall] },
  { role: "tool", toolCallId: "call_1", toolName: "get_weather", content: "sunny" }
]

const deepseek: Readonly<Record<string, Case>> = {
  text: { says: { text: france, tokens: [12, 7, 0] } },
  unicode: { says: { text: "naïve 🎉🚀 日本語", tokens: [15, 11, 0] } },
  length: { says: { text: "Paris is", finishReason: "length", tokens: [12, 2, 0] } },
  cached: { says: { text: france, tokens: [12, 7, 8] } },
  // Blank lines before a body, comments in a stream.
  "keep-alive": { says: { text: france, tokens: [12, 7, 0] } },
  reasoning: {
    asks: { reasoning: { effort: "medium" } },
    says: { text: "Paris.", reasoning: "France, so Paris.", tokens: [12, 9, 0, 5] }
  },
  "reasoning-tools": {
    asks: { tools: [weather] },
    says: {
      reasoning: "The weather needs a look.",
      calls: [["call_1", "get_weather", { city: "Paris" }]],
      finishReason: "toolCalls",
      tokens: [85, 30, 0, 5]
    }
  },
  // Refused by the endpoint, as by DeepSeek, without the reasoning of the turn before.
  "reasoning-tools-after": {
    asks: { tools: [weather] },
    turns: reasoned,
    says: { text: "Sunny.", tokens: [120, 3, 0, 0] }
  },
  refusal: { says: { finishReason: "contentFilter", tokens: [12, 0, 0] } },
  tools: { asks: both, says: { text: "Let me look.", calls, finishReason: "toolCalls", tokens: [85, 38, 0] } },
  "tools-after": {
    asks: both,
    turns: results,
    says: { text: "It is 21 degrees in Paris at noon.", tokens: [130, 10, 0] }
  },
  // The schema is told in words: DeepSeek knows JSON, and refuses a schema.
  object: { asks: { responseFormat: city }, says: { text: object, tokens: [40, 12, 0] } },
  "object-bad": { asks: { responseFormat: city }, says: { text: '{"city":"Paris"}', tokens: [40, 6, 0] } },
  "object-bad-after": { asks: { responseFormat: city }, turns: corrected, says: { text: object, tokens: [70, 12, 0] } },
  "blank-json": { asks: json, says: { fails: "InvalidResponse" } },
  "no-capacity": { says: { fails: "Overloaded" } },
  extras: { says: { text: france, finishReason: "other", tokens: [12, 7], model: "deepseek-house" } }
}

const tables: Readonly<Record<Provider, Readonly<Record<string, Case>>>> = { openai, deepseek }
const models: Readonly<Record<Provider, string>> = { openai: "gpt-5.2-2026-06-11", deepseek: "deepseek-flash" }

const shared = { apiKey: Redacted.make("sk-secret"), policy: Policy.make({ retry: { retries: 0 } }) }

const llms = {
  openai: (baseUrl: string) => OpenAiLlm.layer({ ...shared, model: "gpt-5.2", baseUrl }),
  deepseek: (baseUrl: string) => DeepSeekLlm.layer({ ...shared, model: "deepseek-flash", baseUrl })
}

class Server extends Context.Service<Server, Endpoint>()("test/Server") {}

const serving = (name: Provider): Layer.Layer<Server | Llm.Llm> => {
  const server = Layer.effect(
    Server,
    Effect.acquireRelease(
      Effect.promise(() => startEndpoint(name)),
      (endpoint) => Effect.promise(() => endpoint.close())
    )
  )
  const llm = Layer.unwrap(Effect.map(Server, ({ url }) => llms[name](url)))
  return Layer.provideMerge(Layer.provide(llm, UndiciHttpClient.layer()), server)
}

/** The question's first line is the name of the case. */
const requestOf = (name: string, { asks, turns = [] }: Case): Llm.Request => {
  const question = Message.user(`${name.replace(/-after$/, "")}\nAnswer in JSON where you are asked to.`)
  return { messages: [question, ...turns], ...asks }
}

const usageOf = ([inputTokens, outputTokens, cached, reasoning]: Said["tokens"]) => ({
  inputTokens,
  outputTokens,
  ...(cached === undefined ? {} : { cachedInputTokens: cached }),
  ...(reasoning === undefined ? {} : { reasoningTokens: reasoning })
})

/** What the answer and the stream of it have in common. */
const check = (answer: Omit<Llm.Answer, "raw">, said: Said, provider: Provider): void => {
  assert.deepStrictEqual(
    {
      text: answer.text,
      reasoning: answer.reasoning ?? "",
      refusal: answer.refusal ?? "",
      calls: answer.toolCalls.map(({ id, input, name }) => [id, name, input] as const),
      finishReason: answer.finishReason,
      usage: answer.usage,
      model: answer.model,
      attempts: answer.attempts.map(({ outcome }) => outcome)
    },
    {
      text: said.text ?? "",
      reasoning: said.reasoning ?? "",
      refusal: said.refusal ?? "",
      calls: said.calls ?? [],
      finishReason: said.finishReason ?? "stop",
      usage: usageOf(said.tokens),
      model: said.model ?? models[provider],
      attempts: ["ok"]
    }
  )
  assert.match(answer.requestId ?? "", /^req_\d+$/)
  const { content, toolCalls = [] } = answer.message
  assert.deepStrictEqual([content, toolCalls], [answer.text, answer.toolCalls])
}

for (const provider of ["openai", "deepseek"] as const) {
  testLayer(serving(provider))(`OpenAiLlm over the fixtures of ${provider}`, (it) => {
    it("knows each of them", () => {
      assert.sameMembers(Object.keys(tables[provider]), [...casesOf(provider)])
    })

    const cases = Object.entries(tables[provider])

    it.effect.each(cases)("reads %s whole", ([name, one]) =>
      Effect.gen(function* () {
        const call = Llm.generateText(requestOf(name, one))
        if ("fails" in one.says) {
          assert.strictEqual((yield* Effect.flip(call)).code, one.says.fails)
          return
        }
        check(yield* call, one.says, provider)
      })
    )

    it.effect.each(cases)("reads %s as a stream", ([name, one]) =>
      Effect.gen(function* () {
        const events: Array<Llm.StreamEvent> = []
        const reading = Stream.runForEach(Llm.streamText(requestOf(name, one)), (event) =>
          Effect.sync(() => events.push(event))
        )
        if ("fails" in one.says) {
          assert.strictEqual((yield* Effect.flip(reading)).code, one.says.fails)
          assert.isFalse(events.some(({ type }) => type === "finish" || type === "toolCall"))
          return
        }
        yield* reading
        const { finish, ...said } = events.reduce(Llm.collect, Llm.collected)
        if (finish === undefined || events.at(-1) !== finish) return assert.fail("the last event is no finish")
        check({ ...finish, ...said }, one.says, provider)
      })
    )
  })
}

testLayer(serving("openai"))("OpenAiLlm", (it) => {
  it.effect("keeps what it does not read in raw", () =>
    Effect.gen(function* () {
      const request = requestOf("logprobs", openai.logprobs ?? assert.fail())
      const { raw } = yield* Llm.generateText(request)
      const { choices }: { choices: ReadonlyArray<{ logprobs: { content: ReadonlyArray<{ token: string }> } }> } =
        JSON.parse(JSON.stringify(raw))
      assert.deepStrictEqual(
        choices.map(({ logprobs }) => logprobs.content.map(({ token }) => token).join("")),
        ["Paris.", "Lyon?"]
      )
    })
  )

  it.effect("tells no tool call before all of its fragments are here", () =>
    Effect.gen(function* () {
      const events = yield* Stream.runCollect(Llm.streamText(requestOf("tools", openai.tools ?? assert.fail())))
      assert.deepStrictEqual(
        events.map(({ type }) => type),
        ["text", "text", "toolCall", "toolCall", "finish"]
      )
    })
  )

  it.effect("reads an answer that comes byte by byte", () =>
    Effect.gen(function* () {
      const answer = yield* Llm.generateText("unicode@bytes")
      const { text } = yield* Stream.runFold(Llm.streamText("unicode@bytes"), () => Llm.collected, Llm.collect)
      assert.deepStrictEqual([answer.text, text], ["naïve 🎉🚀 日本語", "naïve 🎉🚀 日本語"])
    })
  )
})
