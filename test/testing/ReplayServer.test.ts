import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, Message, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Fault, ReplayServer } from "holdfast/testing"

const recordings = [
  { prompt: "Add two numbers.", answers: ["first try", "second try"] },
  { prompt: "Add two numbers. Then print them.", answers: ["a longer task, and an answer of some words"] }
]

/** A model behind a replay server whose faults come in this plan. */
const behind = (faults?: Fault.Plan) =>
  Effect.gen(function* () {
    const server = yield* ReplayServer.make({ answer: ReplayServer.recorded(recordings), faults })
    const policy = Policy.make({
      retry: { retries: 2, base: "1 millis" },
      timeout: { attempt: "1 seconds", firstContent: "1 seconds", idleContent: "1 seconds" }
    })
    const model = OpenAiLlm.layer({ model: "replay", apiKey: Redacted.make("k"), baseUrl: server.url, policy })
    return { server, model: Layer.provide(model, UndiciHttpClient.layer()) }
  })

const readAll = (input: Llm.Input) =>
  Stream.runFold(
    Llm.streamText(input),
    () => ({ text: "", pieces: 0, inputTokens: 0 }),
    (seen, event) =>
      event.type === "text"
        ? { ...seen, text: seen.text + event.text, pieces: seen.pieces + 1 }
        : { ...seen, inputTokens: event.type === "finish" ? event.usage.inputTokens : 0 }
  )

describe("ReplayServer", () => {
  it.live("gives the same recorded answer whole and as a stream of pieces, both with their usage", () =>
    Effect.gen(function* () {
      const { model } = yield* behind()
      const question = "Please: Add two numbers. Then print them."
      const whole = yield* Effect.provide(Llm.generateText(question), model)
      const streamed = yield* Effect.provide(readAll(question), model)
      assert.strictEqual(whole.text, "a longer task, and an answer of some words")
      assert.strictEqual(streamed.text, whole.text)
      assert.isAbove(streamed.pieces, 1)
      assert.isAbove(whole.usage.inputTokens, 0)
      assert.strictEqual(streamed.inputTokens, whole.usage.inputTokens)
      assert.strictEqual(whole.requestId, "req_replay_1")
    })
  )

  it.live("answers by the round of the conversation, however often a request is sent", () =>
    Effect.gen(function* () {
      const { model } = yield* behind()
      const first = [Message.user("Add two numbers.")]
      const second = [...first, Message.assistant("first try"), Message.user("It failed.")]
      const third = [...second, Message.assistant("second try"), Message.user("It failed again.")]
      const texts = yield* Effect.forEach([first, first, second, second, third], (messages) =>
        Effect.map(Llm.generateText({ messages }), ({ text }) => text)
      ).pipe(Effect.provide(model))
      assert.deepStrictEqual(texts, ["first try", "first try", "second try", "second try", "second try"])
    })
  )

  it.live("refuses a conversation that it has no recording of", () =>
    Effect.gen(function* () {
      const { model } = yield* behind()
      const error = yield* Effect.flip(Effect.provide(Llm.generateText("What is love?"), model))
      assert.strictEqual(error.status, 404)
      assert.include(error.message, "no recorded answer")
    })
  )

  for (const kind of Fault.allKinds.filter((kind) => kind !== "refuse" && kind !== "latency")) {
    it.live(`lets a call with the fault ${kind} be survived`, () =>
      Effect.gen(function* () {
        const faults = yield* Fault.plan({ kinds: [kind] })
        const { model, server } = yield* behind(faults)
        const answer = yield* Effect.provide(Llm.generateText("Add two numbers."), model)
        assert.strictEqual(answer.text, "first try")
        assert.strictEqual(answer.attempts.length, 2)
        assert.deepStrictEqual(
          (yield* server.requests).map(({ fault }) => fault),
          [kind, undefined]
        )
        assert.strictEqual((yield* faults.tally).survived[kind], 1)
      })
    )
  }

  it.live("answers late with the fault latency, and never refuses a connection that it has taken", () =>
    Effect.gen(function* () {
      const faults = yield* Fault.plan({ kinds: ["latency", "refuse"], rate: 1 })
      const server = yield* ReplayServer.make({ answer: () => "late", faults, latency: "20 millis" })
      const model = OpenAiLlm.layer({ model: "replay", baseUrl: server.url })
      const answer = yield* Llm.generateText("?").pipe(Effect.provide(Layer.provide(model, UndiciHttpClient.layer())))
      assert.strictEqual(answer.text, "late")
      const { injected, survived } = yield* faults.tally
      assert.deepInclude(injected, { latency: 1, refuse: 0 })
      assert.strictEqual(survived.latency, 1)
    })
  )

  for (const [kind, code] of [
    ["stall", "StreamStalled"],
    ["cut", "StreamCut"]
  ] as const) {
    it.live(`breaks a stream after its first content with the fault ${kind}`, () =>
      Effect.gen(function* () {
        const { model } = yield* behind(yield* Fault.plan({ kinds: [kind] }))
        const error = yield* Effect.flip(Effect.provide(readAll("Add two numbers. Then print them."), model))
        assert.strictEqual(error.code, code)
        assert.isTrue("partial" in error.reason && error.reason.partial.startsWith("a longer"))
      })
    )
  }

  it.live("lists its model and knows no other routes", () =>
    Effect.gen(function* () {
      const { server } = yield* behind()
      const statusOf = (path: string) => Effect.promise(async () => (await fetch(server.url + path)).status)
      assert.strictEqual(yield* statusOf("/models"), 200)
      assert.strictEqual(yield* statusOf("/nothing"), 404)
    })
  )

  it.live("is gone when its scope closes, open streams included", () =>
    Effect.gen(function* () {
      const url = yield* Effect.scoped(Effect.map(ReplayServer.make({ answer: () => "x" }), ({ url }) => url))
      const failure = yield* Effect.flip(Effect.tryPromise(() => fetch(`${url}/models`)))
      assert.strictEqual(failure._tag, "UnknownError")
    })
  )
})
