/** The error classes of the promise client, as a plain program looks at them. */
import { createClient, Draining, EmbedderError, HttpError, LlmError, SandboxError, Shed } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { refusal, serve } from "./server.ts"

const nowhere = "http://127.0.0.1:9/v1"

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

/** The same modules once more, as when two versions of the package are installed. */
const copies = {
  llm: () => import("../../src/llm/LlmError.ts?copy" as string),
  embedder: () => import("../../src/llm/EmbedderError.ts?copy" as string),
  sandbox: () => import("../../src/sandbox/SandboxError.ts?copy" as string),
  policy: () => import("../../src/policy/PolicyError.ts?copy" as string),
  http: () => import("../../src/promise/Http.ts?copy" as string)
}

describe("errors", () => {
  it("are told by instanceof, and by isInstance across two copies of the package", async () => {
    await using client = createClient({
      llm: { provider: "openai", baseUrl: nowhere, model: "m" },
      embedder: { provider: "openai", baseUrl: nowhere, model: "m" },
      retry: { retries: 0 }
    })
    const failures = [
      [LlmError, await settled(client.generateText("hello")), (await copies.llm()).LlmError],
      [EmbedderError, await settled(client.embed("hello")), (await copies.embedder()).EmbedderError],
      [HttpError, await settled(client.http.get(nowhere)), (await copies.http()).HttpError],
      [SandboxError, await settled(client.executeCode("raise ValueError()")), (await copies.sandbox()).SandboxError]
    ] as const
    for (const [Class, error, Copy] of failures) {
      expect(error).toBeInstanceOf(Error)
      expect(error).toBeInstanceOf(Class)
      expect(Class.isInstance(error)).toBe(true)
      expect(error).not.toBeInstanceOf(Copy)
      expect(Copy.isInstance(error)).toBe(true)
      expect(Class.isInstance(new Error("another"))).toBe(false)
      expect([null, undefined, "LlmError", { _tag: Class.name }].some((other) => Class.isInstance(other))).toBe(false)
    }
    expect(LlmError.isInstance(failures[1][1])).toBe(false)
  }, 60_000)

  it("of a policy are told apart, across two copies too", async () => {
    const draining = new Draining({ key: "client" })
    const copy = await copies.policy()
    expect(Draining.isInstance(draining)).toBe(true)
    expect(Shed.isInstance(draining)).toBe(false)
    expect(copy.Draining.isInstance(draining)).toBe(true)
    expect(copy.isPolicyError(draining)).toBe(true)
    expect(copy.Shed.isInstance(draining)).toBe(false)
    expect(Draining.isInstance({ _tag: "Draining" })).toBe(false)
  })

  it("say their status, their request, how long to wait and what was tried, in plain values", async () => {
    await using server = await serve(refusal(429, { "retry-after": "7", "x-request-id": "req-1" }))
    await using client = createClient({
      llm: { provider: "openai", baseUrl: server.url, apiKey: "k", model: "m" },
      retry: { retries: 1, base: 1, maxRetryAfter: 0 }
    })
    const error = await settled(client.generateText("hello"))
    expect(error).toMatchObject({
      _tag: "LlmError",
      name: "LlmError",
      code: "RateLimited",
      status: 429,
      requestId: "req-1",
      retryAfterMs: 7000,
      isRetryable: true,
      partial: undefined
    })
    expect(LlmError.isInstance(error) && error.attempts).toHaveLength(1)
  })

  it("have the headers of a refusal, without the server's secrets and the caller's, and show them to nobody", async () => {
    const headers = { "x-ratelimit-limit-requests": "60", "set-cookie": "session=1", "x-echo": "you sent sk-secret" }
    await using server = await serve(refusal(429, headers))
    const endpoint = { provider: "openai", baseUrl: server.url, apiKey: "sk-secret", model: "m" } as const
    await using client = createClient({ llm: endpoint, embedder: endpoint, retry: { retries: 1, base: 1 } })
    const calls = [client.generateText("hello"), client.streamText("hello").result(), client.embed("hello")]
    for (const error of await Promise.all(calls.map(settled))) {
      if (!LlmError.isInstance(error) && !EmbedderError.isInstance(error)) throw error
      expect(error.headers).toMatchObject({ "x-ratelimit-limit-requests": "60", "x-echo": "you sent <redacted>" })
      expect(error.headers).not.toHaveProperty("set-cookie")
      expect(JSON.stringify(error)).not.toContain("x-echo")
    }
    await using pool = createClient({ llm: { provider: "pool", members: [endpoint] }, retry: { retries: 0 } })
    const { headers: told } = Object(await settled(pool.runTools([], "hello")))
    expect(told).toMatchObject({ "x-ratelimit-limit-requests": "60" })
    await using gone = createClient({ llm: { ...endpoint, baseUrl: nowhere }, retry: { retries: 0 } })
    const unreachable = await settled(gone.generateText("hello"))
    expect(unreachable).toMatchObject({ code: "Unreachable", headers: undefined })
  })

  it("keep their marks out of what is printed and sent on", async () => {
    const draining = new Draining({ key: "client" })
    expect(Object.getOwnPropertySymbols(draining).filter((symbol) => String(symbol).includes("holdfast"))).toEqual([])
    expect(JSON.stringify(draining)).not.toContain("true")
  })
})
