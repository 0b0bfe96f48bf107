import { assert, describe, it, layer as testLayer } from "@effect/vitest"
import { NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect, Layer, Ref, Schema, Stream } from "effect"
import { Chat, LanguageModel, McpClient, McpProtocol, McpServer, Prompt, Tool, Toolkit } from "effect/ai"
import { HttpRouter, HttpServer } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { type Llm, LlmLanguageModel, Message } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"
import { createServer } from "node:http"
import { over as overEndpoint } from "../contract/Llm.ts"
import { providers } from "./languageModels.ts"

const Add = Tool.make("add", {
  description: "Adds two numbers",
  parameters: Schema.Struct({ a: Schema.Int, b: Schema.optionalKey(Schema.Int) }),
  success: Schema.Int,
  failure: Schema.String,
  failureMode: "return"
})

const Now = Tool.make("now", { success: Schema.String })

const Tools = Toolkit.make(Add, Now)

const handlers = Tools.toLayer({
  add: ({ a, b = 0 }) => (a > 99 ? Effect.fail("too large") : Effect.succeed(a + b)),
  now: () => Effect.succeed("noon")
})

const call = (id: string, name: string, input: unknown, inputText = JSON.stringify(input)): Message.ToolCall => ({
  id,
  name,
  input,
  inputText
})

/** An answer that asks for tools. */
const calling = (...toolCalls: ReadonlyArray<Message.ToolCall>): TestLlm.Reply => ({ text: "", toolCalls })

const over = (script: Parameters<typeof TestLlm.layer>[0], options?: LlmLanguageModel.Options) =>
  Layer.provideMerge(LlmLanguageModel.layerText(options), TestLlm.layer(script)).pipe(Layer.merge(handlers))

const ask = LanguageModel.generateText({ prompt: "hi", toolkit: Tools })

const requests = Effect.flatMap(TestLlm.Requests, Ref.get)

/** What the model is told of tools. */
const told = <A, E>(program: Effect.Effect<A, E, LanguageModel.LanguageModel>, options?: LlmLanguageModel.Options) =>
  Effect.map(Effect.andThen(program, requests), ([request]) => request).pipe(Effect.provide(over("fine", options)))

describe("LlmLanguageModel's tools", () => {
  it.effect("are told with their JSON Schema", () =>
    Effect.gen(function* () {
      const request = yield* told(Effect.provide(ask, handlers), { parallelToolCalls: false })
      assert.deepStrictEqual(request?.tools, [
        { name: "add", description: "Adds two numbers", parameters: Tool.getJsonSchema(Add), strict: undefined },
        { name: "now", description: undefined, parameters: Tool.getJsonSchema(Now), strict: undefined }
      ])
      assert.deepInclude(request, { toolChoice: "auto", parallelToolCalls: false })
    })
  )

  it.effect("are not spoken of where there are none: providers refuse a choice of nothing", () =>
    Effect.gen(function* () {
      const plain = LanguageModel.generateText({ prompt: "hi" })
      assert.hasAllKeys(yield* told(plain, { parallelToolCalls: true }), ["messages"])
    })
  )

  for (const [choice, expected, names] of [
    ["none", "none", ["add", "now"]],
    ["required", "required", ["add", "now"]],
    [{ tool: "now" }, { tool: "now" }, ["add", "now"]],
    [{ oneOf: ["now"] }, "auto", ["now"]],
    [{ mode: "required", oneOf: ["now"] }, "required", ["now"]]
  ] as const) {
    it.effect(`are chosen from by ${JSON.stringify(choice)}`, () =>
      Effect.gen(function* () {
        const request = yield* told(
          Effect.provide(LanguageModel.generateText({ prompt: "hi", toolkit: Tools, toolChoice: choice }), handlers)
        )
        assert.deepStrictEqual(request?.toolChoice, expected)
        assert.deepStrictEqual(
          request?.tools?.map(({ name }) => name),
          [...names]
        )
      })
    )
  }

  it.effect("that are strict are told closed, and refused where strict mode has another form for them", () =>
    Effect.gen(function* () {
      const Closed = Tool.make("closed", { parameters: Schema.Struct({ a: Schema.NullOr(Schema.Int) }) })
      const strict = Toolkit.make(Closed.annotate(Tool.Strict, true))
      const request = yield* told(
        Effect.provide(
          LanguageModel.generateText({ prompt: "hi", toolkit: strict }),
          strict.toLayer({ closed: () => Effect.void })
        )
      )
      assert.deepInclude(request?.tools?.[0], { name: "closed", strict: true })
      assert.deepInclude(request?.tools?.[0]?.parameters, { required: ["a"], additionalProperties: false })

      const open = Toolkit.make(Add.annotate(Tool.Strict, true))
      const { reason } = yield* LanguageModel.generateText({ prompt: "hi", toolkit: open }).pipe(
        Effect.flip,
        Effect.provide(over([]))
      )
      assert.strictEqual(reason._tag, "UnsupportedSchemaError")
      assert.include(reason.message, "Schema.NullOr")
    })
  )

  it.effect("that only their provider could run are refused before anything is sent", () =>
    Effect.gen(function* () {
      const Search = Tool.providerDefined({
        id: "openai.web_search",
        customName: "WebSearch",
        providerName: "web_search",
        args: Schema.Struct({}),
        success: Schema.Struct({})
      })
      const { reason } = yield* LanguageModel.generateText({ prompt: "hi", toolkit: Toolkit.make(Search({})) }).pipe(
        Effect.flip,
        Effect.provide(over([]))
      )
      assert.strictEqual(reason._tag, "ToolConfigurationError")
      assert.include(reason.message, "openai.web_search")
    })
  )
})

