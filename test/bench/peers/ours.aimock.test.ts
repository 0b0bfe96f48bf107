/**
 * Our layers over a mock server that others wrote: it takes what we send for what we mean, its journal says so, and we
 * read what it answers, its faults included. Where it is not like the provider, a comment at the assertion says it.
 */
import { type FixtureOpts, isChatCompletionBody, LLMock } from "@copilotkit/aimock"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, DeepSeekLlm, GeminiLlm, Llm, type LlmError, LlmObject, Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"

const key = "sk-secret"

// Strict: what no fixture expects is refused, and so is a turn of Anthropic's that lost its signed thinking.
const mock = new LLMock({ port: 0, strict: true, chunkSize: 8, auth: { apiKeys: [key] } })

interface Shared {
  readonly apiKey: Redacted.Redacted<string>
  readonly policy: Policy.Policy
}

interface Provider {
  readonly name: string
  readonly model: string
  readonly layer: (options: Shared) => Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>
  /** Where it asks, whole and streamed. */
  readonly paths: readonly [string, string]
  /** The chunks of `France`, as far as there is no finish marker in them. */
  readonly unfinished: number
}

const providers: ReadonlyArray<Provider> = [
  {
    name: "OpenAiLlm",
    model: "gpt-5.2",
    layer: (shared) => OpenAiLlm.layer({ ...shared, model: "gpt-5.2", baseUrl: `${mock.url}/v1` }),
    paths: ["/v1/chat/completions", "/v1/chat/completions"],
    // The role, and four pieces of text.
    unfinished: 5
  },
  {
    name: "DeepSeekLlm",
    model: "deepseek-flash",
    layer: (shared) => DeepSeekLlm.layer({ ...shared, model: "deepseek-flash", baseUrl: `${mock.url}/v1` }),
    paths: ["/v1/chat/completions", "/v1/chat/completions"],
    unfinished: 5
  },
  {
    name: "AnthropicLlm",
    model: "claude-sonnet-5",
    layer: (shared) => AnthropicLlm.layer({ ...shared, model: "claude-sonnet-5", baseUrl: mock.url }),
    paths: ["/v1/messages", "/v1/messages"],
    // message_start, content_block_start, four deltas, content_block_stop and message_delta; not message_stop.
    unfinished: 8
  },
  {
    name: "GeminiLlm",
    model: "gemini-3-flash",
    layer: (shared) => GeminiLlm.layer({ ...shared, model: "gemini-3-flash", baseUrl: mock.url }),
    paths: [
      "/v1beta/models/gemini-3-flash:generateContent",
      "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"
    ],
    // Four pieces of text, the last of them with the finish reason.
    unfinished: 3
  }
]

const france = "Paris is the capital of France."
const tokens = { prompt_tokens: 12, completion_tokens: 7 }
const paris = { city: "Paris", population: 2_102_650 }

const weather: Llm.ToolSpec = {
  name: "get_weather",
  description: "The weather of a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city"]
  }
}
const time: Llm.ToolSpec = { name: "get_time", description: "The time of day" }

const calls = [
  { id: "call_1", name: "get_weather", arguments: { city: "Paris", days: 2 } },
  { id: "call_2", name: "get_time", arguments: {} }
]
const [first] = calls

/** Fails as often as it says, and answers then. */
const failing = (said: string, times: number, status: number, type: string): void => {
  for (let at = 0; at < times; at++) {
    mock.on({ userMessage: said, sequenceIndex: at }, { error: { message: said, type }, status, retryAfter: 0.01 })
  }
  mock.on({ userMessage: said, sequenceIndex: times }, { content: france })
}

const always = (said: string, status: number, type: string): void => {
  mock.onMessage(said, { error: { message: "Slow down", type }, status, retryAfter: 7 })
}

/** A pause lets what was written leave before the socket is torn. */
const torn = (truncateAfterChunks: number): FixtureOpts => ({ truncateAfterChunks, latency: 4 })

