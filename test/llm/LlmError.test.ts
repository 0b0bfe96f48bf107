/** What a caller can see of a failure: one line that a person can act on, the cause, and never a secret. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, LlmError, OpenAiLlm } from "holdfast/llm"
import { type Attempt, Policy, PolicyError, Retryable } from "holdfast/policy"
import { inspect } from "node:util"

const secret = "sk-very-secret-key"
const where = "openai http://llm.test/v1"
const cause = new Error("the machine's own words")
const description = "as the provider says"

const attempt = (outcome: string): Attempt.Attempt => ({
  endpoint: where,
  startMillis: 0,
  durationMillis: 1,
  outcome,
  waitMillis: 0,
  waitCause: "none",
  queuedMillis: 0
})

/** One of each. The compiler says when a reason is missing. */
const reasons: { readonly [Tag in LlmError.Reason["_tag"]]: Extract<LlmError.Reason, { readonly _tag: Tag }> } = {
  RateLimited: new LlmError.RateLimited({ description, status: 429, retryAfter: Duration.seconds(61) }),
  Overloaded: new LlmError.Overloaded({ description, status: 529 }),
  QuotaExhausted: new LlmError.QuotaExhausted({ description, status: 402 }),
  Unauthorized: new LlmError.Unauthorized({ description, status: 401 }),
  InvalidRequest: new LlmError.InvalidRequest({ description, status: 400 }),
  ContextLengthExceeded: new LlmError.ContextLengthExceeded({ description, status: 400 }),
  ContentFiltered: new LlmError.ContentFiltered({ description, status: 400 }),
  ServerError: new LlmError.ServerError({ description, status: 500 }),
  Unreachable: new LlmError.Unreachable({ description, cause }),
  ConnectionLost: new LlmError.ConnectionLost({ description, cause }),
  InvalidResponse: new LlmError.InvalidResponse({ description, excerpt: "<html>what came</html>" }),
  FirstContentTimeout: new LlmError.FirstContentTimeout({ timeoutMillis: 120 }),
  StreamStalled: new LlmError.StreamStalled({ timeoutMillis: 60, partial: "hel" }),
  StreamCut: new LlmError.StreamCut({ description, partial: "hel", cause }),
  StreamTruncated: new LlmError.StreamTruncated({ partial: "hel", delivered: true }),
  BodyTooLarge: new LlmError.BodyTooLarge({ limitBytes: 1024 }),
  ObjectMismatch: new LlmError.ObjectMismatch({
    issues: ["population: is missing"],
    answers: 3,
    usage: { inputTokens: 1, outputTokens: 2 },
    text: "{}"
  }),
  RoundsExceeded: new LlmError.RoundsExceeded({
    maxRounds: 8,
    tools: ["search"],
    usage: { inputTokens: 1, outputTokens: 2 }
  }),
  DeadlineExceeded: new PolicyError.DeadlineExceeded({ key: where, totalMillis: 10, phase: "maybeSent", cause }),
  AttemptTimeout: new PolicyError.AttemptTimeout({ key: where, timeoutMillis: 10 }),
  Shed: new PolicyError.Shed({ key: where, waiting: 3 }),
  Draining: new PolicyError.Draining({ key: where }),
  CircuitOpen: new PolicyError.CircuitOpen({ key: where, retryAfter: Duration.seconds(5) }),
  BudgetExceeded: new PolicyError.BudgetExceeded({
    key: where,
    budget: "run",
    unit: "USD",
    limit: 1,
    used: 0.9,
    wanted: 0.2
  })
}

const errorOf = (reason: LlmError.Reason, attempts = 3): LlmError.LlmError =>
  new LlmError.LlmError({
    provider: "openai",
    reason,
    attempts: Array.from({ length: attempts }, () => attempt(reason._tag))
  })

