import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { FallbackLlm, Llm, type LlmError, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { Fault, TestHttpClient, TestLlm } from "holdfast/testing"

const words = "Once upon a time there was a plan"

const whole = JSON.stringify({ choices: [{ message: { role: "assistant", content: words }, finish_reason: "stop" }] })
const chunk = (delta: object, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`
const events = [...words.split(/(?= )/).map((content) => chunk({ content })), chunk({}, "stop"), "data: [DONE]\n\n"]

const wire = TestHttpClient.layer(({ body }) =>
  body._tag === "Raw" && String(body.body).includes('"stream":true')
    ? new Response(events.join(""), { headers: { "content-type": "text/event-stream" } })
    : new Response(whole, { headers: { "content-type": "application/json" } })
)

/** A model behind a broken wire, whose policy does not try again. */
const behind = (plan: Fault.Plan) =>
  OpenAiLlm.layer({ model: "m", policy: Policy.make({ retry: { retries: 0 } }) }).pipe(
    Layer.provide(Fault.http(plan)(wire))
  )

const always = (kind: Fault.Kind) => Fault.planUnsafe({ kinds: [kind], rate: 1 })

const asks = {
  generateText: Effect.map(Llm.generateText("Tell me a story"), ({ text }) => text),
  streamText: Effect.map(
    Stream.runFold(Llm.streamText("Tell me a story"), () => Llm.collected, Llm.collect),
    ({ text }) => text
  )
} as const

/** How an ask fails, by a clock that has all the time of the world. */
const failing = (ask: Effect.Effect<string, LlmError.LlmError, Llm.Llm>, layer: Layer.Layer<Llm.Llm>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(ask, layer)))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

const faults = Fault.allKinds.filter((kind) => kind !== "latency")

describe("Fault.llm", () => {
  for (const [method, ask] of Object.entries(asks)) {
    for (const kind of faults) {
      it.effect(`fails ${method} with ${kind} as a provider behind that fault does`, () =>
        Effect.gen(function* () {
          const real = yield* failing(ask, behind(always(kind)))
          const injected = yield* failing(ask, Fault.llm(always(kind))(TestLlm.layer(words)))
          const { isRetryable, phase, status } = injected
          assert.deepInclude(real, { isRetryable, phase, status, code: injected.code })
          assert.strictEqual(injected.attempts.length, real.attempts.length)
          assert.deepInclude(injected.attempts[0], { outcome: injected.code, phase })
          if ("partial" in injected.reason) assert.strictEqual(injected.reason.partial, "Once upon a time")
          if (kind === "rateLimited") assert.strictEqual(injected.retryAfterMillis, real.retryAfterMillis)
        })
      )
    }
  }

  it.effect("lets the call through when it is asked again, and counts the fault as survived", () =>
    Effect.gen(function* () {
      const plan = always("unavailable")
      const model = Fault.llm(plan)(TestLlm.layer("fine"))
      const test = Effect.gen(function* () {
        yield* Effect.flip(asks.streamText)
        assert.strictEqual(plan.tallyUnsafe().survived.unavailable, 0)
        assert.strictEqual(yield* asks.streamText, "fine")
        assert.strictEqual(plan.tallyUnsafe().survived.unavailable, 1)
        // What the layer provides besides is still there.
        assert.strictEqual((yield* Ref.get(yield* TestLlm.Requests)).length, 1)
      })
      yield* Effect.provide(test, model)
    })
  )

  it.effect("breaks a stream after as many contents as it is told to, before its finish at the latest", () =>
    Effect.gen(function* () {
      for (const [contents, partial] of [
        [1, "a"],
        [3, "a b c"],
        [99, "a b c d"]
      ] as const) {
        const seen: Array<string> = []
        const read = Stream.runForEach(Llm.streamText("?"), (event) => Effect.sync(() => seen.push(event.type)))
        const model = Fault.llm(always("cut"), { contents })(TestLlm.layer("a b c d"))
        const { reason } = yield* Effect.flip(Effect.provide(read, model))
        assert.deepInclude(reason, { _tag: "StreamCut", partial })
        assert.deepStrictEqual([...new Set(seen)], ["text"])
      }
    })
  )

  it.effect("gives up what is silent at the timeouts that it is told, and answers late by the clock", () =>
    Effect.gen(function* () {
      const timeout = { firstContent: "7 seconds", idleContent: "3 seconds" } as const
      const model = (kind: Fault.Kind) =>
        Fault.llm(always(kind), { latency: "1 minute", timeout })(TestLlm.layer("late but here"))
      for (const [kind, seconds, ends] of [
        ["silence", 7, "FirstContentTimeout"],
        ["stall", 3, "StreamStalled"],
        ["latency", 60, "late but here"]
      ] as const) {
        const asked = Effect.provide(asks.streamText, model(kind))
        const fiber = yield* Effect.forkChild(Effect.catch(asked, ({ code }) => Effect.succeed(code)))
        yield* TestClock.adjust(seconds * 1000 - 1)
        assert.isUndefined(fiber.pollUnsafe(), kind)
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* Fiber.join(fiber), ends)
      }
    })
  )

  it.effect("makes a fallback go on to the next model", () =>
    Effect.gen(function* () {
      const first = { llm: Fault.llm(always("serverError"))(TestLlm.layer("first")), name: "first" }
      const second = { llm: TestLlm.layer("second"), name: "second" }
      const answer = yield* Effect.provide(Llm.generateText("?"), FallbackLlm.layer([first, second]))
      assert.deepInclude(answer, { text: "second", servedBy: "second" })
    })
  )
})

describe("Fault.http", () => {
  it.effect("lets the retries of a model's policy hold against every kind", () =>
    Effect.gen(function* () {
      for (const kind of Fault.allKinds) {
        const plan = Fault.planUnsafe({ kinds: [kind], rate: 1 })
        const model = OpenAiLlm.layer({ model: "m" }).pipe(Layer.provide(Fault.http(plan)(wire)))
        const fiber = yield* Effect.forkChild(Effect.provide(asks.generateText, model))
        yield* TestClock.adjust("15 minutes")
        assert.strictEqual(yield* Fiber.join(fiber), words, kind)
        assert.strictEqual(plan.tallyUnsafe().survived[kind], 1, kind)
      }
    })
  )
})
