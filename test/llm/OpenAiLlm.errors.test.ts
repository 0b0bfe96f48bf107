/** (status, headers, body) → (reason, retryable, phase, wait): the error tables of OpenAI, of DeepSeek and of the servers that speak like them. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { DeepSeekLlm, Llm, type LlmError, OpenAiLlm } from "holdfast/llm"
import { Policy, type Retryable } from "holdfast/policy"
import { errors } from "../fixtures/errors.ts"

interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

const options = { model: "m", apiKey: Redacted.make("sk-secret"), policy: Policy.make({ retry: { retries: 0 } }) }
const openai = OpenAiLlm.layer(options)
const deepseek = DeepSeekLlm.layer(options)

/** What a call fails with that is answered this. */
const reasonOf = ({ body, headers = {}, status }: Reply, llm = openai) => {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  const client = HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response(text, { status, headers })))
  )
  const call = Effect.provideService(Effect.provide(Llm.generateText("hi"), llm), HttpClient.HttpClient, client)
  return Effect.map(Effect.flip(call), ({ reason }) => reason)
}

type Read = readonly [
  tag: LlmError.Reason["_tag"],
  isRetryable: boolean,
  phase: Retryable.Phase,
  /** In milliseconds; `undefined` where the server did not say. */
  wait?: number
]

const readAs = (reason: LlmError.Reason): Read => {
  const start = [reason._tag, reason.isRetryable, reason.phase] as const
  const wait = "retryAfter" in reason ? reason.retryAfter : undefined
  return wait === undefined ? start : [...start, Duration.toMillis(wait)]
}

const invalid: Read = ["InvalidRequest", false, "rejected"]
const tooLong: Read = ["ContextLengthExceeded", false, "rejected"]
const unauthorized: Read = ["Unauthorized", false, "rejected"]
const quota: Read = ["QuotaExhausted", false, "rejected"]
const failed: Read = ["ServerError", true, "maybeSent"]
const unavailable: Read = ["ServerError", true, "rejected"]
const limited: Read = ["RateLimited", true, "rejected"]
const overloaded: Read = ["Overloaded", true, "rejected"]

/** By the cases of `fixtures/errors.ts`, which has what comes over the wire. */
const golden: Readonly<Record<"openai" | "deepseek", Readonly<Record<string, Read>>>> = {
  openai: {
    "error-400": invalid,
    "error-400-context_length_exceeded": tooLong,
    "error-400-unsupported_value": invalid,
    "error-400-unsupported_parameter": invalid,
    "error-400-content_filter": ["ContentFiltered", false, "rejected"],
    "error-400-numeric_code": tooLong,
    "error-400-detail": invalid,
    "error-401-invalid_api_key": unauthorized,
    "error-401-not_a_member": unauthorized,
    "error-401-ip_not_authorized": unauthorized,
    "error-403-unsupported_country_region_territory": unauthorized,
    "error-403-insufficient_permissions": unauthorized,
    "error-404-model_not_found": invalid,
    "error-408": unavailable,
    "error-409": unavailable,
    "error-422": invalid,
    "error-429-rate_limit_exceeded": ["RateLimited", true, "rejected", 20_000],
    "error-429-requests": ["RateLimited", true, "rejected", 120],
    "error-429-insufficient_quota": quota,
    "error-429-credit_balance_exhausted": quota,
    "error-500": failed,
    "error-500-plain": failed,
    "error-502": failed,
    "error-503": overloaded,
    "error-503-slow_down": ["Overloaded", true, "rejected", 2_000],
    "error-503-should_not_retry": ["ServerError", false, "rejected"],
    "error-504": failed
  },
  deepseek: {
    "error-400": invalid,
    "error-400-context_length": tooLong,
    "error-401": unauthorized,
    "error-402": quota,
    "error-404": invalid,
    "error-422": invalid,
    "error-429": limited,
    "error-500": failed,
    "error-502": failed,
    "error-503": overloaded
  }
}

/** The provider's own words in an error's body. */
const wordsOf = (body: unknown): string => {
  const told: { readonly error?: { readonly message?: string } } = typeof body === "object" && body !== null ? body : {}
  return told.error?.message ?? ""
}

const error = (fields: object): object => ({ error: { message: "x", ...fields } })

