/** `client.chat` of `createClient`: the same calls, over the model that the client was given. */
import { APIConnectionError, APIConnectionTimeoutError, Completions, NotFoundError, OpenAIError } from "holdfast/openai"
import { createClient } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { startEndpoint } from "../fixtures/endpoint.ts"
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
    expect(String(error)).toContain('llm.provider "openai" or "deepseek"')
  })
})
