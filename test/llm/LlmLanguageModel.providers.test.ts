/** What effect/ai does over each provider of ours, whose fake refuses what the real one would. */
import { assert, describe, layer as testLayer } from "@effect/vitest"
import { Effect, Layer, Ref, Schema, Stream } from "effect"
import { type AiError, Chat, EmbeddingModel, LanguageModel, type Prompt, Tool, Toolkit } from "effect/ai"
import { LlmLanguageModel } from "holdfast/llm"
import { over } from "../contract/Llm.ts"
import { startEndpoint } from "../fixtures/endpoint.ts"
import { providers } from "./languageModels.ts"

const Weather = Tool.make("get_weather", {
  description: "The weather of a city for some days",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Int) }),
  success: Schema.Struct({ degrees: Schema.Int }),
  failure: Schema.String,
  failureMode: "return"
})

const Time = Tool.make("get_time", { description: "The time of day", success: Schema.String })

const Tools = Toolkit.make(Weather, Time)

/** The tools, of which the first one fails for what it is not told. */
const handlers = Tools.toLayer({
  get_weather: ({ days }) => (days === undefined ? Effect.fail("how many days?") : Effect.succeed({ degrees: 21 })),
  get_time: () => Effect.succeed("noon")
})

const City = Schema.Struct({ city: Schema.String, population: Schema.Int.check(Schema.isGreaterThan(0)) }).annotate({
  identifier: "app/City"
})

const ask = (text: string) => LanguageModel.generateText({ prompt: text })

/** A chat that is kept somewhere between its turns, as those of a web service are. */
const reloaded = (chat: Chat.Chat) => Effect.flatMap(chat.exportJson, Chat.fromJson)

const collect = <E, R>(stream: Stream.Stream<{ readonly type: string; readonly delta?: string }, E, R>) =>
  Effect.map(Stream.runCollect(stream), (parts) =>
    parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : [])).join("")
  )

const texts = (prompt: Prompt.Prompt): ReadonlyArray<string> =>
  prompt.content.flatMap(({ content, role }) =>
    typeof content === "string" ? [`${role}: ${content}`] : content.map(({ type }) => `${role}: ${type}`)
  )

