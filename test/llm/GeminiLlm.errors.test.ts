/** Every way in which Gemini says no, and what it means: by status, inside a stream, and with a status of success. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { GeminiLlm, Llm, type LlmError } from "holdfast/llm"
import { Policy, type Retryable } from "holdfast/policy"
import { errors } from "../fixtures/errors.ts"

interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks an endpoint in memory; its last reply stays. */
const asking = (
  replies: ReadonlyArray<Reply>,
  retry: Policy.Options["retry"] = { retries: 0 },
  options: Partial<GeminiLlm.Options> = {}
) => {
  let requests = 0
  const client = HttpClient.make((request) => {
    const { body = "", headers = {}, status = 500 } = replies[Math.min(requests++, replies.length - 1)] ?? {}
    const text = typeof body === "string" ? body : JSON.stringify(body)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(text, { status, headers })))
  })
  const layer = GeminiLlm.layer({
    model: "gemini-3-flash",
    apiKey: Redacted.make("key"),
    policy: Policy.make({ retry }),
    ...options
  }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))
  return {
    requests: () => requests,
    whole: Effect.provide(Llm.generateText("hi"), layer),
    stream: Effect.provide(Stream.runCollect(Llm.streamText("hi")), layer)
  }
}

const sse = (...events: ReadonlyArray<unknown>): Reply => ({
  status: 200,
  headers: { "content-type": "text/event-stream" },
  body: events.map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\r\n\r\n`).join("")
})

const problem = (code: number, status: string, message: string, details: ReadonlyArray<object> = []) => ({
  error: { code, message, status, details }
})

const reasonInfo = (reason: string) => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason })

const limit = (quotaId: string, quotaValue = "10") => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{ quotaId, quotaValue }]
})

const again = (retryDelay: string) => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })

type Expected = readonly [
  tag: LlmError.Reason["_tag"],
  isRetryable: boolean,
  phase: Retryable.Phase,
  delayMillis?: number | undefined
]

const wrong: Expected = ["InvalidRequest", false, "rejected"]
const forbidden: Expected = ["Unauthorized", false, "rejected"]
const spent: Expected = ["QuotaExhausted", false, "rejected"]
const tooLong: Expected = ["ContextLengthExceeded", false, "rejected"]
const throttled: Expected = ["RateLimited", true, "rejected"]
const failed: Expected = ["ServerError", true, "maybeSent"]
const busy: Expected = ["Overloaded", true, "rejected"]

const expectedOf = (reason: LlmError.Reason): Expected => {
  const delay = "retryAfter" in reason ? reason.retryAfter : undefined
  const millis = delay === undefined ? undefined : Duration.toMillis(delay)
  const told = [reason._tag, reason.isRetryable, reason.phase] as const
  return millis === undefined ? told : [...told, millis]
}

/** What the rows of the providers' tables mean, by their case. */
const rows: Readonly<Record<string, Expected>> = {
  "error-400-INVALID_ARGUMENT": wrong,
  "error-400-token_count": tooLong,
  "error-400-API_KEY_INVALID": forbidden,
  "error-400-FAILED_PRECONDITION": forbidden,
  "error-401-UNAUTHENTICATED": forbidden,
  "error-402-prepay": spent,
  "error-403-PERMISSION_DENIED": forbidden,
  "error-404-NOT_FOUND": wrong,
  "error-429-RESOURCE_EXHAUSTED": ["RateLimited", true, "rejected", 34_000],
  "error-429-daily": spent,
  "error-429-bare": throttled,
  "error-500-INTERNAL": failed,
  "error-502": failed,
  "error-503-UNAVAILABLE": busy,
  "error-504-DEADLINE_EXCEEDED": failed
}

const exceeded = "You exceeded your current quota, please check your plan and billing details."

// (status, body, headers) → (reason, retryable, phase, delay): what was seen elsewhere.
const table: ReadonlyArray<readonly [Reply, Expected]> = [
  [{ status: 400, body: problem(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.") }, forbidden],
  [{ status: 400, body: problem(400, "INVALID_ARGUMENT", "x", [reasonInfo("API_KEY_SERVICE_BLOCKED")]) }, forbidden],
  [
    {
      status: 400,
      body: problem(
        400,
        "FAILED_PRECONDITION",
        "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio."
      )
    },
    spent
  ],
  [
    {
      status: 400,
      body: problem(
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use without a billing account linked."
      )
    },
    spent
  ],
  [{ status: 400, body: problem(400, "FAILED_PRECONDITION", "The cached content is being created.") }, wrong],
  [{ status: 400, body: problem(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature.") }, wrong],
  [
    {
      status: 403,
      body: problem(403, "PERMISSION_DENIED", "This API method requires billing.", [reasonInfo("BILLING_DISABLED")])
    },
    spent
  ],
  [{ status: 403, body: "<html>Forbidden</html>" }, forbidden],
  [
    {
      status: 429,
      body: [
        problem(429, "RESOURCE_EXHAUSTED", exceeded, [
          limit("GenerateContentInputTokensPerModelPerMinute"),
          again("1.5s")
        ])
      ]
    },
    ["RateLimited", true, "rejected", 1_500]
  ],
  [
    { status: 429, headers: { "retry-after": "7" }, body: problem(429, "RESOURCE_EXHAUSTED", exceeded, [again("9s")]) },
    ["RateLimited", true, "rejected", 7_000]
  ],
  [
    {
      status: 429,
      headers: { "x-should-retry": "false" },
      body: problem(429, "RESOURCE_EXHAUSTED", "Resource exhausted.")
    },
    ["RateLimited", false, "rejected"]
  ],
  [
    {
      status: 429,
      body: problem(429, "RESOURCE_EXHAUSTED", exceeded, [
        limit("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
        limit("GenerateContentInputTokensPerModelPerDay-FreeTier", "250000"),
        again("26s")
      ])
    },
    spent
  ],
  [
    {
      status: 429,
      body: problem(
        429,
        "RESOURCE_EXHAUSTED",
        `${exceeded}\n* Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: gemini-3-pro`,
        [again("26s")]
      )
    },
    spent
  ],
  [
    {
      status: 429,
      body: problem(429, "RESOURCE_EXHAUSTED", `${exceeded}\n* Quota exceeded for metric: requests, limit: 0.5`)
    },
    throttled
  ],
  [
    {
      status: 429,
      body: problem(429, "RESOURCE_EXHAUSTED", exceeded, [limit("GenerateRequestsPerMinute-FreeTier", "0")])
    },
    spent
  ],
  [{ status: 429, body: problem(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.") }, spent],
  [
    { status: 429, body: problem(429, "RESOURCE_EXHAUSTED", "The project has exceeded its monthly spending cap.") },
    spent
  ],
  [{ status: 500, body: "" }, failed],
  [
    { status: 503, body: problem(503, "UNAVAILABLE", "The service is currently unavailable.") },
    ["ServerError", true, "rejected"]
  ],
  [{ status: 503, body: problem(503, "UNAVAILABLE", "This model is currently experiencing high demand.") }, busy],
  [{ status: 503, headers: { "retry-after": "3" }, body: "" }, ["ServerError", true, "rejected", 3_000]],
  [{ status: 307, body: "" }, wrong]
]

const candidate = (parts: ReadonlyArray<object>, finishReason?: string) => ({
  candidates: [{ content: { role: "model", parts }, finishReason, index: 0 }],
  usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 5 }
})

const hello = { status: 200, body: candidate([{ text: "hello" }], "STOP") }

const blocked = { promptFeedback: { blockReason: "PROHIBITED_CONTENT" }, usageMetadata: { promptTokenCount: 12 } }

describe("an error of Gemini", () => {
  it("is in the table, whichever it is", () => {
    assert.sameMembers(
      errors.gemini.map((row) => row.case),
      Object.keys(rows)
    )
  })

  it.effect.each(errors.gemini)("means by its status: $case", (row) =>
    Effect.gen(function* () {
      for (const body of typeof row.body === "string" ? [row.body] : [row.body, [row.body]]) {
        const { stream, whole } = asking([{ ...row, body }])
        for (const { reason } of [yield* Effect.flip(whole), yield* Effect.flip(stream)]) {
          assert.deepStrictEqual(expectedOf(reason), rows[row.case])
          assert.strictEqual("status" in reason ? reason.status : undefined, row.status)
        }
      }
    })
  )

  it.effect.each(errors.gemini.filter(({ body }) => typeof body !== "string"))(
    "means the same inside a stream: $case",
    ({ body, case: name }) =>
      Effect.gen(function* () {
        for (const event of [body, [body]]) {
          const first = yield* Effect.flip(asking([sse(event)]).stream)
          assert.deepStrictEqual(expectedOf(first.reason), rows[name])
          const later = asking([sse(candidate([{ text: "hel" }]), event)], { retries: 2, base: 1 })
          const { attempts, reason } = yield* Effect.flip(later.stream)
          assert.deepStrictEqual(expectedOf(reason), rows[name])
          assert.strictEqual(attempts.length, 1)
          assert.strictEqual(later.requests(), 1)
        }
        // A body of success may be an error, too.
        const { reason } = yield* Effect.flip(asking([{ status: 200, body }]).whole)
        assert.deepStrictEqual(expectedOf(reason), rows[name])
      })
  )

  it.effect.each(table)("means by its status and its words: %j", ([reply, expected]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(expectedOf((yield* Effect.flip(asking([reply]).whole)).reason), expected)
    })
  )

  it.effect.each([
    ["INVALID_ARGUMENT", wrong],
    ["UNAUTHENTICATED", forbidden],
    ["PERMISSION_DENIED", forbidden],
    ["NOT_FOUND", wrong],
    ["ABORTED", ["ServerError", true, "rejected"]],
    ["RESOURCE_EXHAUSTED", throttled],
    ["INTERNAL", failed],
    ["UNAVAILABLE", ["ServerError", true, "rejected"]],
    ["DEADLINE_EXCEEDED", failed],
    ["SOMETHING_NEW", failed]
  ] as const)("without a code goes by its name: %s", ([status, expected]) =>
    Effect.gen(function* () {
      const { reason } = yield* Effect.flip(asking([sse({ error: { status, message: "x" } })]).stream)
      assert.deepStrictEqual(expectedOf(reason), expected)
    })
  )

  it.effect("says itself what it is, in one line", () =>
    Effect.gen(function* () {
      const body = problem(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents:\n  contents is not specified\n")
      const { message } = yield* Effect.flip(asking([{ status: 400, body }]).whole)
      assert.include(message, "(* GenerateContentRequest.contents: contents is not specified)")
      const page = yield* Effect.flip(asking([{ status: 502, body: "" }]).whole)
      assert.include(page.message, "status 502")
    })
  )
})

describe("an answer of Gemini that is none", () => {
  it.effect("is refused with the prompt", () =>
    Effect.gen(function* () {
      const asked = asking([{ status: 200, body: blocked }], { retries: 2, base: 1 })
      const streamed = asking([sse(blocked)], { retries: 2, base: 1 })
      for (const { reason } of [yield* Effect.flip(asked.whole), yield* Effect.flip(streamed.stream)]) {
        assert.deepStrictEqual(expectedOf(reason), ["ContentFiltered", false, "rejected"])
        assert.include(reason.message, "PROHIBITED_CONTENT")
      }
      assert.deepStrictEqual([asked.requests(), streamed.requests()], [1, 1])
    })
  )

  it.effect("is an answer all the same when only the answer is blocked, and no turn to give back", () =>
    Effect.gen(function* () {
      const body = { candidates: [{ finishReason: "SAFETY", index: 0 }], usageMetadata: { promptTokenCount: 12 } }
      const answer = yield* asking([{ status: 200, body }]).whole
      assert.deepInclude(answer, { text: "", finishReason: "contentFilter" })
      assert.deepStrictEqual(answer.message, { role: "assistant", content: "" })
      const cut = [candidate([{ text: "hel" }]), { candidates: [{ finishReason: "SAFETY" }] }]
      const told = (yield* asking([sse(...cut)]).stream).reduce(Llm.collect, Llm.collected)
      assert.strictEqual(told.text, "hel")
      assert.strictEqual(told.finish?.finishReason, "contentFilter")
    })
  )

  it.effect.each(["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])(
    "is asked for again when it ends with %s",
    (finishReason) =>
      Effect.gen(function* () {
        const call = { functionCall: { name: "f", args: {} } }
        const bad = candidate([call], finishReason)
        const { reason } = yield* Effect.flip(asking([{ status: 200, body: bad }]).whole)
        assert.deepStrictEqual(expectedOf(reason), ["InvalidResponse", true, "answered"])
        assert.include(reason.message, finishReason)
        const whole = asking([{ status: 200, body: bad }, hello], { retries: 1, base: 0 })
        assert.strictEqual((yield* whole.whole).text, "hello")
        const streamed = asking([sse(bad), sse(hello.body)], { retries: 1, base: 0 })
        const events = yield* streamed.stream
        assert.deepStrictEqual(
          events.map(({ type }) => type),
          ["text", "finish"]
        )
        assert.deepStrictEqual([whole.requests(), streamed.requests()], [2, 2])
      })
  )

  it.effect("is not asked for again behind the reader's back", () =>
    Effect.gen(function* () {
      const bad = sse(candidate([{ text: "Let me" }]), candidate([], "MALFORMED_FUNCTION_CALL"))
      const asked = asking([bad, sse(hello.body)], { retries: 1, base: 0 })
      const { reason } = yield* Effect.flip(asked.stream)
      assert.deepStrictEqual(expectedOf(reason), ["InvalidResponse", false, "answered"])
      assert.strictEqual(asked.requests(), 1)
      const restarted = asking([bad, sse(hello.body)], { retries: 1, base: 0 }, { onCut: "restart" })
      const events = yield* restarted.stream
      assert.deepStrictEqual(
        events.map(({ type }) => type),
        ["text", "reset", "text", "finish"]
      )
    })
  )

  it.effect.each([
    ["<html>hello</html>", "not JSON"],
    ["{}", "no candidates"],
    ["[]", "no candidates"],
    ["null", "no candidates"],
    ['{"usageMetadata":{"promptTokenCount":1}}', "no candidates"]
  ] as const)("is not what the protocol says: %s", ([body, words]) =>
    Effect.gen(function* () {
      const { reason } = yield* Effect.flip(asking([{ status: 200, body }]).whole)
      assert.deepStrictEqual(expectedOf(reason), ["InvalidResponse", true, "answered"])
      assert.include(reason.message, words)
      assert.isTrue(reason._tag === "InvalidResponse" && reason.excerpt === body)
    })
  )

  it.effect("is a chunk that is no JSON, or an end without a reason", () =>
    Effect.gen(function* () {
      const text = candidate([{ text: "hel" }])
      const garbage = yield* Effect.flip(asking([sse("{nonsense")]).stream)
      assert.deepStrictEqual(expectedOf(garbage.reason), ["InvalidResponse", true, "answered"])
      const later = yield* Effect.flip(asking([sse(text, "{nonsense")]).stream)
      assert.deepStrictEqual(expectedOf(later.reason), ["InvalidResponse", false, "answered"])
      const ended = yield* Effect.flip(asking([sse(text)]).stream)
      assert.deepInclude(ended.reason, { _tag: "StreamTruncated", partial: "hel", isRetryable: false })
      const empty = yield* Effect.flip(asking([sse({ usageMetadata: { promptTokenCount: 7 } })]).stream)
      assert.deepStrictEqual(expectedOf(empty.reason), ["StreamTruncated", true, "answered"])
    })
  )
})
