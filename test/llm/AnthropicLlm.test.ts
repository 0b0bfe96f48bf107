import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { AnthropicLlm, Llm, Message, Spending } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { inspect } from "node:util"

const secret = "sk-ant-very-secret-key"

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Record<string, unknown>
}

type Options = Partial<Parameters<typeof AnthropicLlm.layer>[0]>

/** An endpoint that answers one body after the other, in memory; the last one again and again. */
const endpoint = (bodies: ReadonlyArray<string>, headers: Record<string, string> = {}) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) => {
    const raw = request.body._tag === "Raw" ? String(request.body.body) : "{}"
    const body = bodies[Math.min(sent.length, bodies.length - 1)] ?? ""
    sent.push({ url: request.url, headers: { ...request.headers }, body: JSON.parse(raw) })
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { headers })))
  })
  return { http: Layer.succeed(HttpClient.HttpClient, client), sent }
}

const once = Policy.make({ retry: { retries: 0 } })

const answering = (bodies: ReadonlyArray<string>, headers: Record<string, string>, options: Options = {}) => {
  const { http, sent } = endpoint(bodies, headers)
  const layer = AnthropicLlm.layer({
    model: "the-model",
    apiKey: Redacted.make(secret),
    baseUrl: "http://llm.test",
    policy: once,
    ...options
  })
  return { layer: Layer.provide(layer, http), sent }
}

const whole = (fields: object, options?: Options) =>
  answering([JSON.stringify({ type: "message", content: [], ...fields })], {}, options)

const events = (list: ReadonlyArray<object>): string =>
  list.map((data) => `event: ${"type" in data ? String(data.type) : ""}\ndata: ${JSON.stringify(data)}\n\n`).join("")

const sse = { "content-type": "text/event-stream" }

const streaming = (list: ReadonlyArray<object>, options?: Options) => answering([events(list)], sse, options)

const start = (usage: object = { input_tokens: 4, output_tokens: 1 }) => ({
  type: "message_start",
  message: { type: "message", model: "the-model-2026", content: [], usage }
})
const opened = (index: number, content_block: object) => ({ type: "content_block_start", index, content_block })
const delta = (index: number, type: string, name: string, value: unknown) => ({
  type: "content_block_delta",
  index,
  delta: { type, [name]: value }
})
const text = (index: number, said: string) => delta(index, "text_delta", "text", said)
const json = (index: number, said: string) => delta(index, "input_json_delta", "partial_json", said)
const ended = (stop_reason: string, usage: object = { output_tokens: 9 }) => [
  { type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage },
  { type: "message_stop" }
]

/** What is sent for a request. */
const bodyOf = (request: Partial<Llm.Request>, options?: Options) => {
  const { layer, sent } = whole({}, options)
  const asked = Llm.generateText({ messages: [Message.user("hi")], ...request })
  return Effect.map(Effect.provide(asked, layer), () => sent[0]?.body ?? {})
}

/** Why a request is not sent. */
const refusalOf = (request: Partial<Llm.Request>, options?: Options) =>
  Effect.gen(function* () {
    const { layer, sent } = whole({}, options)
    const asked = Llm.generateText({ messages: [Message.user("hi")], ...request })
    const { message, reason } = yield* Effect.flip(Effect.provide(asked, layer))
    assert.deepInclude(reason, { _tag: "InvalidRequest", phase: "notSent" })
    assert.strictEqual(sent.length, 0)
    return message
  })

const collectedOf = (request: Llm.Input) => Stream.runFold(Llm.streamText(request), () => Llm.collected, Llm.collect)

const call = (id: string, name: string, input: unknown): Message.ToolCall => ({
  id,
  name,
  input,
  inputText: JSON.stringify(input)
})

