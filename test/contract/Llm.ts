/**
 * What every Llm does, whatever is behind it. One suite for every provider, for what is made of several, for the test
 * double and for the promise client: the first user message names the case, as in `test/fixtures/case.ts`.
 */
import { assert, layer as testLayer } from "@effect/vitest"
import { Effect, Exit, Layer, Stream } from "effect"
import { Llm, type LlmError, Message } from "holdfast/llm"
import { type Endpoint, type Name, startEndpoint } from "../fixtures/endpoint.ts"

/** What an implementation has beyond what all have. */
export interface Able {
  /** Its reasoning is told. Default: `true`. */
  readonly reasoning?: boolean | undefined
  /** A turn with reasoning and tool calls has to come back as it was. Default: `true`. */
  readonly reasoningTools?: boolean | undefined
  /** It reads pictures. Default: `true`. */
  readonly images?: boolean | undefined
  /** It reads documents. Default: `true`. */
  readonly files?: boolean | undefined
  /** What a refusal looks like: words of its own, an empty answer. Default: `"words"`. */
  readonly refusal?: "words" | "empty" | undefined
  /** Behind it is a wire that can break. Default: `true`. */
  readonly wire?: boolean | undefined
  /** It names its requests. Default: `true`. */
  readonly requestIds?: boolean | undefined
  /** How its provider says that it is busy: a row of `test/fixtures/errors.ts`. Default: `"error-503"`. */
  readonly busy?: string | undefined
  /** How many keys it has: one that is refused is another's business. Default: `1`. */
  readonly keys?: number | undefined
  /** It counts what comes from the provider's cache. Default: `true`. */
  readonly cache?: boolean | undefined
}

/** An `Llm` over a fake provider of its own on loopback. */
export const over = <E>(name: Name, make: (url: string) => Layer.Layer<Llm.Llm, E>): Layer.Layer<Llm.Llm, E> =>
  Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.promise(() => startEndpoint(name)),
        (endpoint: Endpoint) => Effect.promise(() => endpoint.close())
      ),
      ({ url }) => make(url)
    )
  )

export const weather: Llm.ToolSpec = {
  name: "get_weather",
  description: "The weather of a city for some days",
  parameters: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city"]
  }
}

export const time: Llm.ToolSpec = { name: "get_time", description: "The time of day" }

export const city: Llm.ResponseFormat = {
  type: "jsonSchema",
  name: "city",
  schema: {
    type: "object",
    properties: { city: { type: "string" }, population: { type: "integer" } },
    required: ["city", "population"],
    additionalProperties: false
  }
}

const asking = (text: string, more: Partial<Llm.Request> = {}): Llm.Request => ({
  messages: [Message.system("Be brief."), Message.user(text)],
  maxTokens: 2048,
  ...more
})

/** A stream as the answer that it adds up to. */
const streamed = (request: Llm.Request) =>
  Effect.map(
    Stream.runCollect(Llm.streamText(request)),
    (events): Omit<Llm.Answer, "raw"> & { readonly events: ReadonlyArray<Llm.StreamEvent> } => {
      const { finish, reasoning, refusal, text, toolCalls } = events.reduce(Llm.collect, Llm.collected)
      if (finish === undefined) throw new Error("the stream ended without a finish event")
      assert.strictEqual(events.at(-1)?.type, "finish", "nothing follows the finish")
      const { type: _type, ...end } = finish
      return {
        ...end,
        text,
        reasoning: reasoning === "" ? undefined : reasoning,
        refusal: refusal === "" ? undefined : refusal,
        toolCalls,
        events
      }
    }
  )

const doors = [
  {
    door: "whole",
    ask: (request: Llm.Request) => Effect.map(Llm.generateText(request), ({ raw: _raw, ...rest }) => rest)
  },
  {
    door: "streamed",
    ask: (request: Llm.Request) => Effect.map(streamed(request), ({ events: _events, ...rest }) => rest)
  }
] as const

const failure = <A>(effect: Effect.Effect<A, LlmError.LlmError, Llm.Llm>) => Effect.flip(effect)

const picture = Message.image(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), "image/png")
const paper = Message.file(new TextEncoder().encode("%PDF-1.4\n%%EOF\n"), "application/pdf", "paper.pdf")

