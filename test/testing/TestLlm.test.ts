import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Llm, LlmError, Message } from "holdfast/llm"
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

  it.effect("fails with an error that a script gives, throws or rejects with, and dies of any other", () =>
    Effect.gen(function* () {
      const asking = (reply: TestLlm.Script) => Effect.provide(ask("?"), TestLlm.layer(reply))
      const refuse = (): never => {
        throw overloaded
      }
      for (const script of [overloaded, [overloaded], refuse, async () => refuse()]) {
        assert.strictEqual(yield* Effect.flip(asking(script)), overloaded)
      }
      const bug = new Error("a bug of the test")
      const exit = yield* Effect.exit(asking(() => Promise.reject(bug)))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === bug)
    })
  )

  it.effect("replies by a promise", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ask("?"), "later: ?")
    }).pipe(Effect.provide(TestLlm.layer(async ({ messages }) => `later: ${messages[0]?.content}`)))
  )

  it("shows what was asked as an array, without Effect", async () => {
    const { layer, requests } = TestLlm.make(["one", "two"])
    assert.deepStrictEqual(requests, [])
    assert.strictEqual(await Effect.runPromise(Effect.provide(ask("first?"), layer)), "one")
    assert.strictEqual(requests[0]?.messages[0]?.content, "first?")
  })
})

describe("TestLlm, by what is asked", () => {
  const weather = TestLlm.layer([
    { when: "the weather", reply: ["sunny", "rainy"] },
    { when: /^(hi|hello)\b/i, reply: ({ messages }, call) => `${messages[0]?.content} to you, number ${call}` },
    { when: { model: "small", temperature: 0 }, reply: "tiny" },
    { when: ({ tools }) => tools !== undefined, reply: overloaded }
  ])

  it.effect("gives the reply of the first that matches, each with a sequence and numbers of its own", () =>
    Effect.gen(function* () {
      const replies = yield* Effect.forEach(
        ["How is the weather?", "Hello", "hi", "And the weather now?", { ...Llm.toRequest("x"), ...small }],
        (input) => Effect.map(Llm.generateText(input), ({ text }) => text)
      )
      assert.deepStrictEqual(replies, ["sunny", "Hello to you, number 1", "hi to you, number 2", "rainy", "tiny"])
      const withTools = { ...Llm.toRequest("x"), tools: [{ name: "t" }] }
      assert.strictEqual(yield* Effect.flip(Llm.generateText(withTools)), overloaded)
    }).pipe(Effect.provide(weather))
  )

  it.effect("looks at the last message, such as what a tool gave back", () =>
    Effect.gen(function* () {
      const messages = [Message.user("How hot is it?"), Message.toolResult({ id: "1", name: "t" }, "21 degrees")]
      assert.strictEqual((yield* Llm.generateText({ messages })).text, "Warm.")
    }).pipe(
      Effect.provide(
        TestLlm.layer([
          { when: "hot", reply: "no" },
          { when: "21 degrees", reply: "Warm." }
        ])
      )
    )
  )

  it.effect("says which call has no reply left of those that match", () =>
    Effect.gen(function* () {
      yield* ask("the weather")
      yield* ask("the weather")
      const { message } = yield* Effect.flip(ask("the weather"))
      assert.include(message, 'of those that match "the weather", call 3 has no reply, the script ends after 2')
    }).pipe(Effect.provide(weather))
  )

  const cases: ReadonlyArray<readonly [what: string, input: Llm.Input, said: string]> = [
    [
      "the text that it nearly has",
      "How is the wether?",
      'call 1, "How is the wether?"; the nearest of 4 is number 1, "the weather": after "the we" comes "ther?" and not "ather"'
    ],
    [
      "the text that breaks off",
      "Look at the wea",
      'number 1, "the weather": after "the wea" the text ends and not "ther"'
    ],
    [
      "the pattern that has words of it",
      "oh, hello there",
      "the nearest of 4 is number 2, /^(hi|hello)\\b/i: it does not match"
    ],
    [
      "the field that is another",
      { ...Llm.toRequest("x"), model: "big", temperature: 0 },
      'the nearest of 4 is number 3, {"model":"small","temperature":0}: model is "big" and not "small"'
    ],
    ["the field that is absent", { ...Llm.toRequest("x"), model: "small" }, "temperature is absent and not 0"]
  ]
  for (const [what, input, said] of cases) {
    it.effect(`fails where nothing matches, and shows the nearest: ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Llm.generateText(input))
        assert.strictEqual(error.code, "InvalidRequest")
        assert.include(error.message, said)
        assert.strictEqual((yield* Ref.get(yield* TestLlm.Requests)).length, 1)
      }).pipe(Effect.provide(weather))
    )
  }
})

describe("TestLlm, where one pattern is expected", () => {
  it.effect("names the words of the pattern that are not there", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(ask("Translate the menu"))
      assert.include(message, 'number 1, /^translate .+ into french$/i: there is no "into", no "french"')
    }).pipe(Effect.provide(TestLlm.layer([{ when: /^translate .+ into french$/i, reply: "le menu" }])))
  )
})

const small = { model: "small", temperature: 0 }