describe.each(providers)("LlmLanguageModel over $name", ({ busy, embedder, endpoint, llm, name, reasons, refusal }) => {
  const model = Layer.provide(
    LlmLanguageModel.layerText({ maxTokens: 2048 }),
    over(endpoint, (url) => llm(url))
  )

  testLayer(Layer.merge(model, handlers), { excludeTestServices: true, timeout: "30 seconds" })((it) => {
    it.effect("answers with text, and tells what was used", () =>
      Effect.gen(function* () {
        const response = yield* ask("text")
        assert.strictEqual(response.text, "Paris is the capital of France.")
        assert.strictEqual(response.finishReason, "stop")
        assert.deepInclude(response.usage.inputTokens, { total: 12 })
        assert.strictEqual(response.usage.outputTokens.total, 7)
        const details = LlmLanguageModel.detailsOf(response.content)
        assert.deepStrictEqual(
          details?.attempts.map(({ outcome }) => outcome),
          ["ok"]
        )
      })
    )

    it.effect("streams the same text in pieces", () =>
      Effect.gen(function* () {
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "text" }))
        const said = parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))
        assert.strictEqual(said.join(""), "Paris is the capital of France.")
        assert.isAbove(said.length, 1)
        assert.strictEqual(parts[0]?.type, "text-start")
        assert.deepStrictEqual(
          parts.slice(-3).map(({ type }) => type),
          ["text-end", "response-metadata", "finish"]
        )
      })
    )

    it.effect("answers with an object that its schema has decoded", () =>
      Effect.gen(function* () {
        const { value } = yield* LanguageModel.generateObject({ prompt: "object", schema: City })
        assert.deepStrictEqual(value, { city: "Paris", population: 2_102_650 })
      })
    )

    it.effect("runs the tools of a toolkit, those that fail, too", () =>
      Effect.gen(function* () {
        const response = yield* LanguageModel.generateText({ prompt: "tools", toolkit: Tools })
        assert.strictEqual(response.finishReason, "tool-calls")
        assert.deepStrictEqual(
          response.toolResults.map(({ isFailure, name, result }) => [name, result, isFailure]),
          [
            ["get_weather", { degrees: 21 }, false],
            ["get_time", "noon", false]
          ]
        )
        if (!reasons) return
        const failed = yield* LanguageModel.generateText({ prompt: "reasoning-tools", toolkit: Tools })
        assert.deepStrictEqual(
          failed.toolResults.map(({ isFailure, result }) => [result, isFailure]),
          [["how many days?", true]]
        )
      })
    )

    it.effect("goes on with a chat after its tools have run", () =>
      Effect.gen(function* () {
        const chat = yield* Chat.fromPrompt([{ role: "system", content: "Be brief." }])
        yield* chat.generateText({ prompt: "tools", toolkit: Tools })
        const kept = yield* reloaded(chat)
        const after = yield* kept.generateText({ prompt: [], toolkit: Tools })
        assert.strictEqual(after.text, "It is 21 degrees in Paris at noon.")
        assert.deepStrictEqual(texts(yield* Ref.get(kept.history)), [
          "system: Be brief.",
          "user: text",
          "assistant: text",
          "assistant: tool-call",
          "assistant: tool-call",
          "tool: tool-result",
          "tool: tool-result",
          "assistant: text"
        ])
      })
    )

    it.effect("goes on with a chat that is streamed", () =>
      Effect.gen(function* () {
        const chat = yield* Chat.empty
        const first = chat.streamText({ prompt: "tools", toolkit: Tools })
        assert.strictEqual(yield* collect(first), "Let me look.")
        const kept = yield* reloaded(chat)
        assert.strictEqual(
          yield* collect(kept.streamText({ prompt: [], toolkit: Tools })),
          "It is 21 degrees in Paris at noon."
        )
      })
    )

    it.effect("reads a picture", () =>
      Effect.gen(function* () {
        const data = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
        const content = [
          { type: "text", text: "image" },
          { type: "file", mediaType: "image/png", data }
        ] as const
        assert.strictEqual(
          (yield* LanguageModel.generateText({ prompt: [{ role: "user", content }] })).text,
          "I see it."
        )
      })
    )

    it.effect("says that an answer was cut short, and that one was refused", () =>
      Effect.gen(function* () {
        assert.deepInclude(yield* ask("length"), { text: "Paris is", finishReason: "length" })
        const refused = yield* ask("refusal")
        assert.strictEqual(refused.finishReason, "content-filter")
        assert.strictEqual(refused.text, refusal === "words" ? "I cannot help with that." : "")
      })
    )

    it.effect("fails as effect/ai does, with our error behind it", () =>
      Effect.gen(function* () {
        const error: AiError.AiError = yield* Effect.flip(ask(`text@${busy}`))
        assert.strictEqual(error.reason._tag, "InternalProviderError")
        assert.isTrue(error.isRetryable)
        assert.strictEqual(LlmLanguageModel.errorOf(error)?.attempts.length, 1)
      })
    )

    it.effect("fails where a stream breaks, after what it has said", () =>
      Effect.gen(function* () {
        let said = ""
        const read = Stream.runForEach(LanguageModel.streamText({ prompt: "text@cut:2" }), (part) =>
          Effect.sync(() => {
            if (part.type === "text-delta") said += part.delta
          })
        )
        const error = yield* Effect.flip(read)
        assert.isNotEmpty(said)
        assert.isFalse(error.isRetryable)
        assert.deepInclude(LlmLanguageModel.errorOf(error)?.reason, { _tag: "StreamCut", partial: said })
      })
    )

    if (reasons) {
      // Their fakes refuse a turn whose signatures are lost, as they do themselves.
      for (const door of ["whole", "streamed"] as const) {
        it.effect(`gives a turn with reasoning back as its provider wrote it, ${door}`, () =>
          Effect.gen(function* () {
            const reasoning = { reasoning: { effort: "low" } } as const
            const chat = yield* Chat.empty
            const prompt = "reasoning-tools"
            if (door === "whole") yield* chat.generateText({ prompt, toolkit: Tools })
            else yield* Stream.runDrain(chat.streamText({ prompt, toolkit: Tools }))
            const kept = yield* reloaded(chat)
            const turn = (yield* Ref.get(kept.history)).content.find(({ role }) => role === "assistant")
            assert.deepStrictEqual(typeof turn?.content === "string" ? [] : turn?.content.map(({ type }) => type), [
              "reasoning",
              "tool-call"
            ])
            const after = yield* Effect.provideService(
              kept.generateText({ prompt: [], toolkit: Tools }),
              LlmLanguageModel.Current,
              reasoning
            )
            assert.strictEqual(after.text, "Sunny.")
          })
        )
      }
    }
  })

  if (embedder === undefined) return
  const embedding = Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.promise(() => startEndpoint(endpoint)),
        (started) => Effect.promise(() => started.close())
      ),
      ({ url }) => Layer.provide(LlmLanguageModel.layerEmbedding({ dimensions: 8 }), embedder(url))
    )
  )

  testLayer(embedding, { excludeTestServices: true, timeout: "30 seconds" })(`its ${name} embeddings`, (it) => {
    it.effect("embeds one text and many", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel.EmbeddingModel
        const { embeddings } = yield* model.embedMany(["hello", "world"])
        assert.deepStrictEqual(
          embeddings.map(({ vector }) => vector.length),
          [8, 8]
        )
        assert.deepStrictEqual((yield* model.embed("world")).vector, embeddings[1]?.vector)
      })
    )
  })
})
