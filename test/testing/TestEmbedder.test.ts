import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Embedder, LlmError } from "holdfast/llm"
import { TestEmbedder } from "holdfast/testing"
import { embedderContract } from "../contract/Embedder.ts"

embedderContract("TestEmbedder", TestEmbedder.layer(), { wire: false })

const cosine = (a: Embedder.Vector, b: Embedder.Vector): number =>
  a.reduce((sum, number, place) => sum + number * (b[place] ?? 0), 0)

describe("TestEmbedder", () => {
  it("makes vectors of length one that are near where texts are alike", () => {
    const [password, reset, stocks] = ["How do I reset my password?", "Resetting a password", "Stocks fell today"].map(
      (text) => TestEmbedder.vectorOf(text)
    )
    if (password === undefined || reset === undefined || stocks === undefined) throw new Error("no vectors")
    assert.closeTo(cosine(password, password), 1, 1e-6)
    assert.isAbove(cosine(password, reset), 0.3)
    assert.isBelow(Math.abs(cosine(password, stocks)), 0.15)
  })

  it("gives texts that differ in anything vectors that differ", () => {
    const texts = ["a b", "b a", "A b", "a  b", "a", "b", "!", "?", " "]
    const vectors = texts.map((text) => TestEmbedder.vectorOf(text, 64).join())
    assert.strictEqual(new Set(vectors).size, texts.length)
  })

  it.effect("remembers what it was asked, failures too", () =>
    Effect.gen(function* () {
      const embedder = yield* Embedder.Embedder
      yield* embedder.embed({ inputs: ["one"], purpose: "query", dimensions: 3 })
      yield* Effect.flip(embedder.embed({ inputs: [""] }))
      assert.deepStrictEqual(yield* Ref.get(yield* TestEmbedder.Requests), [
        { inputs: ["one"], purpose: "query", dimensions: 3 },
        { inputs: [""] }
      ])
    }).pipe(Effect.provide(TestEmbedder.layer()))
  )

  it.effect("replies in sequence, a failure with finished vectors among them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Embedder.embed("x"), [1, 0])
      const error = yield* Effect.flip(Embedder.embedMany(["x", "y"]))
      assert.deepInclude(error, { code: "RateLimited", inputs: 2, finished: 1 })
      assert.deepStrictEqual(error.vectors, [[1, 0], undefined])
      const past = yield* Effect.flip(Embedder.embed("x"))
      assert.include(past.message, "TestEmbedder: call 3 has no reply, the script ends after 2")
    }).pipe(
      Effect.provide(
        TestEmbedder.layer([
          { vectors: [[1, 0]] },
          Effect.fail(TestEmbedder.failure(new LlmError.RateLimited({ description: "slow down" }), [[1, 0], undefined]))
        ])
      )
    )
  )

  it.effect("replies by a function of the request, later if it is told to", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Embedder.embedMany(["ab", "c"]))
      yield* TestClock.adjust("1 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).vectors, [[2], [1]])
    }).pipe(
      Effect.provide(
        TestEmbedder.layer(({ inputs }, call) =>
          Effect.as(Effect.sleep("2 seconds"), { vectors: inputs.map((input) => [input.length * call]) })
        )
      )
    )
  )
})
