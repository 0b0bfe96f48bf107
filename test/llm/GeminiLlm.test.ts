import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { GeminiLlm, Llm, Message, type TokenAuth } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { inspect } from "node:util"
import { time, weather } from "../contract/Llm.ts"
import { startEndpoint } from "../fixtures/endpoint.ts"

const secret = "AIza-very-secret-key"

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Record<string, unknown>
}

interface Reply {
  readonly status: number
  readonly body: string
  readonly headers?: Record<string, string>
}

/** An endpoint in memory; its last reply stays. */
const replying = (replies: ReadonlyArray<Reply>, options: Partial<GeminiLlm.Options> = {}) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request, url) => {
    const raw = request.body._tag === "Raw" ? String(request.body.body) : "{}"
    const reply = replies[Math.min(sent.length, replies.length - 1)]
    sent.push({ url: url.href, headers: { ...request.headers }, body: JSON.parse(raw) })
    const { body = "", headers = {}, status = 500 } = reply ?? {}
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
  })
  const http = Layer.succeed(HttpClient.HttpClient, client)
  const layer = GeminiLlm.layer({
    model: "gemini-3-flash",
    apiKey: Redacted.make(secret),
    policy: Policy.make({ retry: { retries: 0 } }),
    ...options
  }).pipe(Layer.provide(http))
  return { layer, sent, http }
}

const answered = (parts: ReadonlyArray<object>, more: object = {}, root: object = {}) => ({
  candidates: [{ content: { role: "model", parts }, finishReason: "STOP", index: 0, ...more }],
  usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 5 },
  modelVersion: "gemini-3-flash-001",
  ...root
})

const ok = (body: unknown): Reply => ({ status: 200, body: JSON.stringify(body) })