describe("AnthropicLlm sends", () => {
  it.effect("what the protocol says, and reads the answer", () =>
    Effect.gen(function* () {
      const answer = {
        model: "the-model-2026",
        content: [
          { type: "thinking", thinking: "hm", signature: "sig" },
          { type: "text", text: "hel", citations: null },
          { type: "text", text: "lo" }
        ],
        stop_reason: "max_tokens",
        usage: {
          input_tokens: 4,
          cache_creation_input_tokens: 3,
          cache_read_input_tokens: 5,
          output_tokens: 7,
          output_tokens_details: { thinking_tokens: 2 }
        }
      }
      const body = JSON.stringify({ type: "message", ...answer })
      const { layer, sent } = answering([body], { "request-id": "req-1" }, { betas: ["one-2026", "two-2026"] })
      const request: Llm.Request = {
        messages: [Message.system("be brief"), Message.user("hi"), Message.system("and kind")],
        maxTokens: 9,
        stop: ["END"],
        seed: 3,
        idempotencyKey: "key-1",
        headers: { "x-extra": "yes" },
        extra: { metadata: { user_id: "u-1" } }
      }
      const got = yield* Effect.provide(Llm.generateText(request), layer)
      assert.strictEqual(sent[0]?.url, "http://llm.test/v1/messages")
      assert.deepStrictEqual(sent[0]?.body, {
        model: "the-model",
        max_tokens: 9,
        system: "be brief\n\nand kind",
        messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
        stop_sequences: ["END"],
        metadata: { user_id: "u-1" }
      })
      assert.deepInclude(sent[0]?.headers, {
        authorization: `Bearer ${secret}`,
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "one-2026,two-2026",
        "idempotency-key": "key-1",
        "x-extra": "yes"
      })
      assert.deepInclude(got, { text: "hello", reasoning: "hm", finishReason: "length", model: "the-model-2026" })
      assert.deepInclude(got, { requestId: "req-1", toolCalls: [], raw: JSON.parse(body) })
      assert.deepStrictEqual(got.usage, {
        inputTokens: 12,
        outputTokens: 7,
        cachedInputTokens: 5,
        cacheWriteInputTokens: 3,
        reasoningTokens: 2
      })
      assert.deepStrictEqual(got.message.native, { format: "anthropic", content: answer.content })
    })
  )

  it.effect("the key in the header that is asked for, and none where there is no key", () =>
    Effect.gen(function* () {
      const plain = whole({}, { authScheme: "x-api-key" })
      yield* Effect.provide(Llm.generateText("hi"), plain.layer)
      assert.strictEqual(plain.sent[0]?.headers["x-api-key"], secret)
      assert.notProperty(plain.sent[0]?.headers, "authorization")
      const none = whole({}, { apiKey: undefined })
      yield* Effect.provide(Llm.generateText("hi"), none.layer)
      assert.notProperty(none.sent[0]?.headers, "authorization")
      assert.notProperty(none.sent[0]?.headers, "x-api-key")
      assert.notProperty(none.sent[0]?.headers, "anthropic-beta")
    })
  )

  it.effect.each([
    [undefined, "https://api.anthropic.com/v1/messages"],
    ["http://proxy.test/anthropic", "http://proxy.test/anthropic/v1/messages"],
    ["http://proxy.test/anthropic/v1", "http://proxy.test/anthropic/v1/messages"],
    ["http://proxy.test/v1/", "http://proxy.test/v1/messages"]
  ])("to the address %s as %s", ([baseUrl, url]) =>
    Effect.gen(function* () {
      const { layer, sent } = whole({}, { baseUrl })
      yield* Effect.provide(Llm.generateText("hi"), layer)
      assert.strictEqual(sent[0]?.url, url)
    })
  )

  it.effect("a bound on tokens where the request has none, with the thinking budget on top", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* bodyOf({})).max_tokens, 16_384)
      assert.strictEqual((yield* bodyOf({}, { maxTokens: 500 })).max_tokens, 500)
      assert.strictEqual((yield* bodyOf({ maxTokens: 5 }, { maxTokens: 500 })).max_tokens, 5)
      const budget = { reasoning: { budgetTokens: 2000 } }
      assert.strictEqual((yield* bodyOf(budget, { maxTokens: 500 })).max_tokens, 2500)
      assert.strictEqual((yield* bodyOf({ ...budget, maxTokens: 3000 })).max_tokens, 3000)
    })
  )

  it.effect("temperature and topP to the version that has them, and says so to who asks the other", () =>
    Effect.gen(function* () {
      const { temperature, top_p } = yield* bodyOf({ temperature: 0.5, topP: 0.9 }, { version: "2023-06-01" })
      assert.deepStrictEqual([temperature, top_p], [0.5, 0.9])
      for (const one of [{ temperature: 1 }, { topP: 1 }]) {
        const message = yield* refusalOf(one)
        assert.include(message, "2026-10-21")
        assert.include(message, 'version: "2023-06-01"')
      }
    })
  )

  it.effect("pictures and documents as bytes and as addresses", () =>
    Effect.gen(function* () {
      const { messages } = yield* bodyOf({
        messages: [
          Message.user([
            { type: "text", text: "look" },
            Message.image(Uint8Array.of(1, 2, 3), "image/png"),
            { type: "image", url: "https://pictures.test/a.png" },
            { type: "image", url: "data:image/gif;base64,AQID" },
            Message.file("AQID", "application/pdf", "paper.pdf"),
            { type: "file", url: "https://papers.test/a.pdf" },
            Message.file(new TextEncoder().encode("naïve"), "text/markdown", "notes.md"),
            Message.file("bmHDr3Zl", "text/plain")
          ])
        ]
      })
      const base64 = (media_type: string) => ({ type: "base64", media_type, data: "AQID" })
      const plain = { type: "text", media_type: "text/plain", data: "naïve" }
      assert.deepStrictEqual(messages, [
        {
          role: "user",
          content: [
            { type: "text", text: "look" },
            { type: "image", source: base64("image/png") },
            { type: "image", source: { type: "url", url: "https://pictures.test/a.png" } },
            { type: "image", source: base64("image/gif") },
            { type: "document", source: base64("application/pdf"), title: "paper.pdf" },
            { type: "document", source: { type: "url", url: "https://papers.test/a.pdf" } },
            { type: "document", source: plain, title: "notes.md" },
            { type: "document", source: plain }
          ]
        }
      ])
      const broken = [Message.user([Message.file("no base64", "text/plain")])]
      assert.include(yield* refusalOf({ messages: broken }), "base64")
    })
  )

  it.effect("all results of a turn in one message, in front, and speakers in turns", () =>
    Effect.gen(function* () {
      const [first, second] = [call("a", "look", { at: 1 }), call("functions.b:0", "look", [2])]
      const { messages } = yield* bodyOf({
        messages: [
          Message.user("one"),
          Message.user("two"),
          Message.turn({ text: "", reasoning: "of another provider", toolCalls: [first, second] }),
          Message.toolResult(first, "sunny"),
          Message.user("quick!"),
          Message.toolResult(second, "", true),
          Message.assistant(""),
          Message.user("well?"),
          Message.assistant("so"),
          Message.assistant("and so")
        ]
      })
      const said = (words: string) => ({ type: "text", text: words })
      assert.deepStrictEqual(messages, [
        { role: "user", content: [said("one"), said("two")] },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "a", name: "look", input: { at: 1 } },
            { type: "tool_use", id: "functions_b_0", name: "look", input: { INVALID_JSON: "[2]" } }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "a", content: "sunny" },
            { type: "tool_result", tool_use_id: "functions_b_0", content: "", is_error: true },
            said("quick!"),
            said("well?")
          ]
        },
        { role: "assistant", content: [said("so"), said("and so")] }
      ])
    })
  )

  it.effect("a turn of this API as it came, and a turn of another one by its fields", () =>
    Effect.gen(function* () {
      const content = [
        { type: "thinking", thinking: "hm", signature: "sig" },
        { type: "redacted_thinking", data: "cmVk" },
        { type: "text", text: "\n\n" },
        { type: "text", text: "let me look", citations: [{ type: "char_location" }] },
        { type: "tool_use", id: "a", name: "look", input: {}, caller: { type: "direct" } }
      ]
      const toolCalls = [call("a", "look", {})]
      const plain = { text: "\n\nlet me look", reasoning: "hm", toolCalls }
      const own = Message.turn({ ...plain, native: { format: "anthropic", content } })
      const other = Message.turn({ ...plain, native: { format: "gemini", content } })
      const sent = (turn: Message.Message) =>
        Effect.map(bodyOf({ messages: [Message.user("hi"), turn] }), ({ messages }) =>
          Array.isArray(messages) ? messages[1]?.content : undefined
        )
      // The API writes blank texts and refuses them.
      assert.deepStrictEqual(yield* sent(own), content.toSpliced(2, 1))
      assert.deepStrictEqual(yield* sent(other), [
        { type: "text", text: "\n\nlet me look" },
        { type: "tool_use", id: "a", name: "look", input: {} }
      ])
    })
  )

  it.effect("no turn of this API that somebody has edited, but what was made of it", () =>
    Effect.gen(function* () {
      const content = [
        { type: "thinking", thinking: "card 4111", signature: "sig" },
        { type: "text", text: "card 4111" },
        { type: "tool_use", id: "a", name: "look", input: { b: 1, a: 2 } }
      ]
      const own = Message.turn({
        text: "card 4111",
        reasoning: "card 4111",
        toolCalls: [call("a", "look", { a: 2, b: 1 })],
        native: { format: "anthropic", content }
      })
      const sent = (turn: Message.AssistantMessage) =>
        Effect.map(bodyOf({ messages: [Message.user("hi"), turn] }), ({ messages }) => JSON.stringify(messages))
      assert.include(yield* sent(own), "4111")
      const edits: ReadonlyArray<Partial<Message.AssistantMessage>> = [
        { content: "card [redacted]" },
        { reasoning: undefined },
        { toolCalls: [] },
        { toolCalls: [call("a", "look", { a: 2 })] },
        { toolCalls: [call("b", "look", { a: 2, b: 1 })] }
      ]
      for (const edit of edits) assert.notInclude(yield* sent({ ...own, ...edit }), "sig", JSON.stringify(edit))
      assert.notInclude(yield* sent({ ...own, content: "card [redacted]" }), "4111")
    })
  )

  it.effect("calls under ids that differ in all of the conversation, and results under those of their calls", () =>
    Effect.gen(function* () {
      const calls = [call("call_0", "look", {}), call("a.b", "look", {}), call("a_b", "look", {})]
      const round = [
        Message.turn({ text: "", toolCalls: calls }),
        ...calls.map((one) => Message.toolResult(one, one.id)),
        Message.user("go on")
      ]
      const { messages } = yield* bodyOf({ messages: [Message.user("hi"), ...round, ...round] })
      const blocks: ReadonlyArray<Record<string, unknown>> = Array.isArray(messages)
        ? messages.flatMap(({ content }) => content)
        : []
      const ids = ["call_0", "a_b", "a_b_2", "call_0_2", "a_b_3", "a_b_4"]
      assert.deepStrictEqual(
        blocks.flatMap(({ id }) => id ?? []),
        ids
      )
      assert.deepStrictEqual(
        blocks.flatMap((block) => (block.type === "tool_result" ? [[block.tool_use_id, block.content]] : [])),
        ids.map((id, index) => [id, calls[index % 3]?.id])
      )
    })
  )

  it.effect("results behind the turn that asked for them, whatever came in between", () =>
    Effect.gen(function* () {
      const turn = Message.turn({ text: "", toolCalls: [call("a", "look", {})] })
      const result = Message.toolResult({ id: "a", name: "look" }, "seen")
      const between = [Message.system("be brief"), Message.user("hurry"), Message.assistant("I do")]
      const { messages } = yield* bodyOf({ messages: [Message.user("hi"), turn, ...between, result] })
      assert.deepStrictEqual(Array.isArray(messages) ? messages.slice(1) : [], [
        { role: "assistant", content: [{ type: "tool_use", id: "a", name: "look", input: {} }] },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "a", content: "seen" },
            { type: "text", text: "hurry" }
          ]
        },
        { role: "assistant", content: [{ type: "text", text: "I do" }] }
      ])
    })
  )

  it.effect("the names of old tools, which must not be used any more", () =>
    Effect.gen(function* () {
      const turn = Message.turn({ text: "", toolCalls: [call("a", "look", {}), call("b", "look", {})] })
      const results = [call("a", "look", {}), call("b", "look", {})].map((one) => Message.toolResult(one, "seen"))
      const sent = yield* bodyOf({ messages: [Message.user("hi"), turn, ...results], toolChoice: "auto" })
      assert.deepStrictEqual(sent.tools, [{ name: "look", input_schema: { type: "object", properties: {} } }])
      assert.deepStrictEqual(sent.tool_choice, { type: "none" })
    })
  )

  it.effect("nothing that says nothing", () =>
    Effect.gen(function* () {
      for (const silent of [Message.user(""), Message.user([]), Message.user([{ type: "text", text: " \n" }])]) {
        assert.include(yield* refusalOf({ messages: [Message.system("be brief"), silent] }), "that says something")
        const { messages } = yield* bodyOf({ messages: [silent, Message.user("hi")] })
        assert.deepStrictEqual(messages, [{ role: "user", content: [{ type: "text", text: "hi" }] }])
      }
    })
  )

  it.effect("the bytes of an address that holds them, whatever its parameters", () =>
    Effect.gen(function* () {
      const content: ReadonlyArray<Message.Part> = [
        { type: "image", url: "data:image/png;charset=utf-8;base64,iVBORw==" },
        { type: "file", url: "data:;base64,JVBERg==", mediaType: "application/pdf" },
        { type: "file", url: "data:text/plain;charset=utf-8;base64,aGk=" }
      ]
      const { messages } = yield* bodyOf({ messages: [Message.user(content)] })
      const sources: ReadonlyArray<unknown> = Array.isArray(messages)
        ? messages[0]?.content.map(({ source }: { readonly source: unknown }) => source)
        : []
      assert.deepStrictEqual(sources, [
        { type: "base64", media_type: "image/png", data: "iVBORw==" },
        { type: "base64", media_type: "application/pdf", data: "JVBERg==" },
        { type: "text", media_type: "text/plain", data: "hi" }
      ])
    })
  )

  it.effect("tools and the choice among them", () =>
    Effect.gen(function* () {
      const parameters = { type: "object", properties: { at: { type: "integer", minimum: 1 } } }
      const tools: ReadonlyArray<Llm.ToolSpec> = [
        { name: "look", description: "looks", parameters, strict: true },
        { name: "wait", parameters },
        { name: "stop" }
      ]
      const sent = yield* bodyOf({ tools })
      assert.deepStrictEqual(sent.tools, [
        {
          name: "look",
          description: "looks",
          input_schema: {
            type: "object",
            properties: { at: { type: "integer", description: "{minimum: 1}" } },
            additionalProperties: false
          },
          strict: true
        },
        { name: "wait", input_schema: parameters },
        { name: "stop", input_schema: { type: "object", properties: {} } }
      ])
      assert.notProperty(sent, "tool_choice")
      const single = { disable_parallel_tool_use: true }
      const choices: ReadonlyArray<readonly [Llm.ToolChoice | undefined, boolean | undefined, unknown]> = [
        ["auto", undefined, { type: "auto" }],
        ["none", false, { type: "none" }],
        ["required", true, { type: "any" }],
        [{ tool: "look" }, false, { type: "tool", name: "look", ...single }],
        [undefined, false, { type: "auto", ...single }],
        [undefined, true, undefined]
      ]
      for (const [toolChoice, parallelToolCalls, expected] of choices) {
        assert.deepStrictEqual((yield* bodyOf({ tools, toolChoice, parallelToolCalls })).tool_choice, expected)
      }
      assert.notProperty(yield* bodyOf({ tools: [], toolChoice: "auto" }), "tool_choice")
    })
  )

  it.effect("how much to think", () =>
    Effect.gen(function* () {
      const adaptive = { type: "adaptive", display: "summarized" }
      const asked: ReadonlyArray<readonly [Llm.Reasoning, unknown, unknown]> = [
        [{ effort: "none" }, { type: "disabled" }, undefined],
        [{ effort: "none", budgetTokens: 2000 }, { type: "disabled" }, undefined],
        [{ effort: "minimal" }, adaptive, { effort: "low" }],
        [{ effort: "low" }, adaptive, { effort: "low" }],
        [{ effort: "medium" }, adaptive, { effort: "medium" }],
        [{ effort: "high" }, adaptive, { effort: "high" }],
        [{ effort: "max" }, adaptive, { effort: "max" }],
        [{ budgetTokens: 1024 }, { type: "enabled", budget_tokens: 1024 }, undefined],
        [{ effort: "high", budgetTokens: 1024 }, { type: "enabled", budget_tokens: 1024 }, { effort: "high" }],
        [{}, undefined, undefined]
      ]
      for (const [reasoning, thinking, output] of asked) {
        const sent = yield* bodyOf({ reasoning })
        assert.deepStrictEqual([sent.thinking, sent.output_config], [thinking, output])
      }
      assert.include(yield* refusalOf({ reasoning: { budgetTokens: 1023 } }), "at least 1024")
      assert.include(yield* refusalOf({ reasoning: { budgetTokens: 2000 }, maxTokens: 2000 }), "less than maxTokens")
    })
  )

  it.effect("schemas as the API checks them, and in words what it cannot check", () =>
    Effect.gen(function* () {
      const schema = {
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        properties: {
          minimum: { type: "string", format: "email", minLength: 3, description: "an address" },
          list: { type: "array", items: { $ref: "#/$defs/Item" }, minItems: 1, maxItems: 3 },
          one: { oneOf: [{ type: "null" }, { type: "string", format: "regex" }] }
        },
        required: ["minimum"],
        $defs: { Item: { type: "object", properties: {}, additionalProperties: false } }
      }
      const sent = yield* bodyOf({ responseFormat: { type: "jsonSchema", schema }, reasoning: { effort: "low" } })
      assert.deepStrictEqual(sent.output_config, {
        effort: "low",
        format: {
          type: "json_schema",
          schema: {
            type: "object",
            properties: {
              minimum: { type: "string", format: "email", description: "an address\n\n{minLength: 3}" },
              list: { type: "array", items: { $ref: "#/$defs/Item" }, minItems: 1, description: "{maxItems: 3}" },
              one: { anyOf: [{ type: "null" }, { type: "string", description: '{format: "regex"}' }] }
            },
            required: ["minimum"],
            $defs: { Item: { type: "object", properties: {}, additionalProperties: false } },
            additionalProperties: false
          }
        }
      })
      assert.notProperty(sent, "system")
      const open = { type: "object", additionalProperties: { type: "number" } }
      for (const format of [{ schema: open }, { schema, strict: false }]) {
        const told = yield* bodyOf({
          messages: [Message.system("be brief"), Message.user("hi")],
          responseFormat: { type: "jsonSchema", ...format }
        })
        assert.notProperty(told, "output_config")
        assert.match(String(told.system), /^be brief\n\n/)
        assert.include(String(told.system), JSON.stringify(format.schema))
      }
      assert.include(String((yield* bodyOf({ responseFormat: { type: "json" } })).system), "JSON")
      assert.notProperty(yield* bodyOf({ responseFormat: { type: "text" } }), "system")
    })
  )

  it.effect("nothing where there is nobody to answer", () =>
    Effect.gen(function* () {
      assert.include(yield* refusalOf({ messages: [Message.system("be brief")] }), "message")
    })
  )
})