export const llmContract = <E>(name: string, layer: Layer.Layer<Llm.Llm, E>, able: Able = {}): void => {
  const can = {
    reasoning: true,
    reasoningTools: true,
    images: true,
    files: true,
    wire: true,
    requestIds: true,
    cache: true,
    ...able
  }
  const { busy = "error-503", keys = 1, refusal = "words" } = able

  testLayer(layer, { excludeTestServices: true, timeout: "30 seconds" })(`${name} as an Llm`, (it) => {
    for (const { ask, door } of doors) {
      it.effect(`answers, ${door}`, () =>
        Effect.gen(function* () {
          const answer = yield* ask(asking("text"))
          assert.strictEqual(answer.text, "Paris is the capital of France.")
          assert.strictEqual(answer.finishReason, "stop")
          assert.deepStrictEqual(answer.toolCalls, [])
          assert.strictEqual(answer.message.role, "assistant")
          assert.strictEqual(answer.message.content, answer.text)
          assert.isAbove(answer.usage.inputTokens, 0)
          assert.isAbove(answer.usage.outputTokens, 0)
          assert.isTrue(answer.usage.isEstimate !== true)
          assert.isNotEmpty(answer.model)
          if (can.wire) {
            assert.deepInclude(answer.usage, { inputTokens: 12, outputTokens: 7 })
            assert.strictEqual(answer.attempts.length, 1)
            assert.strictEqual(answer.attempts[0]?.outcome, "ok")
          }
          if (can.requestIds) assert.isNotEmpty(answer.requestId ?? "")
        })
      )

      it.effect(`keeps every character, ${door}`, () =>
        Effect.gen(function* () {
          assert.strictEqual((yield* ask(asking("unicode"))).text, "naïve 🎉🚀 日本語")
        })
      )

      it.effect(`asks for tools, and goes on with what came of them, ${door}`, () =>
        Effect.gen(function* () {
          const tools = [weather, time]
          const request = asking("tools", { tools })
          const asked = yield* ask(request)
          assert.strictEqual(asked.text, "Let me look.")
          assert.strictEqual(asked.finishReason, "toolCalls")
          assert.deepStrictEqual(
            asked.toolCalls.map(({ input, name }) => [name, input]),
            [
              ["get_weather", { city: "Paris", days: 2 }],
              ["get_time", {}]
            ]
          )
          const [first, second] = asked.toolCalls
          assert.isDefined(first)
          assert.isDefined(second)
          assert.notStrictEqual(first?.id, second?.id)
          for (const { input, inputText } of asked.toolCalls) assert.deepStrictEqual(JSON.parse(inputText), input)
          assert.deepStrictEqual(asked.message.toolCalls, asked.toolCalls)
          const results = asked.toolCalls.map((call) => Message.toolResult(call, `{"of":"${call.name}"}`))
          const after = yield* ask({ ...request, messages: [...request.messages, asked.message, ...results] })
          assert.strictEqual(after.text, "It is 21 degrees in Paris at noon.")
          assert.strictEqual(after.finishReason, "stop")
        })
      )

      it.effect(`answers with an object by a schema, ${door}`, () =>
        Effect.gen(function* () {
          const { text } = yield* ask(asking("object", { responseFormat: city }))
          assert.deepStrictEqual(JSON.parse(text), { city: "Paris", population: 2_102_650 })
        })
      )

      it.effect(`says that an answer was cut short by its length, ${door}`, () =>
        Effect.gen(function* () {
          assert.deepInclude(yield* ask(asking("length")), { text: "Paris is", finishReason: "length" })
        })
      )

      it.effect(`says that the model refused, ${door}`, () =>
        Effect.gen(function* () {
          const answer = yield* ask(asking("refusal"))
          assert.deepInclude(answer, { text: "", finishReason: "contentFilter" })
          assert.strictEqual(answer.refusal, refusal === "words" ? "I cannot help with that." : undefined)
        })
      )

      if (can.reasoning) {
        it.effect(`tells the reasoning apart from the answer, ${door}`, () =>
          Effect.gen(function* () {
            const answer = yield* ask(asking("reasoning", { reasoning: { effort: "low" } }))
            assert.deepInclude(answer, { text: "Paris.", reasoning: "France, so Paris." })
            if (can.wire) assert.strictEqual(answer.usage.reasoningTokens, 5)
          })
        )
      }

      if (can.reasoningTools) {
        it.effect(`gives a turn with reasoning back as the provider wants it, ${door}`, () =>
          Effect.gen(function* () {
            const request = asking("reasoning-tools", { tools: [weather], reasoning: { effort: "low" } })
            const asked = yield* ask(request)
            const results = asked.toolCalls.map((call) => Message.toolResult(call, "sunny"))
            assert.strictEqual(results.length, 1)
            const after = yield* ask({ ...request, messages: [...request.messages, asked.message, ...results] })
            assert.strictEqual(after.text, "Sunny.")
          })
        )
      }

      if (can.images) {
        it.effect(`reads a picture, ${door}`, () =>
          Effect.gen(function* () {
            const messages = [Message.user([{ type: "text", text: "image" }, picture])]
            assert.strictEqual((yield* ask({ messages, maxTokens: 99 })).text, "I see it.")
          })
        )
      }

      if (can.files) {
        it.effect(`reads a document, ${door}`, () =>
          Effect.gen(function* () {
            const messages = [Message.user([{ type: "text", text: "file" }, paper])]
            assert.strictEqual((yield* ask({ messages, maxTokens: 99 })).text, "I see it.")
          })
        )
      }

      if (can.cache) {
        it.effect(`counts what came from the provider's cache, ${door}`, () =>
          Effect.gen(function* () {
            const { usage } = yield* ask(asking("cached"))
            assert.strictEqual(usage.inputTokens, 12)
            assert.isAbove(usage.cachedInputTokens ?? 0, 0)
          })
        )
      }

      it.effect(`refuses a request without messages before it is sent, ${door}`, () =>
        Effect.gen(function* () {
          const error = yield* failure(ask({ messages: [] }))
          assert.deepInclude(error, { code: "InvalidRequest", phase: "notSent" })
          assert.deepStrictEqual(error.attempts, [])
        })
      )

      if (can.wire) {
        it.effect(`accepts what nobody knows yet, ${door}`, () =>
          Effect.gen(function* () {
            assert.strictEqual((yield* ask(asking("extras"))).text, "Paris is the capital of France.")
          })
        )

        it.effect(`tries a busy provider again, ${door}`, () =>
          Effect.gen(function* () {
            // Told apart, since the provider counts by these words.
            const { attempts, text } = yield* ask(asking(`${door === "whole" ? "text" : "length"}@${busy}*1`))
            assert.strictEqual(text, door === "whole" ? "Paris is the capital of France." : "Paris is")
            assert.deepStrictEqual(
              attempts.map(({ outcome }) => outcome === "ok"),
              [false, true]
            )
          })
        )

        it.effect(`takes the same bytes in any packets, ${door}`, () =>
          Effect.gen(function* () {
            const answer = yield* ask(asking("tools@bytes", { tools: [weather, time] }))
            assert.strictEqual(answer.text, "Let me look.")
            assert.deepStrictEqual(
              answer.toolCalls.map(({ input }) => input),
              [{ city: "Paris", days: 2 }, {}]
            )
          })
        )
      }
    }

    it.effect("keeps the answer as it came over the wire", () =>
      Effect.gen(function* () {
        const { raw } = yield* Llm.generateText(asking("text"))
        if (can.wire) assert.include(JSON.stringify(raw), "Paris is the capital of France.")
      })
    )

    it.effect("sends nothing before the first pull, and gives everything back to who leaves", () =>
      Effect.gen(function* () {
        const first = yield* Stream.runHead(Llm.streamText(asking("text")))
        assert.isTrue(first._tag === "Some" && first.value.type === "text")
        assert.strictEqual((yield* Llm.generateText(asking("text"))).text, "Paris is the capital of France.")
      })
    )

    if (!can.wire) return

    for (const [behaviour, tag] of [
      ["cut", "StreamCut"],
      ["end", "StreamTruncated"]
    ] as const) {
      it.effect(`never takes a stream for an answer that is ${behaviour} short`, () =>
        Effect.gen(function* () {
          const events: Array<Llm.StreamEvent> = []
          const read = Stream.runForEach(Llm.streamText(asking(`text@${behaviour}:2`)), (event) =>
            Effect.sync(() => void events.push(event))
          )
          const error = yield* failure(read)
          const { text } = events.reduce(Llm.collect, Llm.collected)
          assert.isNotEmpty(text)
          assert.isTrue("Paris is the capital of France.".startsWith(text))
          assert.deepInclude(error.reason, { _tag: tag, partial: text })
          assert.isAbove(error.usage?.inputTokens ?? 0, 0)
          assert.strictEqual(error.attempts.length, 1)
        })
      )

      it.effect(`delivers no tool call of a stream that is ${behaviour} short`, () =>
        Effect.gen(function* () {
          const events: Array<Llm.StreamEvent> = []
          const asked = asking(`tools@${behaviour}:2`, { tools: [weather, time] })
          const exit = yield* Effect.exit(
            Stream.runForEach(Llm.streamText(asked), (event) => Effect.sync(() => void events.push(event)))
          )
          assert.isTrue(Exit.isFailure(exit))
          assert.isFalse(events.some(({ type }) => type === "toolCall" || type === "finish"))
        })
      )

      it.effect(`begins a stream again that is ${behaviour} short, and says so`, () =>
        Effect.gen(function* () {
          const answer = yield* streamed(asking(`text@${behaviour}:2*1`, { onCut: "restart" }))
          assert.strictEqual(answer.text, "Paris is the capital of France.")
          assert.strictEqual(answer.events.filter(({ type }) => type === "reset").length, 1)
          assert.deepStrictEqual(
            answer.attempts.map(({ outcome }) => outcome),
            [tag, "ok"]
          )
          assert.isTrue(answer.usage.isEstimate)
        })
      )
    }

    it.effect("reads an error inside a stream as the reason that its status would have given", () =>
      Effect.gen(function* () {
        const error = yield* failure(Stream.runDrain(Llm.streamText(asking("text@error:2"))))
        assert.include(["Overloaded", "ServerError", "RateLimited"], error.code)
        assert.strictEqual(error.attempts.length, 1)
      })
    )

    it.effect("says what is wrong with a key, and shows each key once", () =>
      Effect.gen(function* () {
        const error = yield* failure(Llm.generateText(asking("error-401")))
        assert.deepInclude(error, { code: "Unauthorized", isRetryable: false })
        assert.strictEqual(error.attempts.length, keys)
      })
    )
  })
}
