import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, ExecutionPlan, Layer, Ref, Schema, Stream } from "effect"
import { AiError, EmbeddingModel, LanguageModel, Model, type Prompt } from "effect/ai"
import { Embedder, type Llm, LlmError, LlmLanguageModel, type Message } from "holdfast/llm"
import { PolicyError } from "holdfast/policy"
import { TestEmbedder, TestLlm } from "holdfast/testing"

type Script = Parameters<typeof TestLlm.layer>[0]

const over = (script: Script, options?: LlmLanguageModel.Options) =>
  Layer.provideMerge(LlmLanguageModel.layerText(options), TestLlm.layer(script))

/** What the model is asked where a program asks effect/ai. */
const asked = <A, E>(
  program: Effect.Effect<A, E, LanguageModel.LanguageModel>,
  options?: LlmLanguageModel.Options,
  script: Script = "fine"
) =>
  Effect.gen(function* () {
    yield* program
    const [request] = yield* Ref.get(yield* TestLlm.Requests)
    return request ?? { messages: [] }
  }).pipe(Effect.provide(over(script, options)))

const askedFor = (prompt: Prompt.RawInput) =>
  Effect.map(asked(LanguageModel.generateText({ prompt })), ({ messages }) => messages)

const refusedFor = (prompt: Prompt.RawInput) =>
  LanguageModel.generateText({ prompt }).pipe(
    Effect.flip,
    Effect.map(({ reason }) => reason),
    Effect.provide(over([]))
  )

const ask = LanguageModel.generateText({ prompt: "hi" })

const user = (...content: ReadonlyArray<Prompt.UserMessagePartEncoded>): Prompt.RawInput => [{ role: "user", content }]

const png = Uint8Array.of(0x89, 0x50)

