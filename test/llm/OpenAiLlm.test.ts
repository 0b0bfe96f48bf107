import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Llm, Message, OpenAiLlm, TokenAuth } from "holdfast/llm"
import { Policy } from "holdfast/policy"

const secret = "sk-very-secret-key"

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Record<string, unknown>
}

/** An endpoint that answers the same to each request, in memory. */
const answering = (status: number, body: string, headers: Record<string, string> = {}, options = {}) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) => {
    const raw = request.body._tag === "Raw" ? String(request.body.body) : "{}"
    sent.push({ url: request.url, headers: { ...request.headers }, body: JSON.parse(raw) })
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
  })
  const layer = OpenAiLlm.layer({
    model: "the-model",
    apiKey: Redacted.make(secret),
    baseUrl: "http://llm.test/v1/",
    policy: Policy.make({ retry: { retries: 0 } }),
    ...options
  }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))
  return { layer, sent }
}

const good = JSON.stringify({
  model: "the-model-2026",
  choices: [{ index: 0, message: { content: "hello", reasoning_content: "hm" }, finish_reason: "length" }],
  usage: {
    prompt_tokens: 7,
    completion_tokens: 5,
    prompt_tokens_details: { cached_tokens: 4 },
    completion_tokens_details: { reasoning_tokens: 2 }
  }
})

