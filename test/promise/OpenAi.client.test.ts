/** `client.chat` of `createClient`: the same calls, over the model that the client was given. */
import {
  APIConnectionError,
  APIConnectionTimeoutError,
  AuthenticationError,
  BadRequestError,
  Completions,
  NotFoundError,
  OpenAIError
} from "holdfast/openai"
import { createClient } from "holdfast/promise"
import { afterEach, describe, expect, it, vi } from "vitest"
import { startEndpoint } from "../fixtures/endpoint.ts"
import { type Evolution, keyId, secret, startEvolution, tokenOf } from "../fixtures/evolution.ts"
import { inTurn, refusal, serve, text } from "./server.ts"

const asking = (content: string) => ({ model: "gpt-5.2", messages: [{ role: "user" as const, content }] })

const caught = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error
  )

describe("client.chat", () => {
  it.each([
    ["openai", "gpt-5.2"],
    ["deepseek", "deepseek-flash"]
  ] as const)(
    "asks the server of %s with the client's key and headers, whole and streamed",
    async (provider, model) => {
      await using endpoint = await startEndpoint(provider)
      const llm = { provider, model, baseUrl: endpoint.url, apiKey: "sk-test", headers: { "x-team": "a" } }
      await using client = createClient({ llm })
      const { completions } = client.chat
      expect(completions).toBeInstanceOf(Completions)
      const whole = await completions.create({ ...asking("text"), model })
      let said = ""
      for await (const { choices } of await completions.create({ ...asking("text"), model, stream: true })) {
        said += choices[0]?.delta.content ?? ""
      }
      expect(said).toBe("Paris is the capital of France.")
      expect(whole.choices[0]?.message.content).toBe(said)
      expect(endpoint.requests.map(({ headers }) => [headers.authorization, headers["x-team"]])).toEqual([
        ["Bearer sk-test", "a"],
        ["Bearer sk-test", "a"]
      ])
    }
  )

  it("holds by the client's policy and goes by its fetch", async () => {
    await using server = await serve(inTurn(refusal(500), text("yes"), refusal(404), () => {}))
    const urls: Array<string> = []
    await using client = createClient({
      llm: { provider: "openai", model: "some-model", baseUrl: server.url },
      retry: { base: 1 },
      timeout: { total: 2_000 },
      fetch: (input, init) => {
        urls.push(String(input instanceof Request ? input.url : input))
        return fetch(input, init)
      }
    })
    const { completions } = client.chat
    expect((await completions.create(asking("hello"))).choices[0]?.message.content).toBe("yes")
    expect(await caught(completions.create(asking("hello")))).toBeInstanceOf(NotFoundError)
    expect(await caught(completions.create(asking("hello")))).toBeInstanceOf(APIConnectionTimeoutError)
    expect(urls).toHaveLength(4)
  })

  it("is closed with the client", async () => {
    await using server = await serve(() => void client.close())
    const client = createClient({ llm: { provider: "openai", model: "some-model", baseUrl: server.url } })
    for (const _ of [1, 2]) {
      expect(await caught(client.chat.completions.create(asking("hello")))).toBeInstanceOf(APIConnectionError)
    }
    expect(server.headers).toHaveLength(1)
  })

  it("says whom it is for", async () => {
    await using client = createClient({ llm: { provider: "gemini", model: "some-model", apiKey: "k" } })
    const error = await caught(client.chat.completions.create(asking("hello")))
    expect(error).toBeInstanceOf(OpenAIError)
    expect(String(error)).toContain('llm.provider "openai", "deepseek" or "evolution"')
  })
})

const provider = "evolution"

/** What the model was shown, and what it answered to that. */
const shown = ({ modelRequests }: Evolution) =>
  modelRequests.map(({ headers, status }) => [headers.authorization, status])

