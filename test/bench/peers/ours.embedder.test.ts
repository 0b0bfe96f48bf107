/** Our embedders over the mock of others, and beside the official clients over our own fakes. */
import { isChatCompletionBody, LLMock } from "@copilotkit/aimock"
import { ApiError, GoogleGenAI } from "@google/genai"
import { Effect, Layer, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import { UndiciHttpClient } from "holdfast/http"
import { Embedder, GeminiEmbedder, OpenAiEmbedder } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Endpoint, startEndpoint } from "../../fixtures/endpoint.ts"

const key = "sk-secret"
const apiKey = Redacted.make(key)
const policy = Policy.make({ retry: { base: 1 }, retryBudget: false })
const openai = "text-embedding-3-small"
const gemini = "gemini-embedding-001"
const texts = ["a cat", "a dog", "une voiture 🚗"]

const run = <A, E>(
  effect: Effect.Effect<A, E, Embedder.Embedder>,
  layer: Layer.Layer<Embedder.Embedder, never, HttpClient.HttpClient>
): Promise<A> => Effect.runPromise(Effect.provide(effect, Layer.provide(layer, UndiciHttpClient.layer())))

const embed = (request: Embedder.Request) => Effect.flatMap(Embedder.Embedder, (embedder) => embedder.embed(request))

/** The nearest numbers of 32 bits: more than that no model has, and no more come in base64. */
const narrow = (vector: ReadonlyArray<number> = []): ReadonlyArray<number> => vector.map(Math.fround)

describe("OpenAiEmbedder over aimock", () => {
  const mock = new LLMock({ port: 0, auth: { apiKeys: [key] } })
  const layer = (encoding: "float" | "base64") =>
    OpenAiEmbedder.layer({ model: openai, apiKey, baseUrl: `${mock.url}/v1`, encoding, policy })

  beforeAll(async () => {
    mock.onEmbedding("house", { embedding: [0.5, -0.25, 1] })
    mock.on(
      { inputText: "busy", sequenceIndex: 0 },
      { error: { message: "Slow down", type: "rate_limit_error" }, status: 429, retryAfter: 0.01 }
    )
    mock.on({ inputText: "busy", sequenceIndex: 1 }, { embedding: [1, 0] })
    mock.on({ inputText: "locked" }, { error: { message: "Wrong key", type: "authentication_error" }, status: 401 })
    await mock.start()
  })
  afterAll(() => mock.stop())

  // aimock sends decimals whatever it is asked for, as many servers do.
  it.each(["base64", "float"] as const)("reads the vectors that it asks for as %s", async (encoding) => {
    const { attempts, model, usage, vectors } = await run(embed({ inputs: ["a house", "a tree"] }), layer(encoding))
    expect(vectors).toEqual([
      [0.5, -0.25, 1],
      [0.5, -0.25, 1]
    ])
    expect(model).toBe(openai)
    // aimock says that no tokens were used, which is no count: ours is an estimate then.
    expect(usage).toMatchObject({ outputTokens: 0, isEstimate: true })
    expect(usage.inputTokens).toBeGreaterThan(0)
    expect(attempts).toHaveLength(1)
    const { body, path, response } = mock.getLastRequest() ?? {}
    expect([path, response?.status]).toEqual(["/v1/embeddings", 200])
    if (!isChatCompletionBody(body)) throw new Error("not a request of ours")
    expect(body).toMatchObject({ model: openai, embeddingInput: "a house a tree" })
  })

  it("gives each text its own vector, as the official client reads it", async () => {
    const client = new OpenAI({ apiKey: key, baseURL: `${mock.url}/v1`, maxRetries: 0 })
    const params = { model: openai, input: texts, encoding_format: "float" as const, dimensions: 64 }
    const { data } = await client.embeddings.create(params)
    const { vectors } = await run(embed({ inputs: texts, dimensions: 64 }), layer("base64"))
    expect(vectors).toEqual(data.map(({ embedding }) => narrow(embedding)))
    expect(new Set(vectors.map(String)).size).toBe(texts.length)
  })

  it("tries a busy server again", async () => {
    const { attempts, vectors } = await run(embed({ inputs: ["busy"] }), layer("base64"))
    expect(vectors).toEqual([[1, 0]])
    expect(attempts.map(({ outcome, waitCause }) => [outcome, waitCause])).toEqual([
      ["RateLimited", "none"],
      ["ok", "retryAfter"]
    ])
  })

  it("asks once where the key is refused", async () => {
    const error = await run(Effect.flip(embed({ inputs: ["locked"] })), layer("base64"))
    expect(error).toMatchObject({ code: "Unauthorized", status: 401, inputs: 1, finished: 0 })
    expect(error.attempts).toHaveLength(1)
  })

  it("is as far as the official client where the server has no batchEmbedContents", async () => {
    // aimock has Gemini's embedContent alone, which neither calls: it is one text a request.
    const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: mock.url } })
    const theirs = await client.models.embedContent({ model: gemini, contents: texts }).then(
      () => undefined,
      (error: unknown) => (error instanceof ApiError ? error.status : error)
    )
    const layer = GeminiEmbedder.layer({ model: gemini, apiKey, baseUrl: mock.url, policy })
    const error = await run(Effect.flip(embed({ inputs: texts })), layer)
    expect(theirs).toBe(404)
    expect(error).toMatchObject({ code: "InvalidRequest", status: 404, isRetryable: false })
    expect(error.attempts).toHaveLength(1)
  })
})