describe("AnthropicLlm reads", () => {
  it.effect.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["model_context_window_exceeded", "length"],
    ["tool_use", "toolCalls"],
    ["refusal", "contentFilter"],
    ["pause_turn", "other"],
    ["a_new_reason", "other"]
  ] as const)("the stop reason %s as %s, whole and streamed", ([stop_reason, expected]) =>
    Effect.gen(function* () {
      const content = [{ type: "text", text: "x" }]
      const answer = yield* Effect.provide(Llm.generateText("hi"), whole({ content, stop_reason }).layer)
      const list = [start(), opened(0, { type: "text", text: "" }), text(0, "x"), ...ended(stop_reason)]
      const { finish } = yield* Effect.provide(collectedOf("hi"), streaming(list).layer)
      assert.deepStrictEqual([answer.finishReason, finish?.finishReason], [expected, expected])
    })
  )

  it.effect("the provider's words for a refusal", () =>
    Effect.gen(function* () {
      const stop_details = { type: "refusal", category: "cyber", explanation: "Not this." }
      const fields = { stop_reason: "refusal", stop_details }
      assert.strictEqual((yield* Effect.provide(Llm.generateText("hi"), whole(fields).layer)).refusal, "Not this.")
      const list = [start(), { type: "message_delta", delta: fields, usage: {} }, { type: "message_stop" }]
      assert.strictEqual((yield* Effect.provide(collectedOf("hi"), streaming(list).layer)).refusal, "Not this.")
    })
  )

  it.effect("no call where the answer broke off inside it, and gives none back", () =>
    Effect.gen(function* () {
      const done = { type: "tool_use", id: "a", name: "look", input: { at: 1 } }
      for (const stop of ["max_tokens", "refusal"]) {
        const content = [done, { ...done, id: "b", input: {} }]
        const answer = yield* Effect.provide(Llm.generateText("hi"), whole({ content, stop_reason: stop }).layer)
        const list = [
          start(),
          opened(0, { ...done, input: {} }),
          json(0, '{"at":1}'),
          opened(1, { ...done, id: "b", input: {} }),
          json(1, '{"at"'),
          ...ended(stop)
        ]
        const said = yield* Effect.provide(collectedOf("hi"), streaming(list).layer)
        for (const { message, toolCalls } of [answer, { ...said, message: said.finish?.message }]) {
          assert.deepStrictEqual(
            toolCalls.map(({ id }) => id),
            ["a"]
          )
          assert.deepStrictEqual(message?.native?.content, [done])
        }
      }
    })
  )

  it.effect("a stream's blocks into the turn that is given back", () =>
    Effect.gen(function* () {
      const citation = { type: "char_location", cited_text: "x" }
      const list = [
        start(),
        { type: "ping" },
        { type: "a_new_event", index: 0 },
        opened(0, { type: "thinking", thinking: "", signature: "" }),
        delta(0, "thinking_delta", "thinking", "h"),
        delta(0, "thinking_delta", "thinking", "m"),
        delta(0, "signature_delta", "signature", "sig"),
        opened(1, { type: "redacted_thinking", data: "cmVk" }),
        opened(2, { type: "text", text: "he", citations: null }),
        text(2, "llo"),
        delta(2, "citations_delta", "citation", citation),
        delta(2, "a_new_delta", "text", "?"),
        opened(3, { type: "server_tool_use", id: "s", name: "web_search", input: {} }),
        json(3, '{"query":"x"}'),
        opened(4, { type: "tool_use", id: "a", name: "look", input: {}, caller: { type: "direct" } }),
        json(4, ""),
        opened(5, { type: "tool_use", id: "b", name: "look", input: {} }),
        json(5, "[oops"),
        ...ended("tool_use")
      ]
      const {
        finish,
        reasoning,
        text: said,
        toolCalls
      } = yield* Effect.provide(collectedOf("hi"), streaming(list).layer)
      assert.deepStrictEqual([said, reasoning], ["hello", "hm"])
      assert.deepStrictEqual(toolCalls, [
        { id: "a", name: "look", input: {}, inputText: "{}" },
        { id: "b", name: "look", input: undefined, inputText: "[oops" }
      ])
      assert.deepStrictEqual(finish?.message.native?.content, [
        { type: "thinking", thinking: "hm", signature: "sig" },
        { type: "redacted_thinking", data: "cmVk" },
        { type: "text", text: "hello", citations: [citation] },
        { type: "server_tool_use", id: "s", name: "web_search", input: { query: "x" } },
        { type: "tool_use", id: "a", name: "look", input: {}, caller: { type: "direct" } },
        { type: "tool_use", id: "b", name: "look", input: { INVALID_JSON: "[oops" } }
      ])
      assert.strictEqual(finish?.model, "the-model-2026")
    })
  )

  it.effect("the usage that a stream ends with, and takes what came before for an estimate", () =>
    Effect.gen(function* () {
      const begun = start({ input_tokens: 4, cache_read_input_tokens: 5, output_tokens: 1 })
      const said = [begun, opened(0, { type: "text", text: "" }), text(0, "a fairly long text of many tokens")]
      const { finish } = yield* Effect.provide(
        collectedOf("hi"),
        streaming([...said, ...ended("end_turn", { input_tokens: null, output_tokens: 20 })]).layer
      )
      assert.deepStrictEqual(finish?.usage, { inputTokens: 9, outputTokens: 20, cachedInputTokens: 5 })
      const tally = new Spending.Tally()
      const error = yield* Effect.flip(
        Effect.provide(collectedOf("hi"), streaming(said).layer).pipe(Effect.provideService(Spending.Current, tally))
      )
      assert.deepInclude(error.usage, { inputTokens: 9, isEstimate: true })
      assert.isAbove(error.usage?.outputTokens ?? 0, 1)
      assert.deepStrictEqual(tally.total.usage.inputTokens, 9)
    })
  )

  it.effect("a stream without message_stop as truncated, a stop reason or not", () =>
    Effect.gen(function* () {
      const list = [start(), opened(0, { type: "text", text: "" }), text(0, "hello"), ...ended("end_turn").slice(0, 1)]
      const { reason } = yield* Effect.flip(Effect.provide(collectedOf("hi"), streaming(list).layer))
      assert.deepInclude(reason, { _tag: "StreamTruncated", partial: "hello" })
    })
  )
})

