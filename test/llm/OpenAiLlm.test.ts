import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Llm, type LlmError, OpenAiLlm } from "holdfast/llm"
import { Policy, type Retryable } from "holdfast/policy"
import { inspect } from "node:util"

const secret = "sk-very-secret-key"

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Record<string, unknown>
}

/** An endpoint that answers the same to each request, in memory. */
const answering = (status: number, body: string, headers: Record<string, string> = {}, options = {}) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) => {
    const raw = request.body._tag === "Raw" ? String(request.body.body) : "{}"
    sent.push({ url: request.url, headers: { ...request.headers }, body: JSON.parse(raw) })
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
  })
  const layer = OpenAiLlm.layer({
    model: "the-model",
    apiKey: Redacted.make(secret),
    baseUrl: "http://llm.test/v1/",
    policy: Policy.make({ retry: { retries: 0 } }),
    ...options
  }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))
  return { layer, sent }
}

const good = JSON.stringify({
  model: "the-model-2026",
  choices: [{ index: 0, message: { content: "hello", reasoning_content: "hm" }, finish_reason: "length" }],
  usage: {
    prompt_tokens: 7,
    completion_tokens: 5,
    prompt_tokens_details: { cached_tokens: 4 },
    completion_tokens_details: { reasoning_tokens: 2 }
  }
})

const reasonOf = (status: number, body: string, headers?: Record<string, string>) =>
  Llm.generateText("hi").pipe(
    Effect.flip,
    Effect.provide(answering(status, body, headers).layer),
    Effect.map(({ reason }) => reason)
  )

const error = (fields: object): string => JSON.stringify({ error: fields })