describe("OpenAiEmbedder beside the official client", () => {
  let endpoint: Endpoint
  beforeAll(async () => {
    endpoint = await startEndpoint("openai")
  })
  afterAll(() => endpoint.close())

  it.each(["base64", "float"] as const)("reads the same vectors and usage, asked for as %s", async (encoding) => {
    const client = new OpenAI({ apiKey: key, baseURL: endpoint.url, maxRetries: 0 })
    const params = { model: openai, input: texts, dimensions: 12, encoding_format: encoding }
    // The client decodes base64 where it has asked for it by itself.
    const { encoding_format: _, ...byItself } = params
    const { data, model, usage } = await client.embeddings.create(encoding === "base64" ? byItself : params)
    const layer = OpenAiEmbedder.layer({ model: openai, apiKey, baseUrl: endpoint.url, encoding, policy })
    const answer = await run(embed({ inputs: texts, dimensions: 12 }), layer)
    // Its vectors come in the order in which they were sent.
    const sorted = data.toSorted((a, b) => a.index - b.index)
    expect(answer.vectors).toEqual(sorted.map(({ embedding }) => narrow(embedding)))
    expect(answer.usage).toMatchObject({ inputTokens: usage.prompt_tokens, outputTokens: 0 })
    expect(answer.model).toBe(model)
    const [theirs, ours] = endpoint.requests.slice(-2)
    expect(ours?.body).toEqual(theirs?.body)
  })

  it("reads decimals that come where base64 was asked for, as the official client does", async () => {
    const baseUrl = `${endpoint.url}/ignores-encoding`
    const client = new OpenAI({ apiKey: key, baseURL: baseUrl, maxRetries: 0 })
    const { data } = await client.embeddings.create({ model: openai, input: texts, dimensions: 12 })
    const layer = OpenAiEmbedder.layer({ model: openai, apiKey, baseUrl, policy })
    const { vectors } = await run(embed({ inputs: texts, dimensions: 12 }), layer)
    const sorted = data.toSorted((a, b) => a.index - b.index)
    expect(vectors).toEqual(sorted.map(({ embedding }) => narrow(embedding)))
    expect(vectors.map((vector) => vector.length)).toEqual([12, 12, 12])
    expect(endpoint.requests.at(-1)?.body).toMatchObject({ encoding_format: "base64" })
  })
})

describe("GeminiEmbedder beside the official client", () => {
  let endpoint: Endpoint
  beforeAll(async () => {
    endpoint = await startEndpoint("gemini")
  })
  afterAll(() => endpoint.close())

  it("asks for the same and reads the same vectors", async () => {
    const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: endpoint.url } })
    const config = { taskType: "RETRIEVAL_QUERY", outputDimensionality: 12 }
    const { embeddings = [] } = await client.models.embedContent({ model: gemini, contents: texts, config })
    const layer = GeminiEmbedder.layer({ model: gemini, apiKey, baseUrl: endpoint.url, policy })
    const { usage, vectors } = await run(embed({ inputs: texts, purpose: "query", dimensions: 12 }), layer)
    expect(vectors).toHaveLength(texts.length)
    expect(vectors).toEqual(embeddings.map(({ values }) => narrow(values)))
    // Gemini does not count them.
    expect(usage).toMatchObject({ isEstimate: true })
    const [theirs, ours] = endpoint.requests.slice(-2)
    expect([ours?.path, ours?.headers["x-goog-api-key"]]).toEqual([theirs?.path, theirs?.headers["x-goog-api-key"]])
    // The client says that the user speaks, which means nothing here.
    const spoken = JSON.stringify(theirs?.body).replaceAll(`,"role":"user"`, "").replaceAll(`"role":"user",`, "")
    expect(ours?.body).toEqual(JSON.parse(spoken))
  })
})