describe("AnthropicLlm continues", () => {
  const broken = [start(), opened(0, { type: "text", text: "" }), text(0, "one, two,"), text(0, " ")]
  const rest = [start(), opened(0, { type: "text", text: "" }), text(0, " three"), ...ended("end_turn")]
  const again = Policy.make({ retry: { retries: 1, jitter: "none", base: 0 } })
  const options = { version: "2023-06-01", onCut: "continue", policy: again } as const

  it.effect("an answer of the older version from its beginning, without the blanks at its end", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering([events(broken), events(rest)], sse, options)
      const { finish, text: said } = yield* Effect.provide(collectedOf("hi"), layer)
      assert.strictEqual(said, "one, two, three")
      assert.strictEqual(finish?.message.content, said)
      assert.deepStrictEqual(sent[1]?.body.messages, [
        { role: "user", content: [{ type: "text", text: "hi" }] },
        { role: "assistant", content: [{ type: "text", text: "one, two," }] }
      ])
    })
  )

  it.effect("a beginning that the request itself had", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering([events(broken), events(rest)], sse, options)
      const request = { messages: [Message.user("hi"), Message.assistant("zero, ")] }
      yield* Effect.provide(collectedOf(request), layer)
      assert.deepInclude(sent[1]?.body.messages, {
        role: "assistant",
        content: [{ type: "text", text: "zero, one, two," }]
      })
    })
  )

  it.effect("nothing with the newer version, and says so when the layer is made", () =>
    Effect.gen(function* () {
      const { layer } = streaming(rest, { onCut: "continue" })
      const exit = yield* Effect.exit(Effect.provide(Llm.generateText("hi"), layer))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.isTrue(defect instanceof TypeError && defect.message.includes("continue"))
      assert.include(yield* refusalOf({ onCut: "continue" }), "continue")
    })
  )

  it.effect("nothing that the API does not begin for others", () =>
    Effect.gen(function* () {
      const schema = { type: "object", properties: {} }
      const version = { version: "2023-06-01" } as const
      for (const one of [
        { reasoning: { effort: "low" } as const },
        { responseFormat: { type: "jsonSchema", schema } as const }
      ]) {
        assert.include(yield* refusalOf({ onCut: "continue", ...one }, version), '"restart"')
      }
    })
  )
})