const sse = (...events: ReadonlyArray<unknown>): Reply => ({
  status: 200,
  body: events.map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\r\n\r\n`).join(""),
  headers: { "content-type": "text/event-stream" }
})

const hello = ok(answered([{ text: "hello" }]))

/** The body that a request is sent as. */
const bodyOf = (request: Partial<Llm.Request>, options?: Partial<GeminiLlm.Options>) => {
  const { layer, sent } = replying([hello], options)
  const asked = Llm.generateText({ messages: [Message.user("hi")], ...request })
  return Effect.map(Effect.provide(asked, layer), () => sent[0]?.body ?? {})
}

const ask = (reply: Reply, request: Partial<Llm.Request> = {}) =>
  Effect.provide(Llm.generateText({ messages: [Message.user("hi")], ...request }), replying([reply]).layer)

const events = (reply: Reply, options?: Partial<GeminiLlm.Options>) =>
  Effect.provide(Stream.runCollect(Llm.streamText("hi")), replying([reply], options).layer)

describe("GeminiLlm", () => {
  it.effect("sends what the protocol says and reads the answer", () =>
    Effect.gen(function* () {
      const parts = [
        { text: "hm", thought: true },
        { text: "hello", thoughtSignature: "c2ln" }
      ]
      const body = answered(
        parts,
        { finishReason: "MAX_TOKENS" },
        {
          usageMetadata: {
            promptTokenCount: 7,
            toolUsePromptTokenCount: 3,
            candidatesTokenCount: 5,
            thoughtsTokenCount: 2,
            cachedContentTokenCount: 4
          }
        }
      )
      const { layer, sent } = replying([ok(body)])
      const answer = yield* Effect.provide(
        Llm.generateText({
          messages: [Message.system("be brief"), Message.user("hi")],
          maxTokens: 9,
          temperature: 0.5,
          topP: 0.9,
          stop: ["END"],
          seed: 3,
          parallelToolCalls: false,
          idempotencyKey: "key-1",
          headers: { "x-extra": "yes" }
        }),
        layer
      )
      assert.deepStrictEqual(sent[0]?.body, {
        contents: [{ role: "user", parts: [{ text: "hi" }] }],
        systemInstruction: { parts: [{ text: "be brief" }] },
        generationConfig: { maxOutputTokens: 9, temperature: 0.5, topP: 0.9, stopSequences: ["END"], seed: 3 }
      })
      const { "x-goog-api-key": key, "idempotency-key": idempotency, "x-extra": extra } = sent[0]?.headers ?? {}
      assert.deepStrictEqual([key, idempotency, extra], [secret, "key-1", "yes"])
      assert.isUndefined(sent[0]?.headers.authorization)
      assert.deepInclude(answer, {
        text: "hello",
        reasoning: "hm",
        finishReason: "length",
        model: "gemini-3-flash-001"
      })
      assert.deepStrictEqual(answer.usage, {
        inputTokens: 10,
        outputTokens: 7,
        cachedInputTokens: 4,
        reasoningTokens: 2
      })
      assert.deepStrictEqual(answer.raw, body)
      assert.deepStrictEqual(answer.message.native, { format: "gemini", content: parts })
    })
  )

  const google = "https://generativelanguage.googleapis.com/v1beta"

  it.effect.each([
    [undefined, "gemini-3-flash", `${google}/models/gemini-3-flash:generateContent`],
    [undefined, "models/gemini-3-flash", `${google}/models/gemini-3-flash:generateContent`],
    [undefined, "tunedModels/mine", `${google}/tunedModels/mine:generateContent`],
    [undefined, "models/../files/a b?c", `${google}/models/..%2Ffiles%2Fa%20b%3Fc:generateContent`],
    ["http://llm.test:81/", "m", "http://llm.test:81/v1beta/models/m:generateContent"],
    ["http://llm.test/v1", "m", "http://llm.test/v1/models/m:generateContent"],
    [
      "https://eu-aiplatform.googleapis.com/v1/projects/p/locations/eu/publishers/google/",
      "m",
      "https://eu-aiplatform.googleapis.com/v1/projects/p/locations/eu/publishers/google/models/m:generateContent"
    ]
  ] as const)("asks at %s for %s", ([baseUrl, model, url]) =>
    Effect.gen(function* () {
      const { layer, sent } = replying([hello], { baseUrl, model })
      yield* Effect.provide(Llm.generateText("hi"), layer)
      assert.strictEqual(sent[0]?.url, url)
    })
  )

  it.effect("asks a stream for events, and the request's model before the layer's", () =>
    Effect.gen(function* () {
      const { layer, sent } = replying([sse(answered([{ text: "hello" }]))])
      const request = { messages: [Message.user("hi")], model: "gemini-3-pro" }
      yield* Effect.provide(Stream.runDrain(Llm.streamText(request)), layer)
      assert.strictEqual(sent[0]?.url, `${google}/models/gemini-3-pro:streamGenerateContent?alt=sse`)
      assert.isUndefined(sent[0]?.body.model)
    })
  )

  it.effect("sends tokens as Bearer, and a new one where one is refused", () =>
    Effect.gen(function* () {
      const tokens = ["ya29.old", "ya29.new"]
      const auth: TokenAuth.TokenAuth = {
        token: Effect.sync(() => Redacted.make(tokens[0] ?? "")),
        invalidate: () => Effect.sync(() => void tokens.shift()),
        redact: (text) => text
      }
      const refused = { status: 401, body: JSON.stringify({ error: { code: 401, status: "UNAUTHENTICATED" } }) }
      const { layer, sent } = replying([refused, hello], { apiKey: undefined, auth })
      assert.strictEqual((yield* Effect.provide(Llm.generateText("hi"), layer)).text, "hello")
      assert.deepStrictEqual(
        sent.map(({ headers }) => [headers.authorization, headers["x-goog-api-key"]]),
        [
          ["Bearer ya29.old", undefined],
          ["Bearer ya29.new", undefined]
        ]
      )
    })
  )

  describe("a conversation", () => {
    const ownCall = { functionCall: { name: "get_weather", args: { city: "Paris" } }, thoughtSignature: "c2ln" }
    const namedCall = { functionCall: { name: "get_time", args: {}, id: "fc_2" } }
    const native = { format: "gemini", content: [{ text: "Let me look." }, ownCall, namedCall] }
    const calls = [
      { id: "call_0", name: "get_weather", input: { city: "Paris" }, inputText: '{"city":"Paris"}' },
      { id: "fc_2", name: "get_time", input: {}, inputText: "{}" }
    ]
    const turn = Message.turn({ text: "Let me look.", toolCalls: calls, native })

    it.effect("gives a turn of Gemini back as it came, and results under the ids that came", () =>
      Effect.gen(function* () {
        const { contents } = yield* bodyOf({
          messages: [
            Message.user("tools"),
            turn,
            Message.toolResult({ id: "call_0", name: "get_weather" }, '{"degrees":21}'),
            Message.toolResult({ id: "fc_2", name: "get_time" }, "noon"),
            Message.user("and now?")
          ]
        })
        assert.deepStrictEqual(contents, [
          { role: "user", parts: [{ text: "tools" }] },
          { role: "model", parts: native.content },
          {
            role: "user",
            parts: [
              { functionResponse: { name: "get_weather", response: { degrees: 21 } } },
              { functionResponse: { name: "get_time", response: { result: "noon" }, id: "fc_2" } },
              { text: "and now?" }
            ]
          }
        ])
      })
    )

    it.effect("gives no turn back that somebody has edited, but what was made of it", () =>
      Effect.gen(function* () {
        const sent = (edit: Partial<Message.AssistantMessage>) =>
          Effect.map(
            bodyOf({
              messages: [
                Message.user("tools"),
                { ...turn, ...edit },
                Message.toolResult({ id: "call_0", name: "get_weather" }, "21")
              ]
            }),
            ({ contents }) => JSON.stringify(contents)
          )
        assert.include(yield* sent({}), "c2ln")
        assert.notInclude(yield* sent({ content: "[redacted]" }), "Let me look.")
        const oslo = { id: "call_0", name: "get_weather", input: { city: "Oslo" }, inputText: "" }
        for (const edit of [{ reasoning: "hm" }, { toolCalls: [] }, { toolCalls: [oslo, ...calls.slice(1)] }]) {
          assert.notInclude(yield* sent(edit), "c2ln", JSON.stringify(edit))
        }
        assert.notInclude(yield* sent({ toolCalls: [] }), 'functionCall"')
      })
    )

    it.effect("puts results behind the turn that asked for them, and leaves out what says nothing", () =>
      Effect.gen(function* () {
        const results = calls.map((call) => Message.toolResult(call, "{}"))
        const { contents, systemInstruction } = yield* bodyOf({
          messages: [
            Message.system(""),
            Message.user([]),
            Message.user("tools"),
            turn,
            Message.user("hurry"),
            Message.user(""),
            ...results
          ],
          toolChoice: "auto"
        })
        assert.isUndefined(systemInstruction)
        assert.deepStrictEqual(Array.isArray(contents) ? [contents[0], contents[2]] : [], [
          { role: "user", parts: [{ text: "tools" }] },
          {
            role: "user",
            parts: [
              { functionResponse: { name: "get_weather", response: {} } },
              { functionResponse: { name: "get_time", response: {}, id: "fc_2" } },
              { text: "hurry" }
            ]
          }
        ])
        for (const silent of [Message.user(""), Message.user([])]) {
          const { message } = yield* Effect.flip(bodyOf({ messages: [Message.system("be brief"), silent] }))
          assert.include(message, "Gemini wants a message that says something")
        }
        assert.notProperty(yield* bodyOf({ toolChoice: "auto" }), "toolConfig")
      })
    )

    it.effect("sends the bytes of an address that holds them, whatever its parameters", () =>
      Effect.gen(function* () {
        const image = { type: "image", url: "data:image/png;charset=utf-8;base64,iVBORw==" } as const
        const { contents } = yield* bodyOf({ messages: [Message.user([image])] })
        assert.deepStrictEqual(contents, [
          { role: "user", parts: [{ inlineData: { mimeType: "image/png", data: "iVBORw==" } }] }
        ])
      })
    )

    it.effect("tells a turn of another provider by its fields, signed as Gemini 3 wants it", () =>
      Effect.gen(function* () {
        const messages = [
          Message.user("tools"),
          { ...turn, native: { format: "anthropic", content: [] } },
          Message.toolResult({ id: "call_0", name: "get_weather" }, "[21]"),
          Message.toolResult({ id: "fc_2", name: "get_time" }, "no clock", true)
        ]
        const partsOf = (model: string) =>
          Effect.map(bodyOf({ messages, model }), ({ contents }) => (Array.isArray(contents) ? contents.slice(1) : []))
        const call = { functionCall: { id: "call_0", name: "get_weather", args: { city: "Paris" } } }
        const after = [{ functionCall: { id: "fc_2", name: "get_time", args: {} } }]
        const results = {
          role: "user",
          parts: [
            { functionResponse: { name: "get_weather", response: { result: [21] }, id: "call_0" } },
            { functionResponse: { name: "get_time", response: { error: "no clock" }, id: "fc_2" } }
          ]
        }
        const signed = { ...call, thoughtSignature: "skip_thought_signature_validator" }
        assert.deepStrictEqual(yield* partsOf("gemini-3-flash"), [
          { role: "model", parts: [{ text: "Let me look." }, signed, ...after] },
          results
        ])
        assert.deepStrictEqual(yield* partsOf("models/gemini-2.5-flash"), [
          { role: "model", parts: [{ text: "Let me look." }, call, ...after] },
          results
        ])
      })
    )

    it.effect("makes results objects without losing a digit", () =>
      Effect.gen(function* () {
        const results = ["12345678901234567890", "true", '"x"', "", '{"a":1}', "[1]"]
        const { contents } = yield* bodyOf({
          messages: results.map((content) => Message.toolResult({ id: "x", name: "f" }, content))
        })
        assert.deepStrictEqual(contents, [
          {
            role: "user",
            parts: [
              { result: "12345678901234567890" },
              { result: "true" },
              { result: '"x"' },
              { result: "" },
              { a: 1 },
              { result: [1] }
            ].map((response) => ({ functionResponse: { name: "f", response } }))
          }
        ])
      })
    )

    it.effect("makes one turn of what one speaker says in a row, and none of an empty answer", () =>
      Effect.gen(function* () {
        const body = yield* bodyOf({
          messages: [
            Message.system("a"),
            Message.user("one"),
            Message.assistant(""),
            Message.user("two"),
            Message.assistant("three"),
            Message.system("b"),
            Message.assistant("four")
          ]
        })
        assert.deepStrictEqual(body.contents, [
          { role: "user", parts: [{ text: "one" }, { text: "two" }] },
          { role: "model", parts: [{ text: "three" }, { text: "four" }] }
        ])
        assert.deepStrictEqual(body.systemInstruction, { parts: [{ text: "a" }, { text: "b" }] })
      })
    )

    it.effect("sends bytes as they are and addresses as addresses", () =>
      Effect.gen(function* () {
        const content: ReadonlyArray<Message.Part> = [
          Message.image(Uint8Array.of(1, 2, 3), "image/png"),
          { type: "image", url: "data:image/gif;base64,R0lG" },
          { type: "image", url: "https://example.com/a.png" },
          Message.file("JVBERg==", "application/pdf", "a.pdf"),
          { type: "file", url: "https://example.com/files/1", mediaType: "application/pdf" }
        ]
        const { contents } = yield* bodyOf({ messages: [Message.user(content)] })
        assert.deepStrictEqual(contents, [
          {
            role: "user",
            parts: [
              { inlineData: { mimeType: "image/png", data: "AQID" } },
              { inlineData: { mimeType: "image/gif", data: "R0lG" } },
              { fileData: { fileUri: "https://example.com/a.png" } },
              { inlineData: { mimeType: "application/pdf", data: "JVBERg==" } },
              { fileData: { mimeType: "application/pdf", fileUri: "https://example.com/files/1" } }
            ]
          }
        ])
      })
    )
  })

  it.effect("tells of tools and of the choice among them", () =>
    Effect.gen(function* () {
      const { toolConfig, tools } = yield* bodyOf({ tools: [weather, time], toolChoice: { tool: "get_time" } })
      assert.deepStrictEqual(tools, [
        {
          functionDeclarations: [
            { name: "get_weather", description: weather.description, parametersJsonSchema: weather.parameters },
            { name: "get_time", description: time.description }
          ]
        }
      ])
      assert.deepStrictEqual(toolConfig, {
        functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["get_time"] }
      })
      for (const [toolChoice, mode] of [
        ["auto", "AUTO"],
        ["none", "NONE"],
        ["required", "ANY"]
      ] as const) {
        const body = yield* bodyOf({ tools: [time], toolChoice })
        assert.deepStrictEqual(body.toolConfig, { functionCallingConfig: { mode } })
      }
      assert.notProperty(yield* bodyOf({ tools: [] }), "tools")
    })
  )

  it.effect("asks for JSON, with and without a schema", () =>
    Effect.gen(function* () {
      const schema = { type: "object", properties: {} }
      const json = yield* bodyOf({ responseFormat: { type: "json" } })
      assert.deepStrictEqual(json.generationConfig, { responseMimeType: "application/json" })
      const checked = yield* bodyOf({ responseFormat: { type: "jsonSchema", schema, strict: true } })
      assert.deepStrictEqual(checked.generationConfig, {
        responseMimeType: "application/json",
        responseJsonSchema: schema
      })
      assert.notProperty(yield* bodyOf({ responseFormat: { type: "text" } }), "generationConfig")
    })
  )

  it.effect.each([
    ["gemini-3-flash", {}, { includeThoughts: true }],
    ["gemini-3-flash", { effort: "none" }, { thinkingBudget: 0 }],
    ["gemini-3-flash", { effort: "minimal" }, { includeThoughts: true, thinkingLevel: "minimal" }],
    ["gemini-3-flash", { effort: "medium" }, { includeThoughts: true, thinkingLevel: "medium" }],
    ["gemini-3-flash", { effort: "max" }, { includeThoughts: true, thinkingLevel: "high" }],
    ["gemini-3-flash", { effort: "low", budgetTokens: 99 }, { includeThoughts: true, thinkingBudget: 99 }],
    ["gemini-2.5-pro", { effort: "medium" }, { includeThoughts: true, thinkingBudget: 8192 }],
    ["gemini-2.5-pro", { budgetTokens: 0 }, { thinkingBudget: 0 }]
  ] as const)("asks %s to think: %j", ([model, reasoning, thinkingConfig]) =>
    Effect.gen(function* () {
      const { generationConfig } = yield* bodyOf({ model, reasoning })
      assert.deepStrictEqual(generationConfig, { thinkingConfig })
    })
  )

  it.effect("merges fields of Gemini's own, one by one under generationConfig", () =>
    Effect.gen(function* () {
      const safetySettings = [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }]
      const body = yield* bodyOf({
        temperature: 1,
        reasoning: { effort: "high" },
        extra: { safetySettings, generationConfig: { topK: 4, thinkingConfig: { includeThoughts: false } } }
      })
      assert.deepStrictEqual(body.safetySettings, safetySettings)
      assert.deepStrictEqual(body.generationConfig, {
        temperature: 1,
        topK: 4,
        thinkingConfig: { includeThoughts: false, thinkingLevel: "high" }
      })
    })
  )

  it.effect("refuses what Gemini cannot take before anything is sent", () =>
    Effect.gen(function* () {
      const refused: ReadonlyArray<readonly [Partial<Llm.Request>, string]> = [
        [{ stop: ["1", "2", "3", "4", "5", "6"] }, "5 texts"],
        [{ messages: [Message.system("be brief")] }, "besides the standing instructions"],
        [{ onCut: "continue" }, "continuing an answer"]
      ]
      for (const [request, words] of refused) {
        const { layer, sent } = replying([hello])
        const asked = Stream.runDrain(Llm.streamText({ messages: [Message.user("hi")], ...request }))
        const { message, reason } = yield* Effect.flip(Effect.provide(asked, layer))
        assert.deepInclude(reason, { _tag: "InvalidRequest", phase: "notSent" })
        assert.include(message, words)
        assert.strictEqual(sent.length, 0)
      }
    })
  )

  it.effect("cannot be made to continue answers", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Layer.build(replying([hello], { onCut: "continue" }).layer))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof TypeError)
    }).pipe(Effect.scoped)
  )

  describe("an answer", () => {
    it.effect.each([
      ["STOP", "stop"],
      ["MAX_TOKENS", "length"],
      ["CONTINUATION", "length"],
      ["SAFETY", "contentFilter"],
      ["RECITATION", "contentFilter"],
      ["LANGUAGE", "contentFilter"],
      ["BLOCKLIST", "contentFilter"],
      ["PROHIBITED_CONTENT", "contentFilter"],
      ["SPII", "contentFilter"],
      ["IMAGE_SAFETY", "contentFilter"],
      ["IMAGE_PROHIBITED_CONTENT", "contentFilter"],
      ["IMAGE_RECITATION", "contentFilter"],
      ["OTHER", "other"],
      ["NO_IMAGE", "other"],
      ["IMAGE_OTHER", "other"],
      ["TOO_MANY_TOOL_CALLS", "other"],
      ["SOMETHING_NEW", "other"],
      [undefined, "other"]
    ] as const)("that ends with %s ends with %s", ([finishReason, expected]) =>
      Effect.gen(function* () {
        const answer = yield* ask(ok(answered([{ text: "x" }], { finishReason })))
        assert.deepInclude(answer, { text: "x", finishReason: expected })
      })
    )

    it.effect("has ids for its calls, that go on from the conversation's", () =>
      Effect.gen(function* () {
        const parts = ["call_2", undefined, "call_2", "fc"].map((id) => ({ functionCall: { name: "f", args: {}, id } }))
        const earlier = Message.turn({
          text: "",
          toolCalls: ["call_0", "call_1"].map((id) => ({ id, name: "f", input: {}, inputText: "{}" }))
        })
        const messages = [Message.user("hi"), earlier, Message.user("more")]
        const { finishReason, toolCalls } = yield* ask(ok(answered(parts)), { messages })
        assert.deepStrictEqual(
          toolCalls.map(({ id }) => id),
          ["call_2", "call_3", "call_4", "fc"]
        )
        assert.strictEqual(finishReason, "toolCalls")
      })
    )

    it.effect("may have other candidates, code and parts that nobody knows", () =>
      Effect.gen(function* () {
        const parts = [{ executableCode: { language: "PYTHON", code: "1" } }, { vibes: 11 }, { text: "one" }]
        const [candidate] = answered(parts).candidates
        const other = { content: { parts: [{ text: "two" }] }, finishReason: "STOP", index: 1 }
        const answer = yield* ask(ok({ candidates: [other, candidate] }))
        assert.strictEqual(answer.text, "one")
        assert.deepStrictEqual(answer.message.native?.content, parts)
        assert.isTrue(answer.usage.isEstimate)
      })
    )

    it.effect("may be an array of responses, as a stream is without SSE", () =>
      Effect.gen(function* () {
        const body = ok([
          answered([{ text: "hel" }], { finishReason: undefined }),
          answered([{ text: "lo" }], {}, { usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 6 } })
        ])
        const reply = { ...body, headers: { "content-type": "application/json" } }
        const told = (yield* events(reply)).reduce(Llm.collect, Llm.collected)
        assert.strictEqual(told.text, "hello")
        assert.deepInclude(told.finish, { finishReason: "stop", usage: { inputTokens: 7, outputTokens: 6 } })
      })
    )
  })

  describe("a stream", () => {
    it.effect("gives plain pieces back as one part, and signed parts as they came", () =>
      Effect.gen(function* () {
        const open = { finishReason: undefined }
        const signed = { text: "", thoughtSignature: "c2ln" }
        const told = yield* events(
          sse(
            answered([{ text: "h", thought: true }], open),
            answered([{ text: "m", thought: true }], open),
            answered([{ text: "hel" }], open),
            answered([{ text: "lo" }], open),
            answered([{ text: "" }], open),
            answered([signed])
          )
        )
        assert.deepStrictEqual(told.slice(0, -1), [
          { type: "reasoning", text: "h" },
          { type: "reasoning", text: "m" },
          { type: "text", text: "hel" },
          { type: "text", text: "lo" }
        ])
        const end = told.at(-1)
        assert.deepStrictEqual(end?.type === "finish" ? end.message : undefined, {
          role: "assistant",
          content: "hello",
          reasoning: "hm",
          native: { format: "gemini", content: [{ text: "hm", thought: true }, { text: "hello" }, signed] }
        })
      })
    )

    it.effect("is counted by its last event, even by one behind the end", () =>
      Effect.gen(function* () {
        const usage = { usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 9 } }
        const told = yield* events(
          sse(
            answered([{ text: "hel" }], { finishReason: undefined }),
            answered([{ text: "lo" }], {}, { usageMetadata: undefined }),
            usage,
            "[DONE]"
          )
        )
        const end = told.at(-1)
        assert.deepStrictEqual(end?.type === "finish" ? end.usage : undefined, { inputTokens: 7, outputTokens: 9 })
      })
    )

    it.effect("that breaks says that its count is a guess", () =>
      Effect.gen(function* () {
        const text = "x".repeat(400)
        const open = answered([{ text }], { finishReason: "FINISH_REASON_UNSPECIFIED" })
        const { reason, usage } = yield* Effect.flip(events(sse(open)))
        assert.deepInclude(reason, { _tag: "StreamTruncated", partial: text })
        assert.deepStrictEqual(usage, { inputTokens: 7, outputTokens: 100, isEstimate: true })
      })
    )
  })

  it.effect("keeps the key out of everything that can be printed", () =>
    Effect.gen(function* () {
      const echo = JSON.stringify({ error: { code: 403, message: `API key ${secret} was reported as leaked` } })
      const unreachable = GeminiLlm.layer({
        model: "m",
        apiKey: Redacted.make(secret),
        baseUrl: "http://127.0.0.1:1",
        policy: Policy.make({ retry: { retries: 0 } })
      }).pipe(Layer.provide(UndiciHttpClient.layer()))
      const failures = [
        yield* Effect.flip(ask({ status: 403, body: echo })),
        yield* Effect.flip(ask({ status: 200, body: `<p>${secret}` })),
        yield* Effect.flip(events(sse(answered([{ text: "x" }], { finishReason: undefined }), `{ ${secret}`))),
        yield* Effect.flip(Effect.provide(Llm.generateText("hi"), unreachable))
      ]
      for (const one of failures) {
        const printed = [
          one.message,
          one.stack,
          String(one),
          JSON.stringify(one),
          inspect(one, { depth: 9, showHidden: true })
        ]
        assert.notInclude(printed.join("\n"), secret)
      }
      assert.deepStrictEqual(
        failures.map(({ code }) => code),
        ["Unauthorized", "InvalidResponse", "InvalidResponse", "Unreachable"]
      )
      assert.include(failures[0]?.message, "<redacted>")
      const { layer, sent } = replying([hello])
      yield* Effect.provide(Llm.generateText("hi"), layer)
      assert.notInclude(sent[0]?.url, secret)
    })
  )

  describe("layerConfig", () => {
    const asked = (env: Record<string, string>, options: Partial<GeminiLlm.Options> = {}) => {
      const { http, sent } = replying([hello])
      const layer = GeminiLlm.layerConfig({ model: "m", ...options }).pipe(
        Layer.provide(http),
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
      )
      return Effect.map(Effect.provide(Llm.generateText("hi"), layer), () => sent[0])
    }

    it.effect("takes the first key that is set", () =>
      Effect.gen(function* () {
        const both = yield* asked({ GEMINI_API_KEY: "one", GOOGLE_API_KEY: "two" })
        assert.strictEqual(both?.headers["x-goog-api-key"], "one")
        assert.strictEqual(both?.url, `${google}/models/m:generateContent`)
        const second = yield* asked({ GEMINI_API_KEY: "", GOOGLE_API_KEY: "two", GEMINI_BASE_URL: "http://llm.test" })
        assert.strictEqual(second?.headers["x-goog-api-key"], "two")
        assert.strictEqual(second?.url, "http://llm.test/v1beta/models/m:generateContent")
      })
    )

    it.effect("gives the variable's key to no other server", () =>
      Effect.gen(function* () {
        const sent = yield* asked({ GEMINI_API_KEY: "one" }, { baseUrl: "http://llm.test" })
        assert.strictEqual(sent?.url, "http://llm.test/v1beta/models/m:generateContent")
        assert.isUndefined(sent?.headers["x-goog-api-key"])
      })
    )

    it.effect("names both variables when none is set", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(asked({}))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, "GEMINI_API_KEY")
        assert.include(error.message, "GOOGLE_API_KEY")
      })
    )
  })
})

describe("GeminiLlm over the endpoint", () => {
  const served = Effect.acquireRelease(
    Effect.promise(() => startEndpoint("gemini")),
    (endpoint) => Effect.promise(() => endpoint.close())
  )

  const over = (baseUrl: string, options: Partial<GeminiLlm.Options> = {}) =>
    GeminiLlm.layer({ model: "gemini-3-flash", apiKey: Redacted.make(secret), baseUrl, ...options }).pipe(
      Layer.provide(UndiciHttpClient.layer())
    )

  const city: Llm.ResponseFormat = { type: "jsonSchema", schema: { type: "object" } }
  const picture = Message.image(Uint8Array.of(0x89, 0x50, 0x4e, 0x47), "image/png")
  const paper = Message.file(new TextEncoder().encode("%PDF-1.4"), "application/pdf")
  const says = (text: string, ...parts: ReadonlyArray<Message.Part>): Partial<Llm.Request> => ({
    messages: [Message.user([{ type: "text", text }, ...parts])]
  })

  interface Expected {
    readonly text: string
    readonly finishReason: Llm.FinishReason
    readonly usage: Llm.Answer["usage"]
    readonly reasoning?: string
    readonly calls?: ReadonlyArray<readonly [id: string, name: string, input: unknown]>
    readonly parts?: ReadonlyArray<object>
  }

  const paris = "Paris is the capital of France."
  const used = (inputTokens: number, outputTokens: number, more: object = {}) => ({
    inputTokens,
    outputTokens,
    ...more
  })

  // (case, request, answer): the whole answer and the streamed one are the same.
  const table: ReadonlyArray<readonly [string, Partial<Llm.Request>, Expected]> = [
    ["text", {}, { text: paris, finishReason: "stop", usage: used(12, 7), parts: [{ text: paris }] }],
    ["unicode", {}, { text: "naïve 🎉🚀 日本語", finishReason: "stop", usage: used(15, 11) }],
    ["length", {}, { text: "Paris is", finishReason: "length", usage: used(12, 2) }],
    ["cached", {}, { text: paris, finishReason: "stop", usage: used(12, 7, { cachedInputTokens: 8 }) }],
    ["extras", {}, { text: paris, finishReason: "other", usage: used(12, 7) }],
    ["refusal", {}, { text: "", finishReason: "contentFilter", usage: used(12, 0) }],
    [
      "object",
      { responseFormat: city },
      { text: '{"city":"Paris","population":2102650}', finishReason: "stop", usage: used(40, 12) }
    ],
    ["image", says("image", picture), { text: "I see it.", finishReason: "stop", usage: used(270, 5) }],
    ["file", says("file", paper), { text: "I see it.", finishReason: "stop", usage: used(1570, 5) }],
    [
      "reasoning",
      { reasoning: { effort: "low" } },
      {
        text: "Paris.",
        reasoning: "France, so Paris.",
        finishReason: "stop",
        usage: used(12, 9, { reasoningTokens: 5 })
      }
    ],
    [
      "tools",
      { tools: [weather, time] },
      {
        text: "Let me look.",
        finishReason: "toolCalls",
        usage: used(85, 38),
        calls: [
          ["call_0", "get_weather", { city: "Paris", days: 2 }],
          ["fc_2", "get_time", {}]
        ],
        parts: [
          { text: "Let me look." },
          { functionCall: { name: "get_weather", args: { city: "Paris", days: 2 } }, thoughtSignature: "c2lnLTE=" },
          { functionCall: { name: "get_time", args: {}, id: "fc_2" } }
        ]
      }
    ],
    [
      "reasoning-tools",
      { tools: [weather], reasoning: { effort: "low" } },
      {
        text: "",
        reasoning: "The weather needs a look.",
        finishReason: "toolCalls",
        usage: used(85, 30, { reasoningTokens: 5 }),
        calls: [["call_0", "get_weather", { city: "Paris" }]]
      }
    ]
  ]

  it.effect.each(table)("answers %s, whole and streamed", ([name, more, expected]) =>
    Effect.gen(function* () {
      const endpoint = yield* served
      const request = { messages: [Message.user(name)], ...more }
      const layer = over(endpoint.url)
      const whole = yield* Effect.provide(Llm.generateText(request), layer)
      const told = yield* Effect.provide(
        Stream.runFold(Llm.streamText(request), () => Llm.collected, Llm.collect),
        layer
      )
      assert.isDefined(told.finish)
      const streamed = { ...told.finish, text: told.text, reasoning: told.reasoning, toolCalls: told.toolCalls }
      for (const answer of [whole, streamed]) {
        assert.strictEqual(answer.text, expected.text)
        assert.strictEqual(answer.reasoning ?? "", expected.reasoning ?? "")
        assert.strictEqual(answer.finishReason, expected.finishReason)
        assert.deepStrictEqual(answer.usage, expected.usage)
        assert.strictEqual(answer.model, "gemini-3-flash")
        assert.deepStrictEqual(
          answer.toolCalls.map(({ id, input, name }) => [id, name, input] as const),
          [...(expected.calls ?? [])]
        )
        if (expected.parts !== undefined) assert.deepStrictEqual(answer.message?.native?.content, expected.parts)
      }
      assert.deepStrictEqual(
        endpoint.requests.map(({ path }) => path),
        ["/v1beta/models/gemini-3-flash:generateContent", "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("says that a prompt is blocked and that a key is wrong, once", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* served
      const failures = [
        yield* Effect.flip(Effect.provide(Llm.generateText("prompt-blocked"), over(url))),
        yield* Effect.flip(Effect.provide(Stream.runDrain(Llm.streamText("prompt-blocked")), over(url))),
        yield* Effect.flip(Effect.provide(Llm.generateText("text"), over(url, { apiKey: Redacted.make("bad-key") })))
      ]
      assert.deepStrictEqual(
        failures.map(({ code, isRetryable }) => [code, isRetryable]),
        [
          ["ContentFiltered", false],
          ["ContentFiltered", false],
          ["Unauthorized", false]
        ]
      )
      assert.strictEqual(requests.length, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("goes on with what came of the calls", () =>
    Effect.gen(function* () {
      const { url } = yield* served
      const request: Llm.Request = { messages: [Message.user("tools")], tools: [weather, time] }
      const answer = yield* Effect.gen(function* () {
        const { finish, toolCalls } = yield* Stream.runFold(Llm.streamText(request), () => Llm.collected, Llm.collect)
        // As a conversation is that was stored in between.
        const stored: Message.AssistantMessage = JSON.parse(JSON.stringify(finish?.message))
        const results = toolCalls.map((call) => Message.toolResult(call, "21 degrees"))
        return yield* Llm.generateText({ ...request, messages: [...request.messages, stored, ...results] })
      }).pipe(Effect.provide(over(url)))
      assert.strictEqual(answer.text, "It is 21 degrees in Paris at noon.")
    }).pipe(Effect.scoped)
  )

  it.live("delivers no call of a stream that is cut, and begins again where that is wanted", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* served
      const seen: Array<Llm.StreamEvent> = []
      const read = (text: string) =>
        Stream.runForEach(Llm.streamText({ messages: [Message.user(text)], tools: [weather, time] }), (event) =>
          Effect.sync(() => void seen.push(event))
        ).pipe(Effect.provide(over(url, { onCut: "restart", policy: Policy.make({ retry: { retries: 1, base: 1 } }) })))
      const failed = yield* Effect.flip(read("tools@cut:3"))
      assert.strictEqual(failed.code, "StreamCut")
      assert.notInclude(
        seen.map(({ type }) => type),
        "toolCall"
      )
      seen.length = 0
      yield* read("tools@cut:3*1")
      const types = seen.map(({ type }) => type)
      assert.include(types, "reset")
      assert.deepStrictEqual(types.slice(-3), ["toolCall", "toolCall", "finish"])
      assert.strictEqual(requests.length, 4)
    }).pipe(Effect.scoped)
  )
})
