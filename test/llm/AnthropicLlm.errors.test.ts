/** The golden table: (status, headers, body) → (reason, retryable, phase, delay), and the same inside a stream. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { AnthropicLlm, Llm, type LlmError } from "holdfast/llm"
import { Policy, type Retryable } from "holdfast/policy"
import { type ErrorRow, errors } from "../fixtures/errors.ts"

const layerOf = (status: number, body: string, headers: Readonly<Record<string, string>>) => {
  const client = HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
  )
  return AnthropicLlm.layer({
    model: "the-model",
    apiKey: Redacted.make("sk-test"),
    policy: Policy.make({ retry: { retries: 0 } })
  }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))
}

/** What a reason says about trying again; the delay in milliseconds. */
type Told = readonly [LlmError.Reason["_tag"], boolean, Retryable.Phase, number | undefined]

const tell = ({ code, isRetryable, phase, retryAfter }: LlmError.LlmError): Told => [
  code,
  isRetryable,
  phase,
  retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
]

const failureOf = (status: number, body: string, headers: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(Date.UTC(2026, 10, 21))
    return yield* Effect.flip(Effect.provide(Llm.generateText("hi"), layerOf(status, body, headers)))
  })

const expected: Readonly<Record<string, Told>> = {
  "error-400-invalid_request_error": ["InvalidRequest", false, "rejected", undefined],
  "error-400-prompt_is_too_long": ["ContextLengthExceeded", false, "rejected", undefined],
  "error-400-spend_limit": ["QuotaExhausted", false, "rejected", undefined],
  "error-400-credit_balance": ["QuotaExhausted", false, "rejected", undefined],
  "error-401-authentication_error": ["Unauthorized", false, "rejected", undefined],
  "error-402-billing_error": ["QuotaExhausted", false, "rejected", undefined],
  "error-403-permission_error": ["Unauthorized", false, "rejected", undefined],
  "error-404-not_found_error": ["InvalidRequest", false, "rejected", undefined],
  "error-409-conflict_error": ["ServerError", true, "rejected", undefined],
  "error-413-request_too_large": ["InvalidRequest", false, "rejected", undefined],
  "error-429-rate_limit_error": ["RateLimited", true, "rejected", 34_000],
  "error-429-enforced_spend_limit_reached": ["QuotaExhausted", false, "rejected", undefined],
  "error-429-contract_spend_limit_reached": ["QuotaExhausted", false, "rejected", undefined],
  "error-429-ramp_limit_exceeded": ["RateLimited", true, "rejected", 15_000],
  "error-500-api_error": ["ServerError", true, "maybeSent", undefined],
  "error-502": ["ServerError", true, "maybeSent", undefined],
  "error-504-timeout_error": ["ServerError", true, "maybeSent", undefined],
  "error-529-overloaded_error": ["Overloaded", true, "rejected", undefined]
}

const bodyOf = ({ body }: ErrorRow): string => (typeof body === "string" ? body : JSON.stringify(body))

const error = (type: string, message: string, error_code?: string): string =>
  JSON.stringify({ type: "error", error: { type, message, details: error_code === undefined ? null : { error_code } } })

const resets = (remaining: string): Record<string, string> => ({
  "anthropic-ratelimit-requests-remaining": "7",
  "anthropic-ratelimit-requests-reset": "2026-11-21T00:05:00Z",
  "anthropic-ratelimit-output-tokens-remaining": remaining,
  "anthropic-ratelimit-output-tokens-reset": "2026-11-21T00:00:34Z"
})

