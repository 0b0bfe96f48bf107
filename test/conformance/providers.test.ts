/**
 * The rows of the failure table that depend on the wire format, for Anthropic and Gemini: over fakes that their official
 * clients accept, through both doors. What depends on the connection alone is tested with OpenAI's format.
 */
import { Effect, Layer, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { assert as assertEffect, it as itEffect } from "@effect/vitest"
import { Fiber } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { AnthropicLlm, GeminiLlm, Llm, LlmError } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { type ClientOptions, createClient } from "holdfast/promise"
import { TestHttpClient } from "holdfast/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { weather } from "../contract/Llm.ts"
import { deltasOf, type Endpoint, type Name, readFixture, startEndpoint } from "../fixtures/endpoint.ts"
import { findError } from "../fixtures/errors.ts"

interface Options {
  readonly retry?: { readonly maxRetryAfter?: number }
  readonly timeout?: { readonly firstContent?: number; readonly idleContent?: number; readonly total?: number }
}

interface Outcome {
  readonly events: ReadonlyArray<Llm.StreamEvent>
  readonly text: string
  readonly error: LlmError.LlmError | undefined
  readonly attempts: ReadonlyArray<string>
}

type Make = (baseUrl: string, policy: Policy.Policy) => Layer.Layer<Llm.Llm, never, HttpClient.HttpClient>

const apiKey = "sk-secret"

const providers = [
  {
    name: "anthropic",
    make: ((baseUrl, policy) =>
      AnthropicLlm.layer({ model: "m", apiKey: Redacted.make(apiKey), baseUrl, policy })) satisfies Make,
    quota: ["error-402", "error-400-spend_limit", "error-400-credit_balance", "error-429-enforced_spend_limit_reached"],
    overload: "error-529",
    throttle: { row: "error-429-ramp_limit_exceeded", seconds: 15 },
    failed: "error-500"
  },
  {
    name: "gemini",
    make: ((baseUrl, policy) =>
      GeminiLlm.layer({ model: "m", apiKey: Redacted.make(apiKey), baseUrl, policy })) satisfies Make,
    quota: ["error-402", "error-429-daily"],
    overload: "error-503",
    throttle: { row: "error-429-RESOURCE_EXHAUSTED", seconds: 34 },
    failed: "error-500"
  }
] as const

const outcome = (events: ReadonlyArray<Llm.StreamEvent>, error: unknown): Outcome => {
  const { finish, text } = events.reduce(Llm.collect, Llm.collected)
  if (error !== undefined && !(error instanceof LlmError.LlmError)) throw error
  const attempts = (error?.attempts ?? finish?.attempts ?? []).map((attempt) => attempt.outcome)
  return { events, text, error, attempts }
}

/** Asks as a stream; whole where the case needs it. */
type Ask = (url: string, request: Llm.Request, options: Options) => Promise<Outcome>

interface Door {
  readonly door: string
  readonly stream: Ask
  readonly whole: Ask
}

const throughLlm = (make: Make): Door => {
  const run = async (
    url: string,
    options: Options,
    ask: (events: Array<Llm.StreamEvent>) => Effect.Effect<void, LlmError.LlmError, Llm.Llm>
  ): Promise<Outcome> => {
    const events: Array<Llm.StreamEvent> = []
    const policy = Policy.make({ retry: { base: 1, ...options.retry }, timeout: options.timeout })
    const layer = Layer.provide(make(url, policy), UndiciHttpClient.layer())
    const failed = Effect.catch(Effect.as(ask(events), undefined), (error) => Effect.succeed(error))
    return outcome(events, await Effect.runPromise(Effect.provide(failed, layer)))
  }
  return {
    door: "Llm",
    stream: (url, request, options) =>
      run(url, options, (events) =>
        Stream.runForEach(Llm.streamText(request), (event) => Effect.sync(() => void events.push(event)))
      ),
    whole: (url, request, options) =>
      run(url, options, (events) =>
        Effect.map(Llm.generateText(request), ({ raw: _raw, text, ...end }) => {
          events.push({ type: "text", text }, { type: "finish", ...end })
        })
      )
  }
}

const throughClient = (provider: "anthropic" | "gemini"): Door => {
  const run = async (
    url: string,
    options: Options,
    ask: (client: ReturnType<typeof createClient>, events: Array<Llm.StreamEvent>) => Promise<void>
  ): Promise<Outcome> => {
    const events: Array<Llm.StreamEvent> = []
    const settings: ClientOptions = {
      llm: { provider, model: "m", apiKey, baseUrl: url },
      retry: { base: 1, ...options.retry },
      timeout: options.timeout
    }
    await using client = createClient(settings)
    try {
      await ask(client, events)
      return outcome(events, undefined)
    } catch (error) {
      return outcome(events, error)
    }
  }
  return {
    door: "promise client",
    stream: (url, request, options) =>
      run(url, options, async (client, events) => {
        for await (const event of client.streamText(request)) events.push(event)
      }),
    whole: (url, request, options) =>
      run(url, options, async (client, events) => {
        const { raw: _raw, text, ...end } = await client.generateText(request)
        events.push({ type: "text", text }, { type: "finish", ...end })
      })
  }
}

const text = "Paris is the capital of France."

describe.each(providers)("$name", ({ failed, make, name, overload, quota, throttle }) => {
  let endpoint: Endpoint
  beforeAll(async () => {
    endpoint = await startEndpoint(name satisfies Name)
  })
  afterAll(() => endpoint.close())

  /** A case of its own: the endpoint counts by the whole first line, and each call is the first of its words. */
  const asking = (said: string, more: Partial<Llm.Request> = {}): Llm.Request => ({
    messages: [{ role: "user", content: said }],
    maxTokens: 256,
    ...more
  })

  const since = (): (() => Endpoint["requests"]) => {
    const before = endpoint.requests.length
    return () => endpoint.requests.slice(before)
  }

  const aborted = async (requests: () => Endpoint["requests"], count: number): Promise<void> => {
    await expect.poll(() => requests().filter(({ isAborted }) => isAborted).length, { timeout: 5000 }).toBe(count)
  }

  describe.each([throughLlm(make), throughClient(name)])("through the $door", ({ door, stream, whole }) => {
    const base = (): string => endpoint.url
    /** Both doors ask with words of their own, since the endpoint counts by them. */
    const own = (fixture: string): string => (door === "Llm" ? fixture.replace(/^text/, "length") : fixture)
    const expected = door === "Llm" ? "Paris is" : text

    it("stall-keepalive: pings are no content, and a stall is never a success", async () => {
      const requests = since()
      const { error, text } = await stream(base(), asking("text@stall:2"), { timeout: { idleContent: 150 } })
      expect(error?.reason).toMatchObject({ _tag: "StreamStalled", partial: text, timeoutMillis: 150 })
      expect(text).not.toBe("")
      await aborted(requests, 1)
    })

    it("stall-first: no content in time is retried, and then told", async () => {
      const requests = since()
      const { attempts } = await stream(base(), asking("text@stall:0"), { timeout: { firstContent: 150 } })
      expect(attempts).toEqual(["FirstContentTimeout", "FirstContentTimeout"])
      await aborted(requests, 2)
    })

    it("cut-socket: what arrived is kept in the error, and nothing is sent again", async () => {
      const requests = since()
      const { error, text: said } = await stream(base(), asking("text@cut:2"), {})
      expect(error?.reason).toMatchObject({ _tag: "StreamCut", partial: said })
      expect(text.startsWith(said)).toBe(true)
      expect(requests()).toHaveLength(1)
    })

    it("cut-socket: a cut before the first content is retried", async () => {
      const { attempts, text: said } = await stream(base(), asking(own("text@cut:0*1")), {})
      expect(said).toBe(expected)
      expect(attempts).toEqual(["ConnectionLost", "ok"])
    })

    it("end-early: an end without a finish marker is not an answer", async () => {
      const requests = since()
      const { error, text: said } = await stream(base(), asking("text@end:3"), {})
      expect(error?.reason).toMatchObject({ _tag: "StreamTruncated", partial: said })
      expect(requests()).toHaveLength(1)
    })

    it("error-in-stream: an error before any content is retried, and one after it ends the stream", async () => {
      const early = await stream(base(), asking(own("text@error:0*1")), {})
      expect(early.text).toBe(expected)
      expect(early.attempts).toHaveLength(2)
      const late = await stream(base(), asking("text@error:2"), {})
      expect(late.error?.code).toBe(early.attempts[0])
      expect(late.text).not.toBe("")
      expect(late.attempts).toHaveLength(1)
    })

    it("quota: an empty account is asked once", async () => {
      for (const row of quota) {
        const requests = since()
        const { error } = await whole(base(), asking(row), {})
        expect([row, error?.code, error?.isRetryable]).toEqual([row, "QuotaExhausted", false])
        expect(requests()).toHaveLength(1)
      }
    })

    it("overload: a busy provider is asked again", async () => {
      const { attempts, text: said } = await whole(base(), asking(own(`text@${overload}*1`)), {})
      expect(said).toBe(expected)
      expect(attempts).toEqual(["Overloaded", "ok"])
    })

    it("retry-after-long: a wait past maxRetryAfter fails now", async () => {
      const requests = since()
      const { error } = await whole(base(), asking(throttle.row), { retry: { maxRetryAfter: 10_000 } })
      expect(error?.code).toBe("RateLimited")
      expect(Math.floor((error?.retryAfterMillis ?? 0) / 1000)).toBe(throttle.seconds)
      expect(requests()).toHaveLength(1)
    })

    it("retry-after-deadline: a wait that the deadline does not leave fails now", async () => {
      const requests = since()
      const { error } = await whole(base(), asking(throttle.row), { timeout: { total: 10_000 } })
      expect(error?.reason).toMatchObject({ _tag: "RateLimited", wouldExceedDeadline: true })
      expect(requests()).toHaveLength(1)
    })

    it("exhausted: a server that is down for ever is an error with its story", async () => {
      const requests = since()
      const { error } = await whole(base(), asking(failed), {})
      expect(error?.attempts.map(({ outcome, phase }) => [outcome, phase])).toEqual(
        Array.from({ length: 3 }, () => ["ServerError", "maybeSent"])
      )
      expect(requests()).toHaveLength(3)
    })

    it("unknown-fields: fields, values and events that nobody knows yet are accepted", async () => {
      for (const ask of [stream, whole]) expect((await ask(base(), asking("extras"), {})).text).toBe(text)
    })

    it("utf8-split: characters cut anywhere give the exact text", async () => {
      for (const ask of [stream, whole]) {
        expect((await ask(base(), asking("unicode"), {})).text).toBe("naïve 🎉🚀 日本語")
        expect((await ask(base(), asking("text@bytes"), {})).text).toBe(text)
      }
    })

    it("tool-cut: a stream that is cut inside a tool call delivers none", async () => {
      const tools = [weather, { name: "get_time" }]
      for (let deltas = 1; deltas < deltasOf(name, "tools"); deltas++) {
        const { error, events } = await stream(base(), asking(`tools@cut:${deltas}`, { tools }), {})
        expect(error?.phase).toBe("answered")
        expect(events.filter(({ type }) => type === "toolCall" || type === "finish")).toEqual([])
      }
    })
  })

  const reply = (status: number, body: string, headers: Readonly<Record<string, string>>): Response =>
    new Response(body, { status, headers })

  itEffect.effect("retry-after-forms: the provider's own form is the minimum wait", () =>
    Effect.gen(function* () {
      const row = findError(name, throttle.row)
      assertEffect.isDefined(row)
      let sent = 0
      const http = TestHttpClient.layer(() =>
        Effect.sync(() =>
          ++sent === 1
            ? reply(row?.status ?? 0, JSON.stringify(row?.body), row?.headers ?? {})
            : reply(200, readFixture(name, "text", "json"), { "content-type": "application/json" })
        )
      )
      const layer = Layer.provide(make("http://llm.test", Policy.make({ retry: { jitter: "none" } })), http)
      const fiber = yield* Effect.forkChild(Effect.provide(Llm.generateText(asking("hi")), layer))
      yield* TestClock.adjust(`${throttle.seconds - 1} seconds`)
      assertEffect.strictEqual(sent, 1)
      yield* TestClock.adjust("2 seconds")
      const { attempts } = yield* Fiber.join(fiber)
      assertEffect.deepStrictEqual(
        attempts.map(({ waitCause }) => waitCause),
        ["none", "retryAfter"]
      )
    })
  )

  itEffect.effect(
    "garbage-json: what is not the protocol is retried, and told with an excerpt that logs do not show",
    () =>
      Effect.gen(function* () {
        let sent = 0
        const page = "<html>502 Bad Gateway</html>"
        const http = TestHttpClient.layer(() =>
          Effect.sync(() => {
            sent++
            return reply(200, page, { "content-type": "text/html" })
          })
        )
        const layer = Layer.provide(make("http://llm.test", Policy.make({ retry: { base: 0 } })), http)
        for (const call of [Llm.generateText(asking("hi")), Stream.runDrain(Llm.streamText(asking("hi")))]) {
          sent = 0
          const error = yield* Effect.flip(Effect.provide(call, layer))
          assertEffect.strictEqual(sent, 3)
          assertEffect.isTrue(error.reason._tag === "InvalidResponse" && error.reason.excerpt === page)
          assertEffect.notInclude(JSON.stringify(error), "Bad Gateway")
        }
      })
  )
})