const expectQuestions = (): void => {
  mock.on({ userMessage: "capital", systemMessage: ["Be brief.", "Be kind."] }, { content: france, usage: tokens })
  mock.on({ userMessage: "which model", model: "another-model" }, { content: "It is me." })
  mock.onMessage("how long", { content: "Paris is", finishReason: "length" })
  mock.on({ userMessage: "outside", hasToolResult: false }, { content: "Let me look.", toolCalls: calls })
  mock.on({ toolCallId: "call_2", toolResultContains: "noon" }, { content: "It is 21 degrees at noon." })
  mock.on(
    { userMessage: "think first", hasToolResult: false },
    {
      reasoning: "It needs a look.",
      reasoningSignature: "sig-1",
      redactedThinking: ["cmVk"],
      toolCalls: calls.slice(0, 1)
    }
  )
  mock.on({ toolCallId: "call_1", toolResultContains: "sun" }, { content: "Sunny.", reasoning: "The sun is out." })
  mock.onMessage("largest city", { content: { city: "Paris" } })
  mock.onMessage("population", { content: paris })
  mock.onMessage("picture", { content: "I see it." })
}

const expectFaults = (): void => {
  failing("busy", 1, 529, "overloaded_error")
  failing("limited", 2, 429, "rate_limit_error")
  failing("broken", 1, 500, "server_error")
  always("rate", 429, "rate_limit_error")
  always("overload", 529, "overloaded_error")
  always("down", 500, "api_error")
  always("locked", 401, "authentication_error")
  always("spent", 402, "billing_error")
  mock.onMessage("dropped", { content: france }, { chaos: { dropRate: 1 } })
  mock.onMessage("garbled", { content: france }, { chaos: { malformedRate: 1 } })
  mock.onMessage("hung up", { content: france }, { chaos: { disconnectRate: 1 } })
  for (let chunks = 1; chunks <= 8; chunks++) mock.onMessage(`torn after ${chunks}`, { content: france }, torn(chunks))
  mock.onMessage("torn in time", { content: france }, { latency: 25, disconnectAfterMs: 60 })
  // In the middle of the arguments.
  mock.onMessage("torn call", { toolCalls: calls.slice(0, 1) }, torn(4))
  mock.on({ userMessage: "torn once", sequenceIndex: 0 }, { content: france.repeat(9) }, torn(9))
  mock.on({ userMessage: "torn once", sequenceIndex: 1 }, { content: france })
}

beforeAll(async () => {
  expectQuestions()
  expectFaults()
  await mock.start()
})

beforeEach(() => {
  mock.clearRequests()
  mock.resetMatchCounts()
})

afterAll(() => mock.stop())

const asking = (said: string, more: Partial<Llm.Request> = {}): Llm.Request => ({
  messages: [Message.user(said)],
  maxTokens: 4096,
  ...more
})

type Told = Omit<Llm.Answer, "raw"> & { readonly events: ReadonlyArray<Llm.StreamEvent> }

const whole = (request: Llm.Request): Effect.Effect<Told, LlmError.LlmError, Llm.Llm> =>
  Effect.map(Llm.generateText(request), ({ raw: _raw, ...answer }) => ({ ...answer, events: [] }))

const streamed = (request: Llm.Request): Effect.Effect<Told, LlmError.LlmError, Llm.Llm> =>
  Effect.map(Stream.runCollect(Llm.streamText(request)), (events) => {
    const { finish, reasoning, text, toolCalls } = events.reduce(Llm.collect, Llm.collected)
    if (finish === undefined) throw new Error("the stream ended without a finish event")
    return { ...finish, text, reasoning: reasoning === "" ? undefined : reasoning, toolCalls, events }
  })

/** The requests that came, as the mock read them: each provider's own format is told in OpenAI's. */
const journal = () =>
  mock.getRequests().map(({ body, ...entry }) => {
    if (!isChatCompletionBody(body)) throw new Error("not a chat request")
    return { ...entry, body }
  })