describe("LlmLanguageModel's request", () => {
  it.effect("is the conversation, and nothing that nobody said", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* asked(ask), {
        messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }]
      })
    })
  )

  it.effect("has the layer's settings, and over them those of the calls inside", () =>
    Effect.gen(function* () {
      const settings = { model: "m", temperature: 0, seed: 3, reasoning: { effort: "low" } } as const
      const inside = Effect.provideService(ask, LlmLanguageModel.Current, { temperature: 1, maxTokens: 9 })
      const { messages: _messages, ...rest } = yield* asked(inside, settings)
      assert.deepStrictEqual(rest, { ...settings, temperature: 1, maxTokens: 9 })
    })
  )

  it.effect("has each kind of message", () =>
    Effect.gen(function* () {
      const messages = yield* askedFor([
        { role: "system", content: "be brief" },
        { role: "user", content: "weather?" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "hm" },
            { type: "text", text: "let me " },
            { type: "text", text: "look" },
            { type: "tool-call", id: "1", name: "weather", params: { city: "Paris" } },
            { type: "tool-call", id: "2", name: "weather", params: "{not json" }
          ]
        },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "1", name: "weather", isFailure: false, result: { degrees: 21 } },
            { type: "tool-result", id: "2", name: "weather", isFailure: true, result: "no such city" }
          ]
        }
      ])
      const expected: ReadonlyArray<Message.Message> = [
        { role: "system", content: "be brief" },
        { role: "user", content: [{ type: "text", text: "weather?" }] },
        {
          role: "assistant",
          content: "let me look",
          reasoning: "hm",
          toolCalls: [
            { id: "1", name: "weather", input: { city: "Paris" }, inputText: '{"city":"Paris"}' },
            { id: "2", name: "weather", input: undefined, inputText: "{not json" }
          ]
        },
        { role: "tool", toolCallId: "1", toolName: "weather", content: '{"degrees":21}' },
        { role: "tool", toolCallId: "2", toolName: "weather", content: "no such city", isError: true }
      ]
      assert.deepStrictEqual(messages, expected)
    })
  )

  it.effect("tells a tool's result as its tool wants it told, and one without a result as null", () =>
    Effect.gen(function* () {
      const result = { type: "tool-result", name: "t", isFailure: false } as const
      const modelOutput = [
        { type: "text", text: "a map" },
        { type: "file", mediaType: "image/png", data: png }
      ] as const
      const messages = yield* askedFor([
        {
          role: "tool",
          content: [
            { ...result, id: "1", result: {}, modelOutput },
            { ...result, id: "2", result: undefined }
          ]
        }
      ])
      assert.deepStrictEqual(
        messages.map(({ content }) => content),
        ["a map\n[image/png omitted]", "null"]
      )
    })
  )

  it.effect("has the files that a user shows", () =>
    Effect.gen(function* () {
      const [message] = yield* askedFor(
        user(
          { type: "file", mediaType: "image/png", data: png },
          { type: "file", mediaType: "image/*", data: new URL("https://example.com/a.png") },
          { type: "file", mediaType: "image/*", data: "data:image/webp;base64,UklG" },
          { type: "file", mediaType: "application/pdf", data: "JVBERg==", fileName: "a.pdf" },
          { type: "file", mediaType: "application/pdf", data: "https://example.com/a.pdf" }
        )
      )
      assert.deepStrictEqual(message?.content, [
        { type: "image", data: png, mediaType: "image/png" },
        { type: "image", url: "https://example.com/a.png" },
        { type: "image", data: "UklG", mediaType: "image/webp" },
        { type: "file", data: "JVBERg==", mediaType: "application/pdf", name: "a.pdf" },
        { type: "file", url: "https://example.com/a.pdf", mediaType: "application/pdf" }
      ])
    })
  )

  it.effect("is not sent where it cannot be said, and the reason tells why", () =>
    Effect.gen(function* () {
      const file = (mediaType: string, data: string | Uint8Array) => user({ type: "file", mediaType, data })
      const drawn = { type: "file", mediaType: "image/png", data: png } as const
      for (const [prompt, words] of [
        [file("image/*", png), "does not say what the bytes are"],
        [file("text/plain", "data:text/plain,hello"), "without ;base64"],
        [[{ role: "assistant", content: [drawn] }], "an assistant's turn has a file"]
      ] as const) {
        const reason = yield* refusedFor(prompt)
        assert.strictEqual(reason._tag, "InvalidUserInputError")
        assert.include(reason.message, words)
      }
      const result = { type: "tool-result", id: "1", name: "t", isFailure: false, result: 1n } as const
      assert.deepInclude(yield* refusedFor([{ role: "tool", content: [result] }]), {
        _tag: "ToolResultEncodingError",
        toolName: "t"
      })
    })
  )

  it.effect("leaves out what another provider has run by itself", () =>
    Effect.gen(function* () {
      const search = { id: "1", name: "web_search", providerExecuted: true } as const
      const content = [
        { type: "tool-call", ...search, params: { query: "x" } },
        { type: "tool-result", ...search, isFailure: false, result: [] }
      ] as const
      const messages = yield* askedFor([
        { role: "user", content: "hi" },
        { role: "assistant", content },
        { role: "assistant", content: [...content, { type: "text", text: "found" }] }
      ])
      assert.deepStrictEqual(messages.slice(1), [{ role: "assistant", content: "found" }])
    })
  )
})