describe.each(Object.values(reasons).map((reason) => [reason._tag, reason] as const))("%s", (tag, reason) => {
  it("has a message of one line: what, where, after how many attempts", () => {
    const { message } = errorOf(reason)
    assert.match(message, /^llm openai http:\/\/llm\.test\/v1: \S.*\S \(after 3 attempts\)$/u)
    assert.notMatch(message, /\[object|undefined|NaN|[\p{Cc}\p{Zl}\p{Zp}]/u)
    assert.notMatch(errorOf(reason, 1).message, /after \d+ attempts/)
  })

  it("says itself what to do with it: by code, isRetryable and phase", () => {
    const error = errorOf(reason)
    assert.strictEqual(error.code, tag)
    assert.strictEqual(error.isRetryable, reason.isRetryable)
    assert.include(["notSent", "rejected", "maybeSent", "answered"], error.phase)
    assert.isTrue(Retryable.isRetryable(reason))
  })

  it("keeps its cause, and prints as one line and its place", () => {
    const error = errorOf(reason)
    assert.strictEqual(error.cause, reason.cause)
    const [first, second] = inspect(error).split("\n")
    assert.strictEqual(first, `LlmError [${tag}]: ${error.message}`)
    assert.match(second ?? "", /^ {4}at /)
    assert.strictEqual(String(error), `LlmError: ${error.message}`)
  })
})

describe("the last words of a message", () => {
  // A client that closes has nothing to advise.
  const silent = new Set(["Draining"])
  it.each(Object.values(reasons).filter(({ _tag }) => !silent.has(_tag)))("of $_tag say what to do", (reason) => {
    assert.match(errorOf(reason, 1).message, /; (?:[\w`'][^;]*)$/u)
  })
})

const once = Policy.make({ retry: { retries: 0 } })

/** `Llm` over a client that always does the same, in memory. */
const over = (client: HttpClient.HttpClient, apiKey = secret): Layer.Layer<Llm.Llm> =>
  OpenAiLlm.layer({ model: "m", apiKey: Redacted.make(apiKey), baseUrl: "http://llm.test/v1", policy: once }).pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
  )

const says = (status: number, body: string, type = "application/json"): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    Effect.succeed(
      HttpClientResponse.fromWeb(request, new Response(body, { status, headers: { "content-type": type } }))
    )
  )

const printed = (error: unknown): string =>
  [
    String(error),
    JSON.stringify(error),
    JSON.stringify(error, null, 2),
    inspect(error),
    inspect(error, { depth: 9, showHidden: true }),
    inspect({ nested: [error] }, { depth: 9 }),
    error instanceof Error ? `${error.message}\n${error.stack}\n${inspect(error.cause, { depth: 9 })}` : ""
  ].join("\n")

const echo = (fields: object): string => JSON.stringify({ error: fields })

describe("what a server says", () => {
  const failure = (client: HttpClient.HttpClient, apiKey?: string) =>
    Effect.flip(Effect.provide(Llm.generateText("hi"), over(client, apiKey)))

  const bodies: ReadonlyArray<readonly [string, number, string]> = [
    ["an error", 401, echo({ message: `Incorrect API key provided: ${secret}` })],
    ["a bad request", 400, echo({ message: `no such header: Bearer ${secret}`, code: secret })],
    ["an error that is a text", 400, JSON.stringify({ error: `you sent ${secret}` })],
    ["an error of a server on FastAPI", 422, JSON.stringify({ detail: `you sent ${secret}` })],
    ["a page", 404, `<html>\n<pre>authorization: Bearer ${secret}</pre>`],
    ["a page with status 200", 200, `<p>${secret}</p>`],
    ["an answer without choices", 200, JSON.stringify({ you: secret })],
    ["an error with status 200", 200, echo({ message: `bad key ${secret}`, type: "invalid_request_error" })]
  ]
  it.effect.each(bodies)("never shows the key that it repeats in %s", ([, status, body]) =>
    Effect.gen(function* () {
      const error = yield* failure(says(status, body))
      assert.instanceOf(error, LlmError.LlmError)
      assert.notInclude(printed(error), secret)
    })
  )

  it.effect("never shows the key that it repeats in a stream", () =>
    Effect.gen(function* () {
      for (const data of [echo({ message: `bad key ${secret}`, code: 400 }), `no json ${secret}`]) {
        const client = says(200, `event: error\ndata: ${data}\n\n`, "text/event-stream")
        const error = yield* Effect.flip(Effect.provide(Stream.runDrain(Llm.streamText("hi")), over(client)))
        assert.include(error.message, "<redacted>")
        assert.notInclude(printed(error), secret)
      }
    })
  )

  it.effect("is cut to one line, without terminal escapes", () =>
    Effect.gen(function* () {
      const said = `bad\r\n  request\u001B[31m red\u0007 \u2028next ${"x".repeat(5000)}`
      const { message } = yield* failure(says(400, echo({ message: said })))
      assert.notMatch(message, /[\p{Cc}\p{Zl}\p{Zp}]/u)
      assert.include(message, "(bad request [31m red next xxx")
      assert.isBelow(message.length, 700)
    })
  )

  it.effect("is kept as an excerpt of 1 kB that no print of the error shows", () =>
    Effect.gen(function* () {
      const { reason } = yield* failure(says(200, `<html>${secret}${"marker ".repeat(500)}`))
      if (reason._tag !== "InvalidResponse") return assert.fail(reason._tag)
      assert.isTrue(reason.excerpt.startsWith("<html><redacted>marker"))
      assert.strictEqual(reason.excerpt.length, 1024)
      assert.notInclude(Object.keys(reason), "excerpt")
      assert.notInclude(JSON.stringify(reason), "marker")
      assert.notInclude(inspect(reason), "marker")
    })
  )

  it.effect("is no object where a text belongs", () =>
    Effect.gen(function* () {
      for (const fields of [{ message: { deep: 1 } }, { code: {} }, [], 7, true]) {
        const { message } = yield* failure(says(418, JSON.stringify({ error: fields })))
        assert.include(message, "(status 418)")
        assert.notInclude(message, "[object")
      }
    })
  )
})

describe("what breaks before a server says anything", () => {
  it.effect("keeps the system's error as the cause", () =>
    Effect.gen(function* () {
      const system = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
      const refused = HttpClient.make((request) => {
        const reason = new HttpClientError.TransportError({ request, cause: system })
        return Effect.fail(new HttpClientError.HttpClientError({ reason }))
      })
      const llm = OpenAiLlm.layer({ model: "m" }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, refused)))
      const fiber = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), llm)).pipe(Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.code, "Unreachable")
      assert.strictEqual(error.cause, system)
      assert.include(inspect(error), "[cause]: Error: connect ECONNREFUSED")
    })
  )

  it.effect("does not show a base URL that is none: it may be the key in the wrong place", () =>
    Effect.gen(function* () {
      const llm = OpenAiLlm.layer({ model: "m", baseUrl: "not a url", provider: "p" }).pipe(
        Layer.provide(UndiciHttpClient.layer())
      )
      const error = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), llm))
      assert.include(error.message, "the base URL is no URL")
      assert.notInclude(error.message, "POST")
    })
  )

  it.effect("does not show a key that no header can carry", () =>
    Effect.gen(function* () {
      const llm = OpenAiLlm.layer({ model: "m", apiKey: Redacted.make(`${secret}\n`) }).pipe(
        Layer.provide(UndiciHttpClient.layer())
      )
      const error = yield* Effect.flip(Effect.provide(Llm.generateText("hi"), llm))
      assert.deepInclude(error, { code: "InvalidRequest", phase: "notSent" })
      assert.notInclude(printed(error), secret)
    })
  )
})
