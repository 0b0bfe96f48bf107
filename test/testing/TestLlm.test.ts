import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Llm, LlmError } from "holdfast/llm"
import { TestLlm } from "holdfast/testing"

const ask = (question: string) => Effect.map(Llm.generateText(question), ({ text }) => text)
const overloaded = TestLlm.failure(new LlmError.Overloaded({ description: "busy" }))

describe("TestLlm", () => {
  it.effect("gives one reply to every call and remembers what was asked", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ask("a?"), "yes")
      assert.strictEqual(yield* ask("b?"), "yes")
      const asked = yield* Ref.get(yield* TestLlm.Requests)
      assert.deepStrictEqual(
        asked.map(({ messages }) => messages[0]?.content),
        ["a?", "b?"]
      )
    }).pipe(Effect.provide(TestLlm.layer("yes")))
  )

  it.effect("replies in sequence and says which call has no reply", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ask("?"), "one")
      assert.strictEqual((yield* Effect.flip(ask("?"))).code, "Overloaded")
      assert.strictEqual((yield* Llm.generateText("?")).finishReason, "length")
      const error = yield* Effect.flip(ask("?"))
      assert.include(error.message, "TestLlm: call 4 has no reply, the script ends after 3")
      assert.isFalse(error.isRetryable)
    }).pipe(Effect.provide(TestLlm.layer(["one", Effect.fail(overloaded), { text: "two", finishReason: "length" }])))
  )

  it.effect("replies by a function of the request and the call, which may wait", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask("who?"))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "who? 1")
    }).pipe(
      Effect.provide(
        TestLlm.layer(({ messages }, call) =>
          Effect.delay(Effect.succeed(`${messages[0]?.content} ${call}`), "1 minute")
        )
      )
    )
  )

  it.effect("streams a reply in pieces, its finish last", () =>
    Effect.gen(function* () {
      const events = yield* Stream.runCollect(Llm.streamText("?"))
      const texts = events.flatMap((event) => (event.type === "text" ? [event.text] : []))
      assert.isAbove(texts.length, 1)
      assert.strictEqual(texts.join(""), "several words in a row")
      assert.strictEqual(events.at(-1)?.type, "finish")
    }).pipe(Effect.provide(TestLlm.layer("several words in a row")))
  )
})