describe("client.chat over Evolution", () => {
  afterEach(() => vi.unstubAllEnvs())

  it("changes a key pair for a token with the first call, and a refused one once for all who wait", async () => {
    await using cloud = await startEvolution()
    const { baseUrl, tokenUrl } = cloud
    await using client = createClient({ llm: { provider, keyId, secret, baseUrl, tokenUrl }, retry: { retries: 0 } })
    const { completions } = client.chat
    expect(cloud.tokenRequests).toHaveLength(0)
    const ask = async () => (await completions.create(asking("hello"))).choices[0]?.message.content
    expect(await Promise.all([ask(), ask(), ask()])).toEqual(["hello", "hello", "hello"])
    expect(cloud.tokenRequests).toEqual([{ keyId, secret }])
    cloud.revoke()
    expect(await Promise.all([ask(), ask(), ask()])).toEqual(["hello", "hello", "hello"])
    expect(cloud.tokenRequests).toHaveLength(2)
    expect(new Set(shown(cloud).map(String))).toEqual(
      new Set([`Bearer ${tokenOf(1)},200`, `Bearer ${tokenOf(1)},401`, `Bearer ${tokenOf(2)},200`])
    )
    expect(cloud.modelRequests[0]?.path).toBe("/v1/chat/completions")
  })

  it("streams with a token that is new after a refusal, and takes it out of what the server repeats", async () => {
    await using cloud = await startEvolution()
    const { baseUrl, tokenUrl } = cloud
    await using client = createClient({ llm: { provider, keyId, secret, baseUrl, tokenUrl }, retry: { retries: 0 } })
    const { completions } = client.chat
    await completions.create(asking("hello"))
    cloud.revoke()
    const chunk = { choices: [{ index: 0, delta: { content: "hello" }, finish_reason: "stop" }] }
    const headers = { "content-type": "text/event-stream" }
    cloud.answer = { status: 200, headers, body: `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n` }
    let said = ""
    for await (const { choices } of await completions.create({ ...asking("hello"), stream: true })) {
      said += choices[0]?.delta.content ?? ""
    }
    expect(said).toBe("hello")
    expect(shown(cloud).slice(1)).toEqual([
      [`Bearer ${tokenOf(1)}`, 401],
      [`Bearer ${tokenOf(2)}`, 200]
    ])
    cloud.answer = { status: 400, body: JSON.stringify({ error: { message: `no model for ${tokenOf(2)}` } }) }
    const error = await caught(completions.create(asking("hello")))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ message: "400 no model for <redacted>", cause: { provider } })
  })

  it("tells a refused key pair from a server that is not reached, and asks no model with either", async () => {
    await using cloud = await startEvolution()
    const { baseUrl, tokenUrl } = cloud
    const llm = { provider, keyId, secret: "another half", baseUrl, tokenUrl } as const
    await using client = createClient({ llm, retry: { retries: 0 } })
    const error = await caught(client.chat.completions.create(asking("hello")))
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ status: 401, cause: { code: "Unauthorized" } })
    expect(String(error)).toContain(`refuses the key pair with the keyId "${keyId}"`)
    cloud.replyTo = () => ({ status: 503, body: "" })
    expect(await caught(client.chat.completions.create(asking("hello")))).toBeInstanceOf(APIConnectionError)
    expect([cloud.tokenRequests.length, cloud.modelRequests.length]).toEqual([2, 0])
  })

  it("shows a static key by Cloud.ru's word or by OpenAI's, and asks for no token", async () => {
    await using cloud = await startEvolution()
    const { baseUrl } = cloud
    const llm = { provider, baseUrl, apiKey: "static-key", model: "some-model" } as const
    await using client = createClient({ llm })
    await using bearer = createClient({ llm: { ...llm, scheme: "Bearer", headers: { "x-team": "a" } } })
    for (const { chat } of [client, bearer]) await chat.completions.create(asking("hello"))
    expect(shown(cloud)).toEqual([
      ["Api-Key static-key", 200],
      ["Bearer static-key", 200]
    ])
    expect(cloud.modelRequests[1]?.headers["x-team"]).toBe("a")
    expect(cloud.tokenRequests).toHaveLength(0)
  })

  it("sends a static key to Foundation Models where no address is told", async () => {
    const sent: Array<readonly [string, string | null]> = []
    await using client = createClient({
      llm: { provider, apiKey: "static-key", model: "some-model" },
      fetch: async (input, init) => {
        const { headers, url } = new Request(input, init)
        sent.push([url, headers.get("authorization")])
        return Response.json({ choices: [{ message: { role: "assistant", content: "yes" }, finish_reason: "stop" }] })
      }
    })
    await client.chat.completions.create(asking("hello"))
    expect(sent).toEqual([["https://foundation-models.api.cloud.ru/v1/chat/completions", "Api-Key static-key"]])
  })

  it("reads what the options do not say from the environment, and names what is missing there", async () => {
    await using cloud = await startEvolution()
    for (const name of ["KEY_ID", "SECRET", "API_KEY", "TOKEN_URL"]) vi.stubEnv(`EVOLUTION_${name}`, "")
    vi.stubEnv("EVOLUTION_BASE_URL", cloud.baseUrl)
    const ask = async () => {
      await using client = createClient({ llm: { provider } })
      return await caught(client.chat.completions.create(asking("hello")))
    }
    const nothing = await ask()
    expect(nothing).toBeInstanceOf(OpenAIError)
    expect(String(nothing)).toMatch(/set EVOLUTION_KEY_ID, .* or give createClient llm\.keyId, .* or llm\.apiKey/)
    // Each call names its model, so that none is needed before.
    vi.stubEnv("EVOLUTION_API_KEY", "static-key")
    await ask()
    vi.stubEnv("EVOLUTION_KEY_ID", keyId)
    expect(String(await ask())).toContain("the key pair is not complete: set EVOLUTION_SECRET")
    vi.stubEnv("EVOLUTION_SECRET", secret)
    vi.stubEnv("EVOLUTION_TOKEN_URL", cloud.tokenUrl)
    await ask()
    expect(shown(cloud)).toEqual([
      ["Api-Key static-key", 200],
      [`Bearer ${tokenOf(1)}`, 200]
    ])
  })
})