describe("LlmLanguageModel's object", () => {
  const Person = Schema.Struct({
    name: Schema.String.check(Schema.isMinLength(1)),
    age: Schema.optionalKey(Schema.Int),
    born: Schema.Date,
    scores: Schema.Record(Schema.String, Schema.Int)
  }).annotate({ identifier: "app/Person" })

  const born = new Date("2000-01-01T00:00:00.000Z")
  const generate = LanguageModel.generateObject({ prompt: "who?", schema: Person })

  it.effect("is asked for in the form of strict mode, under a name that providers take", () =>
    Effect.gen(function* () {
      const answer = JSON.stringify({ name: "Ada", age: null, born, scores: [] })
      const { responseFormat } = yield* asked(generate, {}, answer)
      assert.deepInclude(responseFormat, { type: "jsonSchema", name: "app_Person", strict: true })
      const schema = responseFormat?.type === "jsonSchema" ? responseFormat.schema : {}
      assert.deepInclude(schema, { required: ["name", "age", "born", "scores"], additionalProperties: false })
    })
  )

  for (const [form, answer] of [
    ["of strict mode", { name: "Ada", age: null, born, scores: [{ "0": "chess", "1": 1 }] }],
    ["of the schema itself", { name: "Ada", born, scores: { chess: 1 } }]
  ] as const) {
    it.effect(`is read in the form ${form}`, () =>
      Effect.gen(function* () {
        const { value } = yield* Effect.provide(generate, over(JSON.stringify(answer)))
        assert.deepStrictEqual(value, { name: "Ada", born, scores: { chess: 1 } })
      })
    )
  }

  it.effect("is told in the form that a codec transformer gives it", () =>
    Effect.gen(function* () {
      const codecTransformer = LanguageModel.defaultCodecTransformer
      const Plain = Schema.Struct({ a: Schema.optionalKey(Schema.String) })
      const plain = LanguageModel.generateObject({ prompt: "?", schema: Plain, objectName: "plain" })
      const { responseFormat } = yield* asked(plain, { codecTransformer }, "{}")
      assert.deepInclude(responseFormat, { name: "plain", strict: undefined })
    })
  )

  it.effect("that breaks the check of a number is told what was expected", () =>
    Effect.gen(function* () {
      const { reason } = yield* Effect.flip(
        Effect.provide(
          LanguageModel.generateObject({ prompt: "how old?", schema: Schema.Struct({ age: Schema.Int }) }),
          over('{"age":1.5}')
        )
      )
      assert.include(reason.message, "Expected an integer")
      assert.notInclude(reason.message, "<filter>")
      const optional = Schema.Struct({ age: Schema.optionalKey(Schema.Int) })
      const either = LanguageModel.generateObject({ prompt: "how old?", schema: optional })
      assert.include((yield* Effect.flip(Effect.provide(either, over('{"age":1.5}')))).reason.message, "an integer")
    })
  )

  it.effect("that does not fit is an error that says so", () =>
    Effect.gen(function* () {
      const Age = Schema.Struct({ age: Schema.Int })
      const age = LanguageModel.generateObject({ prompt: "how old?", schema: Age })
      const { reason } = yield* Effect.flip(Effect.provide(age, over(`{"age":"old"}`)))
      assert.strictEqual(reason._tag, "StructuredOutputError")
      // Once, where both forms of the schema are the same.
      assert.strictEqual(reason.message.match(/Expected/g)?.length, 1)
    })
  )

  for (const [what, answer, words] of [
    ["the model does not want to make", { refusal: "I will not." }, "I will not."],
    ["the provider filtered", { finishReason: "contentFilter" }, "it filtered its answer"]
  ] as const) {
    it.effect(`that ${what} is a ContentPolicyError, not an object that does not fit`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.provide(generate, over(answer)))
        assert.deepInclude(error.reason, { _tag: "ContentPolicyError", description: words })
        assert.isFalse(error.isRetryable)
      })
    )
  }
})

