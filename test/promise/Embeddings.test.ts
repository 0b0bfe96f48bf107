import { createClient, DeadlineExceeded, Draining, EmbedderError, type EmbedderOptions } from "holdfast/promise"
import { afterEach, describe, expect, it, vi } from "vitest"
import { vectorOf } from "../fixtures/embeddings.ts"
import { type Name, startEndpoint } from "../fixtures/endpoint.ts"
import { serve } from "./server.ts"

afterEach(() => vi.unstubAllEnvs())

const make = (embedder: EmbedderOptions) => createClient({ embedder, retry: { retries: 0 } })

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

const providers: ReadonlyArray<readonly [Name & EmbedderOptions["provider"], Partial<EmbedderOptions>]> = [
  ["openai", {}],
  ["openai", { encoding: "float" }],
  ["gemini", {}]
]

const optionsOf = (provider: EmbedderOptions["provider"], baseUrl: string, more: object = {}): EmbedderOptions => ({
  provider,
  baseUrl,
  model: "some-model",
  apiKey: "sk-test",
  ...more
})

describe.each(providers)("embed, over %s with %j,", (provider, more) => {
  it("gives the vector of a text, and those of many in their order", async () => {
    await using endpoint = await startEndpoint(provider)
    await using client = make(optionsOf(provider, endpoint.url, { maxInputs: 2, ...more }))
    expect(await client.embed("a text")).toEqual(vectorOf("a text").map(Math.fround))
    const texts = ["a", "b", "c", "d", "e"]
    const { attempts, usage, vectors } = await client.embedMany(texts)
    expect(vectors).toEqual(texts.map((text) => vectorOf(text).map(Math.fround)))
    expect(attempts).toHaveLength(3)
    expect(usage.inputTokens).toBe(5)
    expect(await client.embedMany([])).toMatchObject({ vectors: [], attempts: [] })
  })

  it("says in a call what it wants, over what the client says", async () => {
    await using endpoint = await startEndpoint(provider)
    await using client = make(optionsOf(provider, endpoint.url, { dimensions: 4, ...more }))
    const derived = client.with({ headers: { "x-team": "a" } })
    expect(await derived.embed("a text")).toHaveLength(4)
    expect(await derived.embed("a text", { dimensions: 2, purpose: "query", headers: { "x-who": "b" } })).toHaveLength(
      2
    )
    expect(endpoint.requests.map(({ headers }) => [headers["x-team"], headers["x-who"]])).toEqual([
      ["a", undefined],
      ["a", "b"]
    ])
  })

  it("sends the key of a call with each of its requests, the same whenever it is sent again", async () => {
    await using endpoint = await startEndpoint(provider)
    await using client = make(optionsOf(provider, endpoint.url, { maxInputs: 1, concurrency: 1, ...more }))
    await settled(client.embedMany(["one", "two", "error-500"], { idempotencyKey: "key" }))
    const keys = endpoint.requests.map(({ headers }) => headers["idempotency-key"])
    expect(keys.slice(0, 3)).toEqual(["key", "key-2", "key-3"])
    expect(new Set(keys.slice(2))).toEqual(new Set(["key-3"]))
  })

  it("keeps what is finished when a part fails", async () => {
    await using endpoint = await startEndpoint(provider)
    await using client = make(optionsOf(provider, endpoint.url, { maxInputs: 1, concurrency: 1, ...more }))
    const error = await settled(client.embedMany(["one", "error-500", "three"]))
    if (!(error instanceof EmbedderError)) throw error
    expect(error).toMatchObject({ code: "ServerError", inputs: 3, finished: 1, status: 500 })
    expect(error.vectors).toEqual([vectorOf("one").map(Math.fround), undefined, undefined])
    expect(endpoint.requests).toHaveLength(2)
  })
})