describe("AnthropicLlm.layerConfig", () => {
  const under = (variables: Record<string, string>, options: Options = {}) => {
    const { http, sent } = endpoint([JSON.stringify({ type: "message", content: [] })])
    const layer = AnthropicLlm.layerConfig({ model: "the-model", policy: once, ...options }).pipe(Layer.provide(http))
    const env = ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables }))
    return Effect.as(Effect.provide(Llm.generateText("hi"), Layer.provide(layer, env)), sent)
  }

  it.effect("reads the key, and the address where it is set", () =>
    Effect.gen(function* () {
      const [plain] = yield* under({ ANTHROPIC_API_KEY: secret, ANTHROPIC_BASE_URL: "" })
      assert.strictEqual(plain?.url, "https://api.anthropic.com/v1/messages")
      assert.strictEqual(plain?.headers.authorization, `Bearer ${secret}`)
      const variables = { ANTHROPIC_API_KEY: secret, ANTHROPIC_BASE_URL: "http://proxy.test/v1" }
      const [moved] = yield* under(variables)
      assert.strictEqual(moved?.url, "http://proxy.test/v1/messages")
      const [given] = yield* under(variables, { baseUrl: "http://given.test" })
      assert.strictEqual(given?.url, "http://given.test/v1/messages")
    })
  )

  it.effect("names the variable that is missing or empty", () =>
    Effect.gen(function* () {
      for (const variables of [{}, { ANTHROPIC_API_KEY: "" }]) {
        const error = yield* Effect.flip(under(variables))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, "ANTHROPIC_API_KEY")
      }
    })
  )
})