describe("LlmLanguageModel's answer", () => {
  const attempt = {
    endpoint: "https://llm.test",
    startMillis: 1,
    durationMillis: 2,
    outcome: "ok",
    phase: undefined,
    waitMillis: 0,
    waitCause: "none",
    queuedMillis: 3
  } as const

  const whole: TestLlm.Reply = {
    text: "hello",
    reasoning: "hm",
    model: "m-1",
    cost: 0.25,
    servedBy: "second",
    requestId: "req_1",
    attempts: [attempt],
    usage: {
      inputTokens: 10,
      outputTokens: 7,
      cachedInputTokens: 4,
      cacheWriteInputTokens: 1,
      reasoningTokens: 2,
      isEstimate: true
    }
  }

  it.effect("has its reasoning, its text, its usage and what effect/ai has no words for", () =>
    Effect.gen(function* () {
      const response = yield* Effect.provide(ask, over(whole))
      assert.deepStrictEqual([response.reasoningText, response.text], ["hm", "hello"])
      assert.deepStrictEqual({ ...response.usage.inputTokens }, { total: 10, uncached: 5, cacheRead: 4, cacheWrite: 1 })
      assert.deepStrictEqual({ ...response.usage.outputTokens }, { total: 7, text: 5, reasoning: 2 })
      const metadata = response.content.find((part) => part.type === "response-metadata")
      assert.strictEqual(metadata?.modelId, "m-1")
      assert.strictEqual(metadata?.timestamp?.epochMilliseconds, 0)
      // A request's name is no response that could be gone on from.
      assert.isUndefined(metadata?.id)
      const { phase: _phase, ...told } = attempt
      assert.deepStrictEqual(LlmLanguageModel.detailsOf(response.content), {
        attempts: [told],
        cost: 0.25,
        servedBy: "second",
        requestId: "req_1",
        isEstimate: true
      })
    })
  )

  it.effect("tells no usage where the provider told none", () =>
    Effect.gen(function* () {
      const usage = { inputTokens: 0, outputTokens: 0 }
      const response = yield* Effect.provide(ask, over({ text: "hello", usage }))
      assert.isUndefined(response.usage.inputTokens.total)
      assert.isUndefined(response.usage.outputTokens.total)
    })
  )

  const finishes: Readonly<Record<Llm.FinishReason, string>> = {
    stop: "stop",
    length: "length",
    toolCalls: "tool-calls",
    contentFilter: "content-filter",
    other: "other"
  }

  it.effect("ends for the reason that its provider gave", () =>
    Effect.gen(function* () {
      for (const finishReason of ["stop", "length", "toolCalls", "contentFilter", "other"] as const) {
        const response = yield* Effect.provide(ask, over({ text: "x", finishReason }))
        assert.strictEqual(response.finishReason, finishes[finishReason])
      }
    })
  )

  it.effect("that is a refusal has its words, and ends as filtered", () =>
    Effect.gen(function* () {
      const response = yield* Effect.provide(ask, over({ text: "", refusal: "I will not.", finishReason: "stop" }))
      assert.deepInclude(response, { text: "I will not.", finishReason: "content-filter" })
      const [part] = response.content
      assert.deepStrictEqual(part?.metadata, { holdfast: { refusal: true } })
    })
  )
})