describe("LlmLanguageModel's tool calls", () => {
  it.effect("are run, and what fails goes back to the model as a failure", () =>
    Effect.gen(function* () {
      const chat = yield* Chat.empty
      const response = yield* chat.generateText({ prompt: "hi", toolkit: Tools })
      assert.strictEqual(response.finishReason, "tool-calls")
      yield* chat.generateText({ prompt: [], toolkit: Tools })
      const [, second] = yield* requests
      assert.deepStrictEqual(second?.messages.slice(2), [
        Message.toolResult({ id: "1", name: "add" }, "3"),
        Message.toolResult({ id: "2", name: "add" }, "too large", true),
        Message.toolResult({ id: "3", name: "now" }, "noon")
      ])
    }).pipe(
      Effect.provide(
        over([calling(call("1", "add", { a: 1, b: 2 }), call("2", "add", { a: 100 }), call("3", "now", {})), "done"])
      )
    )
  )

  it.effect("run at once, as many as the program allows", () =>
    Effect.gen(function* () {
      const Wait = Tool.make("wait", { success: Schema.Int })
      const toolkit = Toolkit.make(Wait)
      const running = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const open = yield* Deferred.make<void>()
      const waits = toolkit.toLayer({
        wait: () =>
          Effect.gen(function* () {
            const now = yield* Ref.updateAndGet(running, (n) => n + 1)
            yield* Ref.update(most, (n) => Math.max(n, now))
            if (now === 2) yield* Deferred.succeed(open, undefined)
            yield* Deferred.await(open)
            yield* Ref.update(running, (n) => n - 1)
            return now
          })
      })
      const calls = ["1", "2", "3", "4"].map((id) => call(id, "wait", {}))
      const asked = LanguageModel.generateText({ prompt: "hi", toolkit, concurrency: 2 })
      const { toolResults } = yield* Effect.provide(asked, Layer.merge(over(calling(...calls)), waits))
      assert.strictEqual(toolResults.length, 4)
      assert.strictEqual(yield* Ref.get(most), 2)
    })
  )

  const broken = calling(call("1", "add", undefined, '{"a": 1'))

  it.effect("whose arguments are no JSON go back to the model as a failure", () =>
    Effect.gen(function* () {
      const chat = yield* Chat.empty
      const { toolResults } = yield* chat.generateText({ prompt: "hi", toolkit: Tools })
      assert.isTrue(toolResults[0]?.isFailure)
      yield* chat.generateText({ prompt: [], toolkit: Tools })
      const [, second] = yield* requests
      const [, turn, result] = second?.messages ?? []
      assert.deepInclude(turn, { toolCalls: [call("1", "add", undefined, '{"a": 1')] })
      assert.deepInclude(result, { role: "tool", isError: true })
    }).pipe(Effect.provide(over([broken, "done"])))
  )

  for (const door of ["generateText", "streamText"] as const) {
    const asking = (options: { readonly disableToolCallResolution?: true; readonly toolCallValidation?: "deferred" }) =>
      door === "generateText"
        ? Effect.map(
            LanguageModel.generateText({ prompt: "hi", toolkit: Tools, ...options }),
            ({ toolCalls }): ReadonlyArray<{ readonly name: string; readonly params: unknown }> => toolCalls
          )
        : Effect.map(
            Stream.runCollect(LanguageModel.streamText({ prompt: "hi", toolkit: Tools, ...options })),
            (parts): ReadonlyArray<{ readonly name: string; readonly params: unknown }> =>
              parts.flatMap((part) => (part.type === "tool-call" ? [part] : []))
          )

    it.effect(`of tools that nobody offered are an error of ${door}, which names the others`, () =>
      Effect.gen(function* () {
        const { reason } = yield* Effect.flip(asking({}))
        assert.deepInclude(reason, { _tag: "ToolNotFoundError", toolName: "fly", availableTools: ["add", "now"] })
      }).pipe(Effect.provide(over(calling(call("1", "fly", {})))))
    )

    it.effect(`are given as they are by ${door}, where the program wants to judge them itself`, () =>
      Effect.gen(function* () {
        const calls = yield* asking({ disableToolCallResolution: true, toolCallValidation: "deferred" })
        assert.deepStrictEqual(
          calls.map(({ name, params }) => [name, params]),
          [
            ["fly", { to: "Mars" }],
            ["add", '{"a": 1']
          ]
        )
      }).pipe(Effect.provide(over(calling(call("1", "fly", { to: "Mars" }), call("2", "add", undefined, '{"a": 1')))))
    )
  }

  it.effect("are not run where the answer was cut short", () =>
    Effect.gen(function* () {
      const { toolResults } = yield* ask
      assert.deepStrictEqual(
        toolResults.map(({ isFailure, result }) => [isFailure, Object(result).type]),
        [[true, "execution-interrupted"]]
      )
    }).pipe(Effect.provide(over({ ...Object(calling(call("1", "add", { a: 1 }))), finishReason: "length" })))
  )

  it.effect("are streamed with their arguments as the model wrote them", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "hi", toolkit: Tools }))
      assert.deepStrictEqual(
        parts.map((part) => [part.type, part.type === "tool-params-delta" ? part.delta : ""]),
        [
          ["tool-params-start", ""],
          ["tool-params-delta", '{ "a": 1 }'],
          ["tool-params-end", ""],
          ["tool-call", ""],
          ["response-metadata", ""],
          ["tool-result", ""],
          ["finish", ""]
        ]
      )
    }).pipe(Effect.provide(over(calling(call("1", "add", { a: 1 }, '{ "a": 1 }')))))
  )
})