describe("OpenAiLlm", () => {
  it.effect("sends what the protocol says and reads the answer", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good, { "x-request-id": "req-1" })
      const request: Llm.Request = {
        messages: [
          { role: "system", content: "be brief" },
          { role: "user", content: "hi" }
        ],
        maxTokens: 9,
        temperature: 0.5,
        topP: 0.9,
        stop: ["END"],
        seed: 3,
        idempotencyKey: "key-1",
        headers: { "x-extra": "yes" },
        extra: { user: "u-1" }
      }
      const answer = yield* Effect.provide(Llm.generateText(request), layer)
      assert.deepStrictEqual(sent[0]?.body, {
        model: "the-model",
        messages: request.messages,
        max_tokens: 9,
        temperature: 0.5,
        top_p: 0.9,
        stop: ["END"],
        seed: 3,
        user: "u-1"
      })
      assert.strictEqual(sent[0]?.url, "http://llm.test/v1/chat/completions")
      const { authorization, "idempotency-key": key, "x-extra": extra } = sent[0]?.headers ?? {}
      assert.deepStrictEqual([authorization, key, extra], [`Bearer ${secret}`, "key-1", "yes"])
      assert.deepInclude(answer, { text: "hello", reasoning: "hm", finishReason: "length", model: "the-model-2026" })
      assert.strictEqual(answer.requestId, "req-1")
      assert.deepStrictEqual(answer.usage, {
        inputTokens: 7,
        outputTokens: 5,
        cachedInputTokens: 4,
        reasoningTokens: 2
      })
      assert.deepStrictEqual(answer.raw, JSON.parse(good))
      assert.strictEqual(answer.attempts.length, 1)
    })
  )

  it.effect("asks a stream for its usage, unless told not to", () =>
    Effect.gen(function* () {
      const sse = `data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`
      const type = { "content-type": "text/event-stream" }
      const asked = answering(200, sse, type)
      yield* Stream.runDrain(Llm.streamText("hi")).pipe(Effect.provide(asked.layer))
      assert.deepStrictEqual(asked.sent[0]?.body.stream_options, { include_usage: true })
      const silent = answering(200, sse, type, { includeUsage: false })
      yield* Stream.runDrain(Llm.streamText("hi")).pipe(Effect.provide(silent.layer))
      assert.isUndefined(silent.sent[0]?.body.stream_options)
    })
  )

  it.effect("calls the limit max_completion_tokens at OpenAI itself", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good, {}, { baseUrl: undefined })
      yield* Effect.provide(Llm.generateText({ messages: [{ role: "user", content: "hi" }], maxTokens: 5 }), layer)
      assert.strictEqual(sent[0]?.url, "https://api.openai.com/v1/chat/completions")
      assert.strictEqual(sent[0]?.body.max_completion_tokens, 5)
    })
  )

  it.effect("refuses a request without messages before anything is sent", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good)
      const { reason } = yield* Effect.flip(Effect.provide(Llm.generateText({ messages: [] }), layer))
      assert.deepInclude(reason, { _tag: "InvalidRequest", phase: "notSent" })
      assert.strictEqual(sent.length, 0)
    })
  )

  it.effect("makes up ids that the conversation does not have, for a server that gives none", () =>
    Effect.gen(function* () {
      const named = { name: "look", arguments: "{}" }
      const call = (id: string): Message.ToolCall => ({ id, name: "look", input: {}, inputText: "{}" })
      const turn = Message.turn({ text: "", toolCalls: [call("own"), call("call_3")] })
      const messages = [
        Message.user("hi"),
        turn,
        ...[call("own"), call("call_3")].map((one) => Message.toolResult(one, "ok"))
      ]
      const body = (message: object) => JSON.stringify({ choices: [{ message, finish_reason: "tool_calls" }] })
      const streamed = (delta: object) =>
        `data: ${JSON.stringify({ choices: [{ delta, finish_reason: "tool_calls" }] })}\n\n`
      const several = [
        { index: 0, function: named },
        { index: 1, id: "given", function: named },
        { index: 2, function: named }
      ]
      for (const [said, ids] of [
        [{ tool_calls: several }, ["call_2", "given", "call_4"]],
        [{ function_call: named }, ["call_2"]]
      ] satisfies ReadonlyArray<readonly [object, ReadonlyArray<string>]>) {
        const { layer } = answering(200, body(said))
        const whole = yield* Effect.provide(Llm.generateText({ messages }), layer)
        assert.deepStrictEqual(
          whole.toolCalls.map(({ id }) => id),
          ids
        )
        const { layer: streams } = answering(200, streamed(said), { "content-type": "text/event-stream" })
        const collected = Stream.runFold(Llm.streamText({ messages }), () => Llm.collected, Llm.collect)
        assert.deepStrictEqual(
          (yield* Effect.provide(collected, streams)).toolCalls.map(({ id }) => id),
          ids
        )
      }
    })
  )

  it.effect("takes apart an address that holds its bytes, and chooses among no tools", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good)
      const content = [
        { type: "image", url: "data:image/png;charset=utf-8;base64,iVBORw==" },
        { type: "file", url: "data:application/pdf;base64,JVBERg==" }
      ] as const
      const request = {
        messages: [Message.user(content)],
        tools: [],
        toolChoice: "auto",
        parallelToolCalls: false
      } as const
      yield* Effect.provide(Llm.generateText(request), layer)
      assert.deepStrictEqual(sent[0]?.body, {
        model: "the-model",
        messages: [
          {
            role: "user",
            content: [
              { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw==" } },
              { type: "file", file: { filename: "file", file_data: "data:application/pdf;base64,JVBERg==" } }
            ]
          }
        ]
      })
    })
  )

  it.effect("says when the base URL is none", () =>
    Effect.gen(function* () {
      const { layer } = answering(200, good, {}, { baseUrl: "nonsense" })
      const { message, reason } = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), layer))
      assert.strictEqual(reason._tag, "InvalidRequest")
      assert.include(message, "base URL")
    })
  )

  it.effect("sends a token of its source in the place of a key, by the word that is wanted", () =>
    Effect.gen(function* () {
      const fetch = Effect.succeed({ value: Redacted.make("a-token") })
      const auth = yield* TokenAuth.make({ name: "the tokens", fetch })
      const { layer, sent } = answering(200, good, {}, { apiKey: undefined, auth, scheme: "Api-Key" })
      yield* Effect.provide(Llm.generateText("hi"), layer)
      assert.strictEqual(sent[0]?.headers.authorization, "Api-Key a-token")
    })
  )

  it.effect("sends no authorization where there is none", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good, {}, { apiKey: undefined })
      yield* Effect.provide(Llm.generateText("hi"), layer)
      assert.notProperty(sent[0]?.headers, "authorization")
    })
  )

  describe("layerConfig", () => {
    const own = { model: "the-model" }
    /** Where a layer sends its calls in this environment, and with what. */
    const sentIn = (env: Readonly<Record<string, string>>, options: OpenAiLlm.Options = own) => {
      const sent: Array<readonly [string, string | undefined]> = []
      const client = HttpClient.make((request) => {
        sent.push([request.url, request.headers.authorization])
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(good)))
      })
      return Effect.provide(Llm.generateText("hi"), OpenAiLlm.layerConfig(options)).pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
        Effect.as(sent)
      )
    }
    const openai = "https://api.openai.com/v1"

    it.effect("reads the key and the address", () =>
      Effect.gen(function* () {
        const key = { OPENAI_API_KEY: "sk-env" }
        const url = { OPENAI_BASE_URL: "http://local.test/v1" }
        assert.deepStrictEqual(yield* sentIn(key), [[`${openai}/chat/completions`, "Bearer sk-env"]])
        assert.deepStrictEqual(yield* sentIn({ ...key, ...url }), [
          ["http://local.test/v1/chat/completions", "Bearer sk-env"]
        ])
        // A server of one's own may want no key; a variable that is set to nothing is not set.
        assert.deepStrictEqual(yield* sentIn({ ...url, OPENAI_API_KEY: "" }), [
          ["http://local.test/v1/chat/completions", undefined]
        ])
      })
    )

    it.effect("lets the options win, and keeps the variable's key from another server", () =>
      Effect.gen(function* () {
        const env = { OPENAI_API_KEY: "sk-env", OPENAI_BASE_URL: "http://local.test/v1" }
        const apiKey = Redacted.make("sk-own")
        const elsewhere = { ...own, baseUrl: "https://other.test/v1" }
        assert.deepStrictEqual(yield* sentIn(env, { ...own, apiKey }), [
          ["http://local.test/v1/chat/completions", "Bearer sk-own"]
        ])
        assert.deepStrictEqual(yield* sentIn(env, { ...own, baseUrl: openai }), [
          [`${openai}/chat/completions`, "Bearer sk-env"]
        ])
        assert.deepStrictEqual(yield* sentIn(env, elsewhere), [["https://other.test/v1/chat/completions", undefined]])
        assert.deepStrictEqual(yield* sentIn(env, { ...elsewhere, apiKey }), [
          ["https://other.test/v1/chat/completions", "Bearer sk-own"]
        ])
      })
    )

    it.effect("names the key that is missing", () =>
      Effect.gen(function* () {
        for (const env of [{}, { OPENAI_API_KEY: "  " }, { OPENAI_BASE_URL: `${openai}/` }]) {
          const error = yield* Effect.flip(sentIn(env))
          assert.strictEqual(error._tag, "ConfigError")
          assert.include(error.message, "set OPENAI_API_KEY")
        }
      })
    )
  })
})