describe("embed", () => {
  it("rejects with the signal's reason when it is aborted, and closes the connection", async () => {
    const asked = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<void>()
    await using server = await serve((response) => {
      response.once("close", () => closed.resolve())
      asked.resolve()
    })
    await using client = make(optionsOf("openai", server.url))
    const controller = new AbortController()
    const call = client.embed("a text", { signal: controller.signal })
    await asked.promise
    const reason = new Error("enough")
    controller.abort(reason)
    expect(await settled(call)).toBe(reason)
    await closed.promise
  })

  it("keeps one time for all requests of a call, and what is finished at its end", async () => {
    const body = JSON.stringify({ model: "some-model", data: [{ index: 0, embedding: [1, 2] }] })
    await using server = await serve((response, n) => void (n === 0 && response.end(body)))
    await using client = make(optionsOf("openai", server.url, { maxInputs: 1, concurrency: 1 }))
    const error = await settled(client.embedMany(["one", "two", "three"], { timeout: "1 second" }))
    if (!(error instanceof EmbedderError && error.reason instanceof DeadlineExceeded)) throw error
    expect(error.vectors).toEqual([[1, 2], undefined, undefined])
    // The second request had what the first one had left.
    expect(error.reason.totalMillis).toBeLessThan(1000)
    expect(server.headers).toHaveLength(2)
  })

  it("says what is missing when there is no embedder and no key", async () => {
    await using none = createClient({})
    expect(await settled(none.embed("a"))).toMatchObject({
      message: expect.stringMatching(/^this client has no embedder; .* embedder: \{ provider: "openai"/)
    })
    for (const name of ["OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_BASE_URL"])
      vi.stubEnv(name, "")
    for (const [provider, variable] of [
      ["openai", "OPENAI_API_KEY"],
      ["gemini", "GEMINI_API_KEY or GOOGLE_API_KEY"]
    ] as const) {
      await using client = make({ provider, model: "some-model" })
      const error = await settled(client.embed("a"))
      expect(error).toBeInstanceOf(EmbedderError)
      expect(error).toMatchObject({
        code: "Unauthorized",
        message: expect.stringMatching(
          new RegExp(`^embedder ${provider}: not authorized \\(no API key: set ${variable}.*embedder\\.apiKey\\)`)
        )
      })
    }
  })

  it("refuses what is no text before anything is sent, and calls after the closing", async () => {
    await using endpoint = await startEndpoint("openai")
    const client = make(optionsOf("openai", endpoint.url))
    expect(await settled(client.embed(""))).toMatchObject({ code: "InvalidRequest", finished: 0 })
    // @ts-expect-error: a text is no list
    expect(await settled(client.embedMany("many"))).toBeInstanceOf(TypeError)
    // @ts-expect-error: a number is no text
    expect(await settled(client.embedMany([42]))).toBeInstanceOf(TypeError)
    expect(endpoint.requests).toHaveLength(0)
    await client.close()
    expect(await settled(client.embed("a"))).toBeInstanceOf(Draining)
  })

  it("says which option is wrong", () => {
    const wrong = (embedder: object): string => {
      try {
        make(optionsOf("openai", "http://127.0.0.1:9/v1", embedder))
        return "accepted"
      } catch (error) {
        return error instanceof TypeError ? error.message : "another error"
      }
    }
    expect(wrong({ provider: "anthropic" })).toBe('embedder.provider: "anthropic" is not one of "openai", "gemini"')
    expect(wrong({ model: "" })).toBe("embedder.model: give the name of a model")
    expect(wrong({ baseUrl: "ftp://x" })).toMatch(/^embedder\.baseUrl: "ftp:\/\/x" is not an http\(s\) URL/)
    expect(wrong({ apiKey: 42 })).toBe("embedder.apiKey: this is a number, not a text")
    expect(wrong({ headers: { a: 1 } })).toMatch(/^embedder\.headers: /)
    expect(wrong({ maxInputs: 0 })).toMatch(/^embedder\.maxInputs: 0 /)
    expect(wrong({ maxTokensPerRequest: "many" })).toMatch(/^embedder\.maxTokensPerRequest: "many" /)
    expect(wrong({ encoding: "hex" })).toMatch(/^embedder\.encoding: "hex" is not one of "float", "base64"/)
    expect(wrong({ dimension: 3 })).toMatch(/^embedder\.dimension: there is no such option; there are .*dimensions/)
    expect(wrong({ provider: "gemini", encoding: "float" })).toMatch(/^embedder\.encoding: there is no such option/)
    expect(wrong({})).toBe("accepted")
  })
})