describe("OpenAiLlm", () => {
  it.effect("sends what the protocol says and reads the answer", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good, { "x-request-id": "req-1" })
      const request: Llm.Request = {
        messages: [
          { role: "system", content: "be brief" },
          { role: "user", content: "hi" }
        ],
        maxTokens: 9,
        temperature: 0.5,
        topP: 0.9,
        stop: ["END"],
        seed: 3,
        idempotencyKey: "key-1",
        headers: { "x-extra": "yes" },
        extra: { user: "u-1" }
      }
      const answer = yield* Effect.provide(Llm.generateText(request), layer)
      assert.deepStrictEqual(sent[0]?.body, {
        model: "the-model",
        messages: request.messages,
        max_tokens: 9,
        temperature: 0.5,
        top_p: 0.9,
        stop: ["END"],
        seed: 3,
        user: "u-1"
      })
      assert.strictEqual(sent[0]?.url, "http://llm.test/v1/chat/completions")
      const { authorization, "idempotency-key": key, "x-extra": extra } = sent[0]?.headers ?? {}
      assert.deepStrictEqual([authorization, key, extra], [`Bearer ${secret}`, "key-1", "yes"])
      assert.deepInclude(answer, { text: "hello", reasoning: "hm", finishReason: "length", model: "the-model-2026" })
      assert.strictEqual(answer.requestId, "req-1")
      assert.deepStrictEqual(answer.usage, {
        inputTokens: 7,
        outputTokens: 5,
        cachedInputTokens: 4,
        reasoningTokens: 2
      })
      assert.deepStrictEqual(answer.raw, JSON.parse(good))
      assert.strictEqual(answer.attempts.length, 1)
    })
  )

  it.effect("asks a stream for its usage, unless told not to", () =>
    Effect.gen(function* () {
      const sse = `data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`
      const type = { "content-type": "text/event-stream" }
      const asked = answering(200, sse, type)
      yield* Stream.runDrain(Llm.streamText("hi")).pipe(Effect.provide(asked.layer))
      assert.deepStrictEqual(asked.sent[0]?.body.stream_options, { include_usage: true })
      const silent = answering(200, sse, type, { includeUsage: false })
      yield* Stream.runDrain(Llm.streamText("hi")).pipe(Effect.provide(silent.layer))
      assert.isUndefined(silent.sent[0]?.body.stream_options)
    })
  )

  it.effect("calls the limit max_completion_tokens at OpenAI itself", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good, {}, { baseUrl: undefined })
      yield* Effect.provide(Llm.generateText({ messages: [{ role: "user", content: "hi" }], maxTokens: 5 }), layer)
      assert.strictEqual(sent[0]?.url, "https://api.openai.com/v1/chat/completions")
      assert.strictEqual(sent[0]?.body.max_completion_tokens, 5)
    })
  )

  it.effect("refuses a request without messages before anything is sent", () =>
    Effect.gen(function* () {
      const { layer, sent } = answering(200, good)
      const { reason } = yield* Effect.flip(Effect.provide(Llm.generateText({ messages: [] }), layer))
      assert.deepInclude(reason, { _tag: "InvalidRequest", phase: "notSent" })
      assert.strictEqual(sent.length, 0)
    })
  )

  // (status, body) → (reason, retryable, phase): the error tables of OpenAI and of compatible servers.
  const table: ReadonlyArray<readonly [number, string, LlmError.Reason["_tag"], boolean, Retryable.Phase]> = [
    [400, error({ message: "bad", type: "invalid_request_error" }), "InvalidRequest", false, "rejected"],
    [400, error({ message: "x", code: "context_length_exceeded" }), "ContextLengthExceeded", false, "rejected"],
    [400, error({ message: "This model's maximum context length is 8" }), "ContextLengthExceeded", false, "rejected"],
    [400, error({ message: "x", code: "content_filter" }), "ContentFiltered", false, "rejected"],
    [401, error({ message: "x", code: "invalid_api_key" }), "Unauthorized", false, "rejected"],
    [402, error({ message: "Insufficient Balance" }), "QuotaExhausted", false, "rejected"],
    [403, "forbidden", "Unauthorized", false, "rejected"],
    [404, error({ message: "x", code: "model_not_found" }), "InvalidRequest", false, "rejected"],
    [409, error({ message: "x" }), "ServerError", true, "rejected"],
    [422, error({ message: "x", code: 422 }), "InvalidRequest", false, "rejected"],
    [429, error({ message: "x", type: "rate_limit_exceeded" }), "RateLimited", true, "rejected"],
    [429, error({ message: "x", type: "insufficient_quota" }), "QuotaExhausted", false, "rejected"],
    [
      429,
      error({ message: "x", code: "credit_balance_exhausted", type: "insufficient_quota" }),
      "QuotaExhausted",
      false,
      "rejected"
    ],
    [500, error({ message: "x" }), "ServerError", true, "maybeSent"],
    [503, error({ message: "x" }), "ServerError", true, "rejected"],
    [502, "<html>Bad Gateway</html>", "ServerError", true, "maybeSent"],
    [503, error({ message: "x", code: "slow_down" }), "Overloaded", true, "rejected"],
    [504, "", "ServerError", true, "maybeSent"],
    [520, "", "Overloaded", true, "rejected"],
    [529, error({ message: "x", type: "overloaded_error" }), "Overloaded", true, "rejected"]
  ]

  it.effect.each(table)("reads %i %s as %s", ([status, body, tag, isRetryable, phase]) =>
    Effect.gen(function* () {
      const reason = yield* reasonOf(status, body)
      assert.deepStrictEqual([reason._tag, reason.isRetryable, reason.phase], [tag, isRetryable, phase])
    })
  )

  it.effect("reads the waits that a server asks for", () =>
    Effect.gen(function* () {
      const reason = yield* reasonOf(429, error({ message: "x" }), { "retry-after": "7" })
      assert.isTrue(reason._tag === "RateLimited" && Duration.toMillis(reason.retryAfter ?? 0) === 7_000)
      const stopped = yield* reasonOf(500, error({ message: "x" }), { "x-should-retry": "false" })
      assert.deepInclude(stopped, { _tag: "ServerError", isRetryable: false })
    })
  )

  it.effect("takes a model without resources for an overloaded provider", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({
        choices: [{ message: { content: "" }, finish_reason: "insufficient_system_resource" }]
      })
      assert.strictEqual((yield* reasonOf(200, body))._tag, "Overloaded")
    })
  )

  it.effect("says when the base URL is none", () =>
    Effect.gen(function* () {
      const { layer } = answering(200, good, {}, { baseUrl: "nonsense" })
      const { message, reason } = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), layer))
      assert.strictEqual(reason._tag, "InvalidRequest")
      assert.include(message, "base URL")
    })
  )

  it.effect("keeps the key out of everything that can be printed", () =>
    Effect.gen(function* () {
      const echo = error({ message: `Incorrect API key provided: ${secret}` })
      const failure = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), answering(401, echo).layer))
      const html = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), answering(200, `<p>${secret}`).layer))
      for (const one of [failure, html]) {
        const printed = [
          one.message,
          one.stack,
          String(one),
          JSON.stringify(one),
          inspect(one, { depth: 9, showHidden: true })
        ]
        assert.notInclude(printed.join("\n"), secret)
      }
      assert.include(failure.message, "<redacted>")
      assert.isTrue(html.reason._tag === "InvalidResponse" && html.reason.excerpt === "<p><redacted>")
    })
  )
})