/** What is said in the two tables and is no row of the fixtures: other codes, other servers, proxies. */
const others: ReadonlyArray<readonly [Reply, ...Read]> = [
  [{ status: 307, body: "", headers: { location: "https://elsewhere.test" } }, ...invalid],
  [{ status: 400, body: error({ code: "context_window_exceeded" }) }, ...tooLong],
  [{ status: 400, body: { detail: "prompt is too long for this model" } }, ...tooLong],
  [{ status: 400, body: error({ type: "insufficient_quota" }) }, ...quota],
  [{ status: 403, body: "forbidden" }, ...unauthorized],
  [{ status: 404, body: "<html>nginx</html>" }, ...invalid],
  [{ status: 413, body: "" }, ...invalid],
  [{ status: 422, body: error({ code: 422 }) }, ...invalid],
  [{ status: 429, body: "" }, ...limited],
  [{ status: 429, body: error({}), headers: { "retry-after": "7" } }, "RateLimited", true, "rejected", 7_000],
  [
    { status: 429, body: error({}), headers: { "retry-after-ms": "70", "retry-after": "7" } },
    "RateLimited",
    true,
    "rejected",
    70
  ],
  [
    {
      status: 429,
      body: error({}),
      headers: { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s" }
    },
    "RateLimited",
    true,
    "rejected",
    90_000
  ],
  [{ status: 429, body: error({}), headers: { "x-should-retry": "false" } }, "RateLimited", false, "rejected"],
  [{ status: 400, body: error({}), headers: { "x-should-retry": "true" } }, ...unavailable],
  [{ status: 500, body: error({}), headers: { "x-should-retry": "false" } }, "ServerError", false, "maybeSent"],
  [{ status: 500, body: error({}), headers: { "retry-after": "3" } }, "ServerError", true, "maybeSent", 3_000],
  [{ status: 503, body: "" }, ...unavailable],
  [{ status: 520, body: "" }, ...overloaded],
  [{ status: 524, body: "" }, ...overloaded],
  [{ status: 529, body: error({ type: "overloaded_error" }) }, ...overloaded],
  // An error with a status of success.
  [{ status: 200, body: error({ type: "rate_limit_exceeded" }) }, ...limited],
  [{ status: 200, body: error({ code: 401 }) }, ...unauthorized],
  [{ status: 200, body: error({ type: "overloaded_error" }) }, ...overloaded],
  [{ status: 200, body: error({}) }, ...failed],
  [{ status: 200, body: "<html>" }, "InvalidResponse", true, "answered"],
  [{ status: 200, body: "{}" }, "InvalidResponse", true, "answered"]
]

describe("OpenAiLlm errors", () => {
  describe.each([
    { provider: "openai", llm: openai },
    { provider: "deepseek", llm: deepseek }
  ] as const)("of $provider", ({ llm, provider }) => {
    it("has each row of the provider's table", () => {
      const cases = errors[provider].map((row) => row.case)
      assert.sameMembers(Object.keys(golden[provider]), cases)
    })

    it.effect.each(errors[provider])("reads $case", (row) =>
      Effect.gen(function* () {
        const reason = yield* reasonOf(row, llm)
        assert.deepStrictEqual(readAs(reason), golden[provider][row.case])
        assert.strictEqual("status" in reason ? reason.status : undefined, row.status)
        // The provider's own words are told, on one line.
        assert.notMatch(reason.message, /[\r\n]/)
        const words = wordsOf(row.body)
        assert.include(reason.message, words.slice(0, 200))
      })
    )
  })

  it.effect.each(others)("reads %j as %s", ([reply, ...expected]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(readAs(yield* reasonOf(reply)), expected)
    })
  )

  it.effect("takes a model without resources for an overloaded provider", () =>
    Effect.gen(function* () {
      const choice = { message: { content: "" }, finish_reason: "insufficient_system_resource" }
      const reason = yield* reasonOf({ status: 200, body: { choices: [choice] } }, deepseek)
      assert.deepStrictEqual(readAs(reason), overloaded)
    })
  )

  it.effect("takes blanks in the place of JSON for no answer", () =>
    Effect.gen(function* () {
      const body = { choices: [{ message: { content: "   " }, finish_reason: "stop" }] }
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, Response.json(body)))
      )
      const request: Llm.Request = { messages: [{ role: "user", content: "hi" }], responseFormat: { type: "json" } }
      const call = Effect.provide(Llm.generateText(request), deepseek)
      const { reason } = yield* Effect.flip(Effect.provideService(call, HttpClient.HttpClient, client))
      assert.deepStrictEqual(readAs(reason), ["InvalidResponse", true, "answered"])
    })
  )
})
