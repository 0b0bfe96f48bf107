import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { HttpClient } from "effect/http"
import { Llm, OpenAiLlm, Spending } from "holdfast/llm"
import { TestHttpClient } from "holdfast/testing"

const answer = JSON.stringify({
  model: "gpt-4o",
  usage: { prompt_tokens: 1_000_000, completion_tokens: 0 },
  choices: [{ message: { content: "x" }, finish_reason: "stop" }]
})

const llm = OpenAiLlm.layer({ model: "m", baseUrl: "http://llm.test/v1" }).pipe(
  Layer.provide(TestHttpClient.layer(() => answer))
)

describe("Spending", () => {
  it.effect("adds up the calls inside", () =>
    Effect.gen(function* () {
      const calls = Effect.forEach([1, 2, 3], () => Llm.generateText("hi"), { concurrency: 3 })
      const [answers, { calls: told, cost, usage }] = yield* Spending.track(calls)
      assert.strictEqual(answers.length, 3)
      assert.strictEqual(usage.inputTokens, 3_000_000)
      assert.strictEqual(cost, 7.5)
      assert.deepStrictEqual(
        told.map(({ model, outcome, provider }) => [provider, model, outcome]),
        Array.from({ length: 3 }, () => ["openai", "gpt-4o", "ok"])
      )
    }).pipe(Effect.provide(llm))
  )

  it.effect("is not told of what is outside", () =>
    Effect.gen(function* () {
      yield* Llm.generateText("hi")
      const [, { calls }] = yield* Spending.track(Effect.void)
      assert.deepStrictEqual(calls, [])
    }).pipe(Effect.provide(llm))
  )

  it.effect("is told of a call that was given up under way, by what was sent", () =>
    Effect.gen(function* () {
      const tally = new Spending.Tally()
      const fiber = yield* Effect.forkChild(
        Effect.provideService(Llm.generateText("a question of some length"), Spending.Current, tally),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(tally.calls.length, 1)
      assert.deepInclude(tally.calls[0], { provider: "openai", model: "m", outcome: "interrupted" })
      const { inputTokens = 0, isEstimate, outputTokens } = tally.calls[0]?.usage ?? {}
      assert.isAbove(inputTokens, 5)
      assert.strictEqual(outputTokens, 0)
      assert.isTrue(isEstimate)
    }).pipe(
      Effect.provide(
        OpenAiLlm.layer({ model: "m", baseUrl: "http://llm.test/v1" }).pipe(
          Layer.provide(
            Layer.succeed(
              HttpClient.HttpClient,
              HttpClient.make(() => Effect.never)
            )
          )
        )
      )
    )
  )
})