describe.each(providers)("$name over aimock", ({ layer, model, name, paths, unfinished }) => {
  const isOpenAi = name === "OpenAiLlm" || name === "DeepSeekLlm"

  interface More {
    readonly apiKey?: string
    readonly maxRetryAfter?: number
  }

  const run = <A, E>(effect: Effect.Effect<A, E, Llm.Llm>, { apiKey = key, ...retry }: More = {}): Promise<A> => {
    const policy = Policy.make({ retry: { base: 1, ...retry }, retryBudget: false })
    const llm = Layer.provide(layer({ apiKey: Redacted.make(apiKey), policy }), UndiciHttpClient.layer())
    return Effect.runPromise(Effect.provide(effect, llm))
  }

  describe.each([
    ["whole", whole, paths[0]],
    ["streamed", streamed, paths[1]]
  ] as const)("%s", (door, ask, path) => {
    it("says what is asked, and by whom, and reads the answer", async () => {
      const messages = [Message.system("Be brief."), Message.system("Be kind."), Message.user("The capital?")]
      const answer = await run(ask(asking("", { messages })))
      expect(answer).toMatchObject({ text: france, finishReason: "stop", toolCalls: [] })
      expect(answer.message).toMatchObject({ role: "assistant", content: france })
      // aimock counts OpenAI's tokens alone; Anthropic's and Gemini's are 0 where a fixture does not say them.
      expect(answer.usage).toMatchObject({ inputTokens: 12, outputTokens: 7 })
      expect(answer.usage.isEstimate).toBeUndefined()
      // aimock's answers of Gemini do not name the model that answered.
      expect(answer.model).toBe(model)
      expect(answer.attempts.map(({ outcome }) => outcome)).toEqual(["ok"])
      expect(journal()).toHaveLength(1)
      const { body, headers, method, path: asked, response } = journal()[0] ?? {}
      expect([method, asked, response?.status]).toEqual(["POST", path, 200])
      expect(headers?.["content-type"]).toBe("application/json")
      // aimock names requests as OpenAI does; Anthropic has `request-id`, and Gemini nothing.
      expect(answer.requestId).toBe(headers?.["x-request-id"])
      expect(body?.model).toBe(model)
      expect(body?.stream ?? false).toBe(door === "streamed")
      expect(body?.max_tokens).toBe(4096)
      // Anthropic and Gemini have one place for all instructions.
      const said = body?.messages.filter(({ role }) => role === "system").map(({ content }) => content)
      expect(said?.join("\n")).toMatch(/^Be brief\.\s*Be kind\.$/)
      expect(body?.messages.at(-1)).toEqual({ role: "user", content: "The capital?" })
    })

    it("asks the model that the request names", async () => {
      const answer = await run(ask(asking("which model", { model: "another-model" })))
      expect(answer.text).toBe("It is me.")
      expect(journal()[0]?.body.model).toBe("another-model")
    })

    it("says that an answer was cut short by its length", async () => {
      expect(await run(ask(asking("how long")))).toMatchObject({ text: "Paris is", finishReason: "length" })
    })

    it("asks for tools, and goes on with what came of them", async () => {
      const request = asking("outside", { tools: [weather, time] })
      const asked = await run(ask(request))
      expect(asked.text).toBe("Let me look.")
      expect(asked.toolCalls.map(({ id, input, name }) => ({ id, name, arguments: input }))).toEqual(calls)
      // aimock ends Gemini's calls with FUNCTION_CALL, which Gemini does not have: there it is STOP.
      expect(asked.finishReason).toBe(name === "GeminiLlm" ? "other" : "toolCalls")
      const [one, two] = asked.toolCalls
      if (one === undefined || two === undefined) throw new Error("two calls were asked for")
      const results = [Message.toolResult(one, "21 degrees"), Message.toolResult(two, `{"time":"noon"}`)]
      const after = await run(ask({ ...request, messages: [...request.messages, asked.message, ...results] }))
      expect(after).toMatchObject({ text: "It is 21 degrees at noon.", finishReason: "stop" })
      const [before, again] = journal()
      for (const entry of [before, again]) {
        // aimock reads Gemini's `parameters`, and not its `parametersJsonSchema`.
        const parameters = name === "GeminiLlm" ? undefined : weather.parameters
        expect(entry?.body.tools?.[0]).toMatchObject({ function: { ...weather, parameters } })
        expect(entry?.body.tools?.map((tool) => tool.function.name)).toEqual(["get_weather", "get_time"])
      }
      const [, turn, result, last] = again?.body.messages ?? []
      expect(turn).toMatchObject({ role: "assistant", content: "Let me look." })
      expect(
        turn?.tool_calls?.map(({ function: { arguments: input, name }, id }) => ({
          id,
          name,
          arguments: JSON.parse(input)
        }))
      ).toEqual(calls)
      expect(result).toMatchObject({ role: "tool", tool_call_id: "call_1" })
      expect(result?.content).toContain("21 degrees")
      expect(last).toEqual({ role: "tool", tool_call_id: "call_2", content: `{"time":"noon"}` })
    })

    it("tells the reasoning, and gives it back as the provider wants it", async () => {
      const reasoning = isOpenAi ? ({ effort: "low" } as const) : { budgetTokens: 2048 }
      const request = asking("think first", { tools: [weather], reasoning })
      const asked = await run(ask(request))
      expect(asked).toMatchObject({ reasoning: "It needs a look.", text: "" })
      expect(asked.toolCalls).toMatchObject([{ name: "get_weather", input: first?.arguments }])
      const results = asked.toolCalls.map((call) => Message.toolResult(call, "sun"))
      const after = await run(ask({ ...request, messages: [...request.messages, asked.message, ...results] }))
      expect(after).toMatchObject({ reasoning: "The sun is out.", text: "Sunny." })
      const turn = journal()[1]?.body.messages.find(({ role }) => role === "assistant")
      // aimock passes OpenAI's format on as it came; of the others it keeps no reasoning.
      if (name === "DeepSeekLlm") expect(turn).toMatchObject({ reasoning_content: "It needs a look." })
      if (name === "OpenAiLlm") expect(turn).not.toHaveProperty("reasoning_content")
    })

    it.runIf(name === "AnthropicLlm")("is refused where the signed reasoning does not come back", async () => {
      const request = asking("think first", { tools: [weather], reasoning: { budgetTokens: 2048 } })
      const { message, toolCalls } = await run(ask(request))
      const { native: _native, ...turn } = message
      const results = toolCalls.map((call) => Message.toolResult(call, "sun"))
      const error = await run(Effect.flip(ask({ ...request, messages: [...request.messages, turn, ...results] })))
      expect(error).toMatchObject({ code: "InvalidRequest", status: 400 })
      expect(error.message).toContain("must begin with a `thinking` block")
    })

    it("is refused with a wrong key", async () => {
      const error = await run(Effect.flip(ask(asking("The capital?"))), { apiKey: "sk-other" })
      expect(error).toMatchObject({ code: "Unauthorized", status: 401, isRetryable: false })
      expect(error.attempts).toHaveLength(1)
    })

    it("shows a picture", async () => {
      const picture = Message.image(Uint8Array.of(0x89, 0x50, 0x4e, 0x47), "image/png")
      const messages = [Message.user([{ type: "text", text: "picture" }, picture])]
      expect((await run(ask(asking("", { messages })))).text).toBe("I see it.")
      const url = "data:image/png;base64,iVBORw=="
      const parts = [
        { type: "text", text: "picture" },
        { type: "image_url", image_url: { url } }
      ]
      // aimock drops what is no text from Anthropic's and Gemini's messages.
      expect(journal()[0]?.body.messages).toEqual([{ role: "user", content: isOpenAi ? parts : "picture" }])
    })

    it.each([
      ["busy", ["Overloaded", "ok"]],
      ["limited", ["RateLimited", "RateLimited", "ok"]],
      ["broken", ["ServerError", "ok"]]
    ])("tries again when the server is %s", async (said, outcomes) => {
      const answer = await run(ask(asking(said)))
      expect(answer.text).toBe(france)
      expect(answer.attempts.map(({ outcome }) => outcome)).toEqual(outcomes)
      expect(journal().map(({ body }) => body.messages)).toEqual(outcomes.map(() => [{ role: "user", content: said }]))
      const waits = answer.attempts.slice(1).map(({ waitCause }) => waitCause)
      // A 429 alone has a Retry-After, of Gemini's too, who has it in the body.
      expect(waits).toEqual(outcomes.slice(1).map(() => (said === "limited" ? "retryAfter" : "backoff")))
    })

    it("tells how long a limited caller was asked to wait", async () => {
      const error = await run(Effect.flip(ask(asking("rate"))), { maxRetryAfter: 1000 })
      // Beside the 7 s of Retry-After the mock says that the limit of tokens is reset in 6 minutes.
      expect(error).toMatchObject({ code: "RateLimited", status: 429, retryAfterMillis: 7000 })
      expect(error.message).toContain("Slow down")
      expect(error.attempts).toHaveLength(1)
    })

    it.each([
      ["overload", "Overloaded", 529, 3],
      ["down", "ServerError", 500, 3],
      ["locked", "Unauthorized", 401, 1],
      ["spent", "QuotaExhausted", 402, 1],
      ["dropped", "ServerError", 500, 3],
      ["garbled", "InvalidResponse", undefined, 3],
      ["hung up", "ConnectionLost", undefined, 3]
    ])("tells %s as %s", async (said, code, status, sends) => {
      const error = await run(Effect.flip(ask(asking(said))))
      expect([error.code, error.status]).toEqual([code, status])
      expect(error.attempts.map(({ outcome }) => outcome)).toEqual(Array.from({ length: sends }, () => code))
      expect(journal()).toHaveLength(sends)
    })

    it("takes a request that nobody expects for one that is wrong", async () => {
      const lenient = { headers: { "x-aimock-strict": "false" } }
      const error = await run(Effect.flip(ask(asking("anything else", lenient))))
      // Anthropic's and Google's words for it would be their own: aimock uses OpenAI's for all.
      expect(error).toMatchObject({ code: "InvalidRequest", status: 404, isRetryable: false })
      expect(error.message).toContain("No fixture matched")
      expect(error.attempts).toHaveLength(1)
    })
  })

  it("reads an object, after saying what was wrong with the first one", async () => {
    const City = Schema.Struct({ city: Schema.String, population: Schema.Int })
    const result = await run(LlmObject.generate(City, asking("The largest city?")))
    expect(result).toMatchObject({ value: paris, answers: 2 })
    const [asked, again] = journal()
    expect(again?.body.messages.at(-1)?.content).toContain("population")
    expect(again?.body.messages.at(-2)).toMatchObject({ role: "assistant", content: `{"city":"Paris"}` })
    // aimock drops Anthropic's `output_config` and Gemini's `responseJsonSchema`.
    const format = asked?.body.response_format
    if (name === "OpenAiLlm") {
      expect(format).toMatchObject({ type: "json_schema", json_schema: { name: "answer", strict: true } })
    } else if (name === "DeepSeekLlm") {
      expect(format).toEqual({ type: "json_object" })
      expect(asked?.body.messages[0]?.content).toContain(`"population"`)
    }
  })

  it("never takes a torn stream for an answer, wherever it is torn", async () => {
    for (let chunks = 1; chunks <= unfinished; chunks++) {
      const events: Array<Llm.StreamEvent> = []
      const read = Stream.runForEach(Llm.streamText(asking(`torn after ${chunks}`)), (event) =>
        Effect.sync(() => void events.push(event))
      )
      const error = await run(Effect.flip(read))
      const { finish, text } = events.reduce(Llm.collect, Llm.collected)
      expect(finish).toBeUndefined()
      expect(france.startsWith(text)).toBe(true)
      // Before the first text it is as if nothing had been sent, and is sent again.
      if (text === "") expect([error.code, error.attempts.length]).toEqual(["ConnectionLost", 3])
      else {
        expect(error.reason).toMatchObject({ _tag: "StreamCut", partial: text })
        expect(error.attempts).toHaveLength(1)
      }
      expect(journal().at(-1)?.response).toMatchObject({ interrupted: true, interruptReason: "truncateAfterChunks" })
    }
  })

  it("keeps what had arrived when a stream was torn", async () => {
    const error = await run(Effect.flip(streamed(asking(`torn after ${unfinished}`))))
    if (error.reason._tag !== "StreamCut") throw error
    expect(error.reason.partial).not.toBe("")
    expect(error.usage?.inputTokens).toBeDefined()
  })

  it("never takes a stream for an answer that the server leaves in its middle", async () => {
    const error = await run(Effect.flip(streamed(asking("torn in time"))))
    expect(["StreamCut", "ConnectionLost"]).toContain(error.code)
  })

  // Gemini's calls come whole in one chunk, which has the end in it, too.
  it.skipIf(name === "GeminiLlm")("delivers no tool call of a torn stream", async () => {
    const events: Array<Llm.StreamEvent> = []
    const read = Stream.runForEach(Llm.streamText(asking("torn call", { tools: [weather] })), (event) =>
      Effect.sync(() => void events.push(event))
    )
    const error = await run(Effect.flip(read))
    expect(["StreamCut", "ConnectionLost"]).toContain(error.code)
    expect(events).toEqual([])
  })

  it("begins a torn stream again where that is wanted", async () => {
    const answer = await run(streamed(asking("torn once", { onCut: "restart" })))
    expect(answer.text).toBe(france)
    expect(answer.events.filter(({ type }) => type === "reset")).toHaveLength(1)
    expect(answer.attempts.map(({ outcome }) => outcome)).toEqual(["StreamCut", "ok"])
    expect(journal().map(({ response }) => response.interrupted ?? false)).toEqual([true, false])
  })
})
