import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted, Stream, Tracer } from "effect"
import { IdGenerator, LanguageModel } from "effect/ai"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Llm, LlmError, LlmLanguageModel, type Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { recording } from "../policy/tracer.ts"

/** A model that streams these events, and what it was asked. */
const streaming = (events: Stream.Stream<Llm.StreamEvent, LlmError.LlmError>, options?: LlmLanguageModel.Options) => {
  const requests: Array<Llm.Request> = []
  const llm = Llm.Llm.of({
    generateText: () => Effect.die("not asked for"),
    streamText: (request) => {
      requests.push(request)
      return events
    }
  })
  const ids = Layer.succeed(IdGenerator.IdGenerator, { generateId: () => Effect.succeed("id") })
  const layer = LlmLanguageModel.layerText(options).pipe(Layer.provide([Layer.succeed(Llm.Llm, llm), ids]))
  return { layer, requests }
}

const native: Message.Native = { format: "test", content: [{ signature: "s" }] }

const finish = (message: Partial<Message.AssistantMessage> = {}): Llm.StreamEvent => ({
  type: "finish",
  message: { role: "assistant", content: "", ...message },
  finishReason: "stop",
  usage: { inputTokens: 3, outputTokens: 2 },
  model: "m",
  attempts: []
})

const read = LanguageModel.streamText({ prompt: "hi" })

/** The parts that a program reads, without what each of them has. */
const partsOf = (events: ReadonlyArray<Llm.StreamEvent>) =>
  Stream.runCollect(read).pipe(
    Effect.map((parts) =>
      parts.map(({ "~effect/ai/Response/Part": _brand, metadata, ...part }) =>
        Object.keys(metadata).length === 0 ? part : { ...part, metadata }
      )
    ),
    Effect.provide(streaming(Stream.fromIterable(events)).layer)
  )

describe("LlmLanguageModel.streamText", () => {
  it.effect("begins and ends each run of what is said", () =>
    Effect.gen(function* () {
      const parts = yield* partsOf([
        { type: "reasoning", text: "h" },
        { type: "reasoning", text: "m" },
        { type: "text", text: "Par" },
        { type: "text", text: "is" },
        { type: "refusal", text: "no" },
        finish()
      ])
      assert.deepStrictEqual(parts.slice(0, -2), [
        { type: "reasoning-start", id: "id_0" },
        { type: "reasoning-delta", id: "id_0", delta: "h" },
        { type: "reasoning-delta", id: "id_0", delta: "m" },
        { type: "reasoning-end", id: "id_0" },
        { type: "text-start", id: "id_1" },
        { type: "text-delta", id: "id_1", delta: "Par" },
        { type: "text-delta", id: "id_1", delta: "is" },
        { type: "text-end", id: "id_1" },
        { type: "text-start", id: "id_2", metadata: { holdfast: { refusal: true } } },
        { type: "text-delta", id: "id_2", delta: "no" },
        { type: "text-end", id: "id_2" }
      ])
      assert.deepInclude(parts.at(-1), { type: "finish", reason: "content-filter" })
    })
  )

  it.effect("puts the turn as its provider wrote it on the end of what was said, or on an empty text", () =>
    Effect.gen(function* () {
      for (const [events, types] of [
        [[{ type: "text", text: "x" }], ["text-start", "text-delta", "text-end"]],
        [[{ type: "reasoning", text: "x" }], ["reasoning-start", "reasoning-delta", "reasoning-end"]],
        [[], ["text-start", "text-end"]]
      ] as const) {
        const parts = yield* partsOf([...events, finish({ native })])
        assert.deepStrictEqual(
          parts.slice(0, -2).map(({ type }) => type),
          [...types]
        )
        const marked = parts.filter((part) => "metadata" in part && "native" in Object(part.metadata?.["holdfast"]))
        assert.deepStrictEqual(
          marked.map(({ type }) => type),
          types.slice(-1)
        )
      }
    })
  )

  it.effect("says nothing of a turn in which nothing was said", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* partsOf([finish()])).map(({ type }) => type),
        ["response-metadata", "finish"]
      )
    })
  )

  it.effect("asks for a stream that fails where it breaks, whatever the layer below would do", () =>
    Effect.gen(function* () {
      const { layer, requests } = streaming(Stream.fromIterable([finish()]))
      yield* Effect.provide(Stream.runDrain(read), layer)
      const continued = streaming(Stream.fromIterable([finish()]), { onCut: "continue" })
      yield* Effect.provide(Stream.runDrain(read), continued.layer)
      assert.deepStrictEqual([requests[0]?.onCut, continued.requests[0]?.onCut], ["fail", "continue"])
    })
  )

  it.effect("fails where the model begins again all the same: what was said cannot be taken back", () =>
    Effect.gen(function* () {
      const reason = new LlmError.StreamCut({ description: "x", partial: "Par" })
      const again: ReadonlyArray<Llm.StreamEvent> = [
        { type: "text", text: "Par" },
        { type: "reset", reason },
        { type: "text", text: "Paris" },
        finish()
      ]
      const said: Array<string> = []
      const { layer } = streaming(Stream.fromIterable(again))
      const error = yield* read.pipe(
        Stream.runForEach((part) => Effect.sync(() => void (part.type === "text-delta" && said.push(part.delta)))),
        Effect.flip,
        Effect.provide(layer)
      )
      assert.strictEqual(LlmLanguageModel.errorOf(error)?.reason, reason)
      assert.deepStrictEqual(said, ["Par"])
    })
  )

  it.effect("gives everything back to who leaves", () =>
    Effect.gen(function* () {
      const closed = yield* Deferred.make<void>()
      const events = Stream.make<ReadonlyArray<Llm.StreamEvent>>({ type: "text", text: "x" }).pipe(
        Stream.concat(Stream.never),
        Stream.ensuring(Deferred.succeed(closed, undefined))
      )
      const arrived = yield* Deferred.make<void>()
      const fiber = yield* read.pipe(
        Stream.runForEach(() => Deferred.succeed(arrived, undefined)),
        Effect.provide(streaming(events).layer),
        Effect.forkChild
      )
      yield* Deferred.await(arrived)
      assert.isFalse(yield* Deferred.isDone(closed))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* Deferred.isDone(closed))
    })
  )

  it.effect("is one trace: our call under that of effect/ai, and the tokens are told once, on ours", () =>
    Effect.gen(function* () {
      const sse = `data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n`
      const client = HttpClient.make((request) =>
        Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(sse, { headers: { "content-type": "text/event-stream" } }))
        )
      )
      const llm = OpenAiLlm.layer({
        model: "m",
        apiKey: Redacted.make("k"),
        policy: Policy.make({ retry: { retries: 0 } })
      }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))
      const whole = LanguageModel.generateText({ prompt: "hi" })
      for (const [name, asked] of [
        ["LanguageModel.streamText", Effect.asVoid(Stream.runDrain(read))],
        ["LanguageModel.generateText", Effect.asVoid(Effect.result(whole))]
      ] as const) {
        const { spans, tracer } = recording()
        yield* asked.pipe(
          Effect.provide(Layer.provide(LlmLanguageModel.layerText(), llm)),
          Effect.provideService(Tracer.Tracer, tracer)
        )
        const above = spans.find((span) => span.name === name)
        const ours = spans.filter((span) => span.name === "chat m")
        assert.strictEqual(ours.length, 1)
        assert.isTrue(ours[0]?.parent._tag === "Some" && ours[0].parent.value.spanId === above?.spanId)
        assert.isUndefined(above?.attributes.get("gen_ai.usage.input_tokens"))
      }
    })
  )
})