/** What the documentation does not list, and what proxies before the API answer. */
const others: ReadonlyArray<readonly [string, number, string, Readonly<Record<string, string>>, Told]> = [
  [
    "a thinking answer that would not fit",
    400,
    error("invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    {},
    ["ContextLengthExceeded", false, "rejected", undefined]
  ],
  [
    "an answer that is filtered",
    400,
    error("invalid_request_error", "Output blocked by content filtering policy"),
    {},
    ["ContentFiltered", false, "rejected", undefined]
  ],
  [
    "a tool that has to do with billing",
    400,
    error("invalid_request_error", "tools.0.custom.name: 'billing info' should match the pattern"),
    {},
    ["InvalidRequest", false, "rejected", undefined]
  ],
  [
    "growth that is told in the words of a limit",
    429,
    error("rate_limit_error", "Your API usage limit grows with time.", "ramp_limit_exceeded"),
    {},
    ["RateLimited", true, "rejected", undefined]
  ],
  ["a timeout of a proxy", 408, "", {}, ["ServerError", true, "rejected", undefined]],
  ["an unprocessable entity", 422, "", {}, ["InvalidRequest", false, "rejected", undefined]],
  ["a client that left", 499, "", {}, ["InvalidRequest", false, "rejected", undefined]],
  ["a restart", 503, "<html>", { "retry-after": "2" }, ["ServerError", true, "rejected", 2000]],
  [
    "no capacity, by its words",
    500,
    error("overloaded_error", "Overloaded"),
    {},
    ["Overloaded", true, "rejected", undefined]
  ],
  ["a web server that is down", 521, "", {}, ["Overloaded", true, "rejected", undefined]],
  [
    "a server that does not want to be asked again",
    500,
    error("api_error", "no"),
    { "x-should-retry": "false" },
    ["ServerError", false, "maybeSent", undefined]
  ],
  [
    "a wait in milliseconds",
    429,
    error("rate_limit_error", "slow"),
    { "retry-after-ms": "1500", "retry-after": "9" },
    ["RateLimited", true, "rejected", 1500]
  ],
  [
    "a wait as a date",
    429,
    error("rate_limit_error", "slow"),
    { "retry-after": "Sat, 21 Nov 2026 00:00:07 GMT" },
    ["RateLimited", true, "rejected", 7000]
  ],
  [
    "a limit of which nothing remains",
    429,
    error("rate_limit_error", "slow"),
    resets("0"),
    ["RateLimited", true, "rejected", 34_000]
  ],
  [
    "limits of which something remains",
    429,
    error("rate_limit_error", "slow"),
    resets("1"),
    ["RateLimited", true, "rejected", undefined]
  ],
  ["a redirect", 307, "", {}, ["InvalidRequest", false, "rejected", undefined]],
  [
    "an error with status 200",
    200,
    error("overloaded_error", "Overloaded"),
    {},
    ["Overloaded", true, "rejected", undefined]
  ],
  ["a page with status 200", 200, "<html>", {}, ["InvalidResponse", true, "answered", undefined]],
  ["another protocol", 200, '{"choices":[]}', {}, ["InvalidResponse", true, "answered", undefined]]
]

/** What each `error.type` says after the status was 200. */
const inStream: ReadonlyArray<readonly [string, string, Told, string?]> = [
  ["invalid_request_error", "bad", ["InvalidRequest", false, "rejected", undefined]],
  ["invalid_request_error", "prompt is too long: 9 > 8", ["ContextLengthExceeded", false, "rejected", undefined]],
  ["invalid_request_error", "Your credit balance is too low", ["QuotaExhausted", false, "rejected", undefined]],
  ["authentication_error", "x", ["Unauthorized", false, "rejected", undefined]],
  ["billing_error", "x", ["QuotaExhausted", false, "rejected", undefined]],
  ["permission_error", "x", ["Unauthorized", false, "rejected", undefined]],
  ["not_found_error", "x", ["InvalidRequest", false, "rejected", undefined]],
  ["conflict_error", "x", ["ServerError", true, "rejected", undefined]],
  ["request_too_large", "x", ["InvalidRequest", false, "rejected", undefined]],
  ["rate_limit_error", "x", ["RateLimited", true, "rejected", undefined]],
  ["rate_limit_error", "x", ["QuotaExhausted", false, "rejected", undefined], "enforced_spend_limit_reached"],
  ["api_error", "x", ["ServerError", true, "maybeSent", undefined]],
  ["timeout_error", "x", ["ServerError", true, "maybeSent", undefined]],
  ["overloaded_error", "x", ["Overloaded", true, "rejected", undefined]],
  ["an_error_of_tomorrow", "x", ["ServerError", true, "maybeSent", undefined]]
]

const begun = [
  { type: "message_start", message: { content: [], usage: { input_tokens: 4, output_tokens: 1 } } },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }
]
const content = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hel" } }

