import { type Client, type ClientOptions, createClient, LlmError, type RetryEvent } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { inTurn, refusal, type Server, serve, text } from "./server.ts"

const make = (server: Server, options: Omit<ClientOptions, "llm">): Client =>
  createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "some-model" }, ...options })

describe("retry", () => {
  it("tells `onRetry` of each wait, and waits for it", async () => {
    await using server = await serve(inTurn(refusal(503), refusal(429), text("hello")))
    const events: Array<RetryEvent> = []
    let requestsAtHook = 0
    const onRetry = async (event: RetryEvent): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve))
      requestsAtHook = server.headers.length
      events.push(event)
    }
    await using client = make(server, { retry: { base: 1, jitter: "none", onRetry } })
    expect((await client.generateText("?")).text).toBe("hello")
    expect(events.map(({ retry, waitMs, cause }) => ({ retry, waitMs, cause }))).toEqual([
      { retry: 1, waitMs: 1, cause: "backoff" },
      { retry: 2, waitMs: 2, cause: "backoff" }
    ])
    expect(events.map(({ error }) => error)).toMatchObject([{ _tag: "ServerError" }, { _tag: "RateLimited" }])
    expect(requestsAtHook).toBe(2)
  })

  it("goes on when `onRetry` fails", async () => {
    await using server = await serve(inTurn(refusal(503), refusal(503), text("hello")))
    let calls = 0
    const onRetry = (): Promise<void> => {
      if (++calls === 1) throw new Error("thrown")
      return Promise.reject(new Error("rejected"))
    }
    await using client = make(server, { retry: { base: 1, onRetry } })
    expect((await client.generateText("?")).text).toBe("hello")
    expect(calls).toBe(2)
  })

  it("asks `retryIf` which failures to try again", async () => {
    await using server = await serve(inTurn(refusal(503), text("hello")))
    await using client = make(server, { retry: { base: 1, retryIf: () => false } })
    await expect(client.generateText("?")).rejects.toMatchObject({ code: "ServerError" })
    expect(server.headers).toHaveLength(1)
  })

  it("tries results again that `retryWhen` does not want", async () => {
    await using server = await serve(inTurn(text(""), text("hello")))
    const retryWhen = (value: unknown): boolean =>
      typeof value === "object" && value !== null && "text" in value && value.text === ""
    await using client = make(server, { retry: { base: 1, retryWhen } })
    expect((await client.generateText("?")).text).toBe("hello")
  })

  it("reads failures by `classify`, or leaves them to themselves", async () => {
    await using server = await serve(inTurn(refusal(400), refusal(503), text("hello")))
    const waits: Array<number> = []
    const retry = {
      base: 1,
      classify: (error: unknown) =>
        error instanceof Error && "_tag" in error && error._tag === "InvalidRequest"
          ? ({ isRetryable: true, retryAfter: "20ms", phase: "rejected" } as const)
          : undefined,
      onRetry: ({ waitMs }: RetryEvent) => void waits.push(waitMs)
    }
    await using client = make(server, { retry })
    expect((await client.generateText("?")).text).toBe("hello")
    expect(waits[0]).toBe(20)
    expect(waits).toHaveLength(2)
  })

  it("waits at least `minDelay`", async () => {
    await using server = await serve(inTurn(refusal(503), text("hello")))
    await using client = make(server, { retry: { base: 1, minDelay: "30ms" } })
    const { attempts } = await client.generateText("?")
    expect(attempts[1]?.waitMillis).toBe(30)
  })

  it("names what is wrong with its options in one line", () => {
    const wrong = (retry: object): string => {
      try {
        createClient({ retry })
        return "accepted"
      } catch (error) {
        return error instanceof TypeError ? error.message : "another error"
      }
    }
    expect(wrong({ maxRetries: 5 })).toMatch(/^retry\.maxRetries: there is no such option; there are retries, /)
    expect(wrong({ onRetry: "log" })).toBe('retry.onRetry: "log" is not a function')
    expect(wrong({ jitter: "some" })).toBe('retry.jitter: "some" is not one of full, equal, none')
    expect(wrong({ resend: true })).toBe("retry.resend: true is not one of safe, always")
    expect(wrong({ retries: "3" })).toBe('retry.retries: "3" is not a number of at least 0')
    expect(wrong({ minDelay: "soon" })).toMatch(/^retry\.minDelay: "soon" is not a time/)
    expect(wrong({ retries: 0, factor: 1, minDelay: 5, jitter: "equal", onRetry: () => {} })).toBe("accepted")
  })
})

describe("slots", () => {
  it("are waited for no longer than `maxWait`", async () => {
    let release = (): void => {}
    await using server = await serve((response, n) => {
      release = () => text("late")(response, n)
    })
    await using client = make(server, { maxConcurrency: 1, maxWait: "10ms" })
    const first = client.generateText("?")
    await server.requested(1)
    const error: unknown = await client.generateText("?").catch((error: unknown) => error)
    expect(error).toBeInstanceOf(LlmError)
    expect(error).toMatchObject({ code: "Shed" })
    release()
    expect((await first).text).toBe("late")
  })
})

describe("client.with", () => {
  it("gives its calls their defaults, which a call can change", async () => {
    await using server = await serve((response, n) => (n === 0 ? undefined : text("hello")(response, n)))
    await using client = make(server, {})
    const hurried = client.with({ timeout: "20ms", headers: { "x-team": "a", "x-run": "1" } })
    await expect(hurried.generateText("?")).rejects.toMatchObject({ code: "DeadlineExceeded" })
    const patient = hurried.with({ headers: { "x-run": "2" } })
    await patient.generateText("?", { timeout: "1 minute", headers: { "x-call": "c" } })
    expect(server.headers[1]).toMatchObject({ "x-team": "a", "x-run": "2", "x-call": "c" })
    await client.generateText("?", { timeout: undefined })
    expect(server.headers[2]).not.toHaveProperty("x-team")
  })

  it("keeps a request's own headers beside them", async () => {
    await using server = await serve(text("hello"))
    await using client = make(server, {})
    const request = { messages: [{ role: "user", content: "?" }], headers: { "x-own": "1" } } as const
    await client.with({ headers: { "x-team": "a" } }).generateText(request)
    await client.with({ timeout: "1 minute" }).generateText(request, { idempotencyKey: "key-1" })
    expect(server.headers[0]).toMatchObject({ "x-own": "1", "x-team": "a" })
    expect(server.headers[1]).toMatchObject({ "x-own": "1", "idempotency-key": "key-1" })
  })

  it("shares the slots of its client, and closes with it", async () => {
    let inFlight = 0
    let most = 0
    await using server = await serve((response, n) => {
      most = Math.max(most, ++inFlight)
      setImmediate(() => {
        inFlight--
        text("hello")(response, n)
      })
    })
    const client = make(server, { maxConcurrency: 1 })
    const derived = client.with({ timeout: "1 minute" })
    await Promise.all([client, derived, client, derived].map((one) => one.generateText("?")))
    expect(most).toBe(1)
    await client.close()
    await expect(derived.generateText("?")).rejects.toMatchObject({ code: "Draining" })
  })
})