describe("LlmLanguageModel's errors", () => {
  const described = { description: "words" }
  const wait = Duration.seconds(3)
  const usage = { inputTokens: 1, outputTokens: 1 }
  const key = "https://llm.test"

  /** Every reason there is: one that is added and not mapped does not compile. */
  const table: {
    readonly [Tag in LlmError.Reason["_tag"]]: ReadonlyArray<
      readonly [Extract<LlmError.Reason, { readonly _tag: Tag }>, AiError.AiErrorReason["_tag"]]
    >
  } = {
    RateLimited: [
      [new LlmError.RateLimited({ ...described, status: 429, retryAfter: wait }), "RateLimitError"],
      [new LlmError.RateLimited({ ...described, status: 429, retryable: false }), "QuotaExhaustedError"]
    ],
    Overloaded: [
      [new LlmError.Overloaded({ ...described, status: 529, retryAfter: wait }), "InternalProviderError"],
      [new LlmError.Overloaded(described), "InternalProviderError"]
    ],
    QuotaExhausted: [[new LlmError.QuotaExhausted({ ...described, status: 402 }), "QuotaExhaustedError"]],
    Unauthorized: [
      [new LlmError.Unauthorized({ ...described, status: 401 }), "AuthenticationError"],
      [new LlmError.Unauthorized({ ...described, status: 403 }), "AuthenticationError"],
      [new LlmError.Unauthorized(described), "AuthenticationError"]
    ],
    InvalidRequest: [[new LlmError.InvalidRequest({ ...described, status: 400 }), "InvalidRequestError"]],
    ContextLengthExceeded: [[new LlmError.ContextLengthExceeded(described), "InvalidRequestError"]],
    ContentFiltered: [[new LlmError.ContentFiltered(described), "ContentPolicyError"]],
    ServerError: [
      [new LlmError.ServerError({ ...described, status: 500, retryAfter: wait }), "InternalProviderError"],
      [new LlmError.ServerError({ ...described, status: 500, retryable: false }), "UnknownError"]
    ],
    Unreachable: [[new LlmError.Unreachable(described), "NetworkError"]],
    ConnectionLost: [[new LlmError.ConnectionLost(described), "NetworkError"]],
    InvalidResponse: [
      [new LlmError.InvalidResponse(described), "InvalidOutputError"],
      [new LlmError.InvalidResponse({ ...described, delivered: true }), "InvalidResponseError"]
    ],
    FirstContentTimeout: [[new LlmError.FirstContentTimeout({ timeoutMillis: 1 }), "NetworkError"]],
    StreamStalled: [[new LlmError.StreamStalled({ timeoutMillis: 1, partial: "x" }), "InvalidResponseError"]],
    StreamCut: [[new LlmError.StreamCut({ ...described, partial: "x" }), "InvalidResponseError"]],
    StreamTruncated: [
      [new LlmError.StreamTruncated({ partial: "" }), "InvalidOutputError"],
      [new LlmError.StreamTruncated({ partial: "x", delivered: true }), "InvalidResponseError"]
    ],
    BodyTooLarge: [[new LlmError.BodyTooLarge({ limitBytes: 1 }), "InvalidResponseError"]],
    ObjectMismatch: [
      [new LlmError.ObjectMismatch({ issues: [], answers: 1, usage, text: "" }), "InvalidResponseError"]
    ],
    RoundsExceeded: [[new LlmError.RoundsExceeded({ maxRounds: 1, tools: ["t"], usage }), "UnknownError"]],
    DeadlineExceeded: [[new PolicyError.DeadlineExceeded({ key, totalMillis: 1, phase: "maybeSent" }), "UnknownError"]],
    AttemptTimeout: [[new PolicyError.AttemptTimeout({ key, timeoutMillis: 1 }), "NetworkError"]],
    Shed: [[new PolicyError.Shed({ key, waiting: 1, retryAfter: wait }), "UnknownError"]],
    Draining: [[new PolicyError.Draining({ key }), "UnknownError"]],
    CircuitOpen: [[new PolicyError.CircuitOpen({ key, retryAfter: wait }), "UnknownError"]],
    BudgetExceeded: [
      [
        new PolicyError.BudgetExceeded({ key, budget: "run", unit: "tokens", limit: 1, used: 1, wanted: 1 }),
        "UnknownError"
      ]
    ]
  }

  const rows = Object.values(table).flat()

  it.effect("keep what ours say of trying again and of waiting, and ours behind them", () =>
    Effect.gen(function* () {
      for (const [reason, tag] of rows) {
        const failure = TestLlm.failure(reason)
        for (const asking of [ask, Stream.runDrain(LanguageModel.streamText({ prompt: "hi" }))]) {
          const error = yield* Effect.flip(Effect.provide(asking, over(Effect.fail(failure))))
          assert.isTrue(AiError.isAiError(error))
          assert.strictEqual(error.reason._tag, tag, reason._tag)
          assert.strictEqual(error.isRetryable, failure.isRetryable, reason._tag)
          assert.deepStrictEqual(error.retryAfter, failure.retryAfter, reason._tag)
          assert.strictEqual(LlmLanguageModel.errorOf(error), failure)
        }
      }
    })
  )

  it.effect("go over a wire with what there is to say", () =>
    Effect.gen(function* () {
      const encode = Schema.encodeEffect(Schema.toCodecJson(AiError.AiError))
      for (const [reason] of rows) {
        const error = yield* Effect.flip(Effect.provide(ask, over(Effect.fail(TestLlm.failure(reason)))))
        const json = yield* encode(error)
        assert.deepInclude(json, { _tag: "AiError", module: "LlmLanguageModel", method: "generateText" })
      }
      const limited = new LlmError.RateLimited({ ...described, status: 429, retryAfter: wait })
      const error = yield* Effect.flip(Effect.provide(ask, over(Effect.fail(TestLlm.failure(limited)))))
      assert.deepStrictEqual(error.reason._tag === "RateLimitError" && error.reason.metadata, {
        holdfast: { provider: "test", code: "RateLimited", phase: "rejected", status: 429, attempts: [] }
      })
    })
  )

  it.effect("say which key is wrong", () =>
    Effect.gen(function* () {
      const kinds: Array<string> = []
      for (const [reason] of table.Unauthorized) {
        const error = yield* Effect.flip(Effect.provide(ask, over(Effect.fail(TestLlm.failure(reason)))))
        if (error.reason._tag === "AuthenticationError") kinds.push(error.reason.kind)
      }
      assert.deepStrictEqual(kinds, ["InvalidKey", "InsufficientPermissions", "Unknown"])
    })
  )
})