const events = (list: ReadonlyArray<object>): string => list.map((data) => `data: ${JSON.stringify(data)}\n\n`).join("")

const streamFailure = (body: string) => {
  const layer = layerOf(200, body, { "content-type": "text/event-stream" })
  return Effect.flip(Effect.provide(Stream.runDrain(Llm.streamText("hi")), layer))
}

describe("AnthropicLlm reads the errors of the API", () => {
  it("knows each row that the API documents", () => {
    assert.deepStrictEqual(errors.anthropic.map((row) => row.case).sort(), Object.keys(expected).sort())
  })

  it.effect.each(errors.anthropic.map((row) => [row.case, row] as const))("%s", ([name, row]) =>
    Effect.gen(function* () {
      const failure = yield* failureOf(row.status, bodyOf(row), row.headers)
      assert.deepStrictEqual(tell(failure), expected[name])
      assert.strictEqual(failure.status, row.status)
    })
  )

  it.effect.each(others)("%s (%i)", ([, status, body, headers, told]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(tell(yield* failureOf(status, body, headers)), told)
    })
  )

  it.effect("in the provider's own words", () =>
    Effect.gen(function* () {
      const { message } = yield* failureOf(404, error("not_found_error", "model: claude-9"), { "request-id": "r" })
      assert.include(message, "model: claude-9")
    })
  )
})

describe("AnthropicLlm shortens what a proxy says", () => {
  it.effect("without leaving a part of the key", () =>
    Effect.gen(function* () {
      const { message } = yield* failureOf(502, `${"x".repeat(196)}sk-test`)
      assert.include(message, "xxx")
      assert.notInclude(message, "sk-t")
    })
  )
})

describe("AnthropicLlm reads an error inside a stream", () => {
  it.effect.each(inStream)("as its status would have been read: %s, %s", ([type, message, told, code]) =>
    Effect.gen(function* () {
      const event = `event: error\ndata: ${error(type, message, code)}\n\n`
      assert.deepStrictEqual(tell(yield* streamFailure(events(begun) + event)), told)
      const late = yield* streamFailure(events([...begun, content]) + event)
      assert.strictEqual(late.code, told[0])
    })
  )

  it.effect("whatever its shape", () =>
    Effect.gen(function* () {
      const said = [
        "event: error\ndata: upstream is gone\n\n",
        'event: error\ndata: {"message":"upstream is gone"}\n\n',
        'data: {"error":{"message":"upstream is gone"}}\n\n'
      ]
      for (const event of said) {
        const failure = yield* streamFailure(events(begun) + event)
        assert.strictEqual(failure.code, "ServerError")
        assert.include(failure.message, "upstream is gone")
      }
    })
  )

  it.effect("that is no JSON as an answer to be asked for again while nothing was delivered", () =>
    Effect.gen(function* () {
      const early = yield* streamFailure(`${events(begun)}data: {"type"\n\n`)
      assert.deepStrictEqual(tell(early), ["InvalidResponse", true, "answered", undefined])
      const late = yield* streamFailure(`${events([...begun, content])}data: {"type"\n\n`)
      assert.deepStrictEqual(tell(late), ["InvalidResponse", false, "answered", undefined])
      assert.isTrue(late.reason._tag === "InvalidResponse" && late.reason.excerpt === '{"type"')
    })
  )
})
