import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"

const body = JSON.stringify({ choices: [{ index: 0, message: { content: "hello" }, finish_reason: "stop" }] })

describe("OpenAiLlm under a hedge", () => {
  it.effect("says the request id of the send that answered", () =>
    Effect.gen(function* () {
      let sends = 0
      let finish = (): void => {}
      const bodies = [
        new ReadableStream({
          start: (controller) => {
            finish = () => {
              controller.enqueue(new TextEncoder().encode(body))
              controller.close()
            }
          }
        }),
        new ReadableStream()
      ]
      const client = HttpClient.make((request) => {
        const headers = { "x-request-id": `request-${sends + 1}` }
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(bodies[sends++], { headers })))
      })
      const policy = Policy.make({ hedge: { delay: 100, maxExtra: 1, costly: true } })
      const layer = OpenAiLlm.layer({ model: "m", apiKey: Redacted.make("k"), baseUrl: "http://llm.test/v1/", policy })
      const asked = Llm.generateText("hi").pipe(
        Effect.provide(Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, client)))
      )
      const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
      yield* TestClock.adjust(100)
      assert.strictEqual(sends, 2)
      finish()

      const answer = yield* Fiber.join(fiber)
      assert.strictEqual(answer.text, "hello")
      assert.strictEqual(answer.requestId, "request-1")
    })
  )
})