describe("LlmLanguageModel's results", () => {
  it.effect("stand in the order of their turn's calls, also where a server repeats its ids", () =>
    Effect.gen(function* () {
      const add = (id: string) => ({ type: "tool-call", id, name: "add", params: { a: 1 } }) as const
      const result = (id: string, said: number) =>
        ({ type: "tool-result", id, name: "add", isFailure: false, result: said }) as const
      const turn = (ids: ReadonlyArray<string>, done: ReadonlyArray<string>): ReadonlyArray<Prompt.MessageEncoded> => [
        { role: "assistant", content: ids.map(add) },
        { role: "tool", content: done.map((id, index) => result(id, index)) }
      ]
      const prompt = [
        ...turn(["call_0", "call_1"], ["call_1", "call_0"]),
        ...turn(["call_1", "call_0"], ["call_0", "call_1"])
      ]
      yield* LanguageModel.generateText({ prompt })
      const [first] = yield* requests
      assert.deepStrictEqual(
        first?.messages.flatMap((message) => (message.role === "tool" ? [message.toolCallId] : [])),
        ["call_0", "call_1", "call_1", "call_0"]
      )
    }).pipe(Effect.provide(over("ok")))
  )
})

describe("LlmLanguageModel's history", () => {
  const native: Message.Native = { format: "test", content: [{ signature: "s", more: undefined }] }
  const kept: Message.Native = { format: "test", content: [{ signature: "s" }] }
  const toolCalls = [call("1", "add", { a: 1 }), call("2", "now", {})]
  const turns: ReadonlyArray<readonly [string, TestLlm.Reply]> = [
    ["text", { text: "hello" }],
    ["reasoning and calls", { text: "", reasoning: "hm", toolCalls }],
    ["all there is", { text: "hello", reasoning: "hm", toolCalls }],
    ["a refusal", { text: "", refusal: "no" }],
    ["nothing", { text: "" }]
  ]

  /** What the model is given back of its first turn, after `edit`. */
  const givenBack = (
    door: "whole" | "streamed",
    reply: TestLlm.Reply,
    edit: (prompt: Prompt.Prompt) => Prompt.Prompt
  ) =>
    Effect.gen(function* () {
      const chat = yield* Chat.empty
      if (door === "whole") yield* chat.generateText({ prompt: "hi", toolkit: Tools })
      else yield* Stream.runDrain(chat.streamText({ prompt: "hi", toolkit: Tools }))
      yield* Ref.update(chat.history, edit)
      const reloaded = yield* Effect.flatMap(chat.exportJson, Chat.fromJson)
      yield* reloaded.generateText({ prompt: "go on", toolkit: Tools })
      const [, second] = yield* requests
      return second?.messages.find(({ role }) => role === "assistant")
    }).pipe(
      Effect.provide(
        over([
          { ...Object(reply), message: { ...Message.assistant(""), native } } satisfies Partial<Llm.Answer>,
          "done"
        ])
      )
    )

  for (const door of ["whole", "streamed"] as const) {
    for (const [what, reply] of turns) {
      it.effect(`gives the provider its own turn back, ${door}, of ${what}`, () =>
        Effect.gen(function* () {
          const message = yield* givenBack(door, reply, (prompt) => prompt)
          assert.deepStrictEqual(message?.role === "assistant" ? message.native : undefined, kept)
        })
      )
    }

    it.effect(`gives the plain turn where somebody has edited it, ${door}`, () =>
      Effect.gen(function* () {
        const edited = yield* givenBack(door, { text: "hello", reasoning: "hm" }, (prompt) =>
          Prompt.fromMessages(
            prompt.content.map((message) =>
              message.role === "assistant"
                ? {
                    ...message,
                    content: message.content.map((part) => (part.type === "text" ? { ...part, text: "hallo" } : part))
                  }
                : message
            )
          )
        )
        assert.deepStrictEqual(edited, { role: "assistant", content: "hallo", reasoning: "hm" })
      })
    )
  }
})