describe("AnthropicLlm", () => {
  const echo = JSON.stringify({ type: "error", error: { type: "authentication_error", message: `bad ${secret}` } })
  const said = events([start(), opened(0, { type: "text", text: "" }), text(0, "x")])

  const whole = Effect.asVoid(Llm.generateText("hi"))
  const streamed = Effect.asVoid(collectedOf("hi"))
  const printed: ReadonlyArray<readonly [string, typeof whole, Layer.Layer<Llm.Llm>]> = [
    ["an error", whole, answering([echo], {}).layer],
    ["a page", whole, answering([`<p>${secret}`], {}).layer],
    ["an error in a stream", streamed, answering([`${said}event: error\ndata: ${echo}\n\n`], sse).layer],
    ["garbage in a stream", streamed, answering([`${said}data: {${secret}\n\n`], sse).layer]
  ]

  it.effect.each(printed)("keeps the key out of what can be printed of %s", ([, ask, layer]) =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(Effect.provide(ask, layer))
      const { message, reason, stack } = failure
      const shown = inspect(failure, { depth: 9, showHidden: true })
      const excerpt = reason._tag === "InvalidResponse" ? reason.excerpt : ""
      assert.notInclude([message, stack, String(failure), JSON.stringify(failure), shown, excerpt].join("\n"), secret)
      assert.include(message + excerpt, "<redacted>")
    })
  )
})