describe("LlmLanguageModel's embeddings", () => {
  const embedding = Layer.provideMerge(LlmLanguageModel.layerEmbedding({ purpose: "query" }), TestEmbedder.layer())

  it.effect("are those of the Embedder, asked with the layer's options", () =>
    Effect.gen(function* () {
      const model = yield* EmbeddingModel.EmbeddingModel
      const { embeddings, usage } = yield* model.embedMany(["a", "b"])
      const { vectors } = yield* Embedder.embedMany(["a", "b"])
      assert.deepStrictEqual(
        embeddings.map(({ vector }) => vector),
        vectors
      )
      assert.isAbove(usage.inputTokens ?? 0, 0)
      const [request] = yield* Ref.get(yield* TestEmbedder.Requests)
      assert.deepStrictEqual(request, { inputs: ["a", "b"], purpose: "query" })
    }).pipe(Effect.provide(embedding))
  )

  it.effect("of texts that are asked for one by one are asked for together", () =>
    Effect.gen(function* () {
      const model = yield* EmbeddingModel.EmbeddingModel
      yield* Effect.forEach(["a", "b", "c"], model.embed, { concurrency: "unbounded" })
      assert.strictEqual((yield* Ref.get(yield* TestEmbedder.Requests)).length, 1)
    }).pipe(Effect.provide(embedding))
  )

  it.effect("fail as those of effect/ai, with our error behind them", () =>
    Effect.gen(function* () {
      const failure = TestEmbedder.failure(
        new LlmError.RateLimited({ description: "x", retryAfter: Duration.seconds(3) })
      )
      const failing = Layer.provide(LlmLanguageModel.layerEmbedding(), TestEmbedder.layer(Effect.fail(failure)))
      const error = yield* EmbeddingModel.EmbeddingModel.pipe(
        Effect.flatMap((model) => model.embed("a")),
        Effect.flip,
        Effect.provide(failing)
      )
      assert.strictEqual(error.reason._tag, "RateLimitError")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(3))
      assert.strictEqual(LlmLanguageModel.errorOf(error), failure)
    })
  )
})

describe("LlmLanguageModel's layers", () => {
  it.effect("provide both models at once", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask).text, "hello")
      const model = yield* EmbeddingModel.EmbeddingModel
      assert.strictEqual((yield* model.embed("a")).vector.length, 4)
    }).pipe(
      Effect.provide(LlmLanguageModel.layer({ maxTokens: 9 }, { dimensions: 4 })),
      Effect.provide(Layer.merge(TestLlm.layer("hello"), TestEmbedder.layer()))
    )
  )

  it.effect("are the steps of an execution plan, each with its name", () =>
    Effect.gen(function* () {
      const busy = TestLlm.layer(Effect.fail(TestLlm.failure(new LlmError.Overloaded({ description: "busy" }))))
      const plan = ExecutionPlan.make(
        { provide: Layer.provide(LlmLanguageModel.model("openai", "large"), busy) },
        {
          provide: Layer.provide(
            LlmLanguageModel.model("anthropic", "small"),
            TestLlm.layer((request) => request.model ?? "")
          )
        }
      )
      const program = Effect.gen(function* () {
        const { text } = yield* ask
        return [text, yield* Model.ProviderName, yield* Model.ModelName]
      })
      assert.deepStrictEqual(yield* Effect.withExecutionPlan(program, plan), ["small", "anthropic", "small"])
    })
  )
})