// The fake of OpenAI asks for both; an MCP server has them.
const Weather = Tool.make("get_weather", {
  parameters: Schema.Struct({ city: Schema.String, days: Schema.Int }),
  success: Schema.Struct({ degrees: Schema.Int })
})
const Time = Tool.make("get_time", { success: Schema.String })
const Served = Toolkit.make(Weather, Time)

const served = Served.toLayer({
  get_weather: ({ days }) => Effect.succeed({ degrees: 20 + days }),
  get_time: () => Effect.succeed("noon")
})

const server = HttpRouter.serve(
  McpServer.layerHttp({
    name: "weather",
    version: "1.0.0",
    path: "/mcp",
    protocols: [McpProtocol.v2025_11_25],
    registrations: Layer.provide(McpServer.toolkit(Served), served)
  }),
  { disableListenLog: true, disableLogger: true }
).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })))

const client = Layer.unwrap(
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    const port = address._tag === "InetAddressV4" ? address.port : 0
    return McpClient.layerHttp({
      name: "test",
      version: "1.0.0",
      url: `http://127.0.0.1:${port}/mcp`,
      protocol: McpProtocol.v2025_11_25
    })
  })
).pipe(Layer.provide([server, UndiciHttpClient.layer()]))

describe.each(providers)("LlmLanguageModel over $name", ({ endpoint, llm }) => {
  testLayer(
    Layer.merge(client, Layer.provide(LlmLanguageModel.layerText({ maxTokens: 99 }), overEndpoint(endpoint, llm))),
    {
      excludeTestServices: true,
      timeout: "30 seconds"
    }
  )((it) => {
    it.effect("calls the tools of an MCP server", () =>
      Effect.gen(function* () {
        const toolkit = yield* McpClient.toolkit(yield* McpClient.McpClient)
        const chat = yield* Chat.empty
        const { toolResults } = yield* chat.generateText({ prompt: "tools", toolkit })
        assert.deepStrictEqual(
          toolResults.map(({ name, result }) => [name, result]),
          [
            ["get_weather", '{"degrees":22}'],
            ["get_time", "noon"]
          ]
        )
        assert.strictEqual(
          (yield* chat.generateText({ prompt: [], toolkit })).text,
          "It is 21 degrees in Paris at noon."
        )
      })
    )
  })
})
