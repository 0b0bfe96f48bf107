/** `client.chat`: what `holdfast/openai` has, over the model that the client was told of. */
import OpenAI, { APIError, APIUserAbortError } from "holdfast/openai"
import { createClient } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { refusal, serve, text } from "./server.ts"

const settled = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error
  )

const asking = { model: "m", messages: [{ role: "user" as const, content: "hello" }] }

describe("client.chat", () => {
  it("is the same class as in holdfast/openai, and one for each client", async () => {
    await using server = await serve(text("fine"))
    await using client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "m" } })
    await using openai = new OpenAI({ apiKey: "k", baseURL: server.url })
    expect(client.chat).toBe(client.chat)
    expect(client.chat).toBeInstanceOf(openai.chat.constructor)
    const [ours, theirs] = await Promise.all([client, openai].map(({ chat }) => chat.completions.create(asking)))
    expect(ours).toEqual(theirs)
    expect(ours?.choices[0]?.message.content).toBe("fine")
    expect(server.headers.map(({ authorization }) => authorization)).toEqual(["Bearer k", "Bearer k"])
  })

  it("goes by the client's policy, and fails with the package's errors", async () => {
    await using server = await serve(refusal(500))
    await using client = createClient({
      llm: { provider: "deepseek", apiKey: "k", baseUrl: server.url, model: "m" },
      retry: { retries: 2, base: 1 }
    })
    const error = await settled(client.chat.completions.create(asking))
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({ status: 500, cause: { code: "ServerError" } })
    expect(server.headers).toHaveLength(3)
  })

  it("is counted and interrupted when the client closes", async () => {
    await using server = await serve(() => {})
    const client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "m" } })
    const asked = settled(client.chat.completions.create(asking))
    await server.requested(1)
    expect(await client.close()).toEqual({ finished: 0, interrupted: 1 })
    expect(await asked).toMatchObject({ cause: { code: "Draining" } })
  })

  it("waits, while the client closes, for a call that was made before", async () => {
    await using server = await serve(text("fine"))
    const client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "m" } })
    const asked = settled(client.chat.completions.create(asking))
    const closed = client.close({ grace: "1 minute" })
    expect(await asked).toMatchObject({ value: { choices: [{ message: { content: "fine" } }] } })
    expect(await closed).toEqual({ finished: 1, interrupted: 0 })
    expect(await settled(client.chat.completions.create(asking))).toMatchObject({ cause: { code: "Draining" } })
  })

  it("has the defaults of the client that `with` made, over which a call's own go", async () => {
    await using server = await serve(text("fine"))
    await using client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "m" } })
    const derived = client.with({ headers: { "x-team": "blue", "x-app": "a" } })
    expect(derived.chat).toBe(derived.chat)
    expect(derived.chat).toBeInstanceOf(client.chat.constructor)
    await derived.chat.completions.create(asking, { headers: { "x-team": "red" } })
    await client.chat.completions.create(asking)
    expect(server.headers.map((headers) => [headers["x-app"], headers["x-team"]])).toEqual([
      ["a", "red"],
      [undefined, undefined]
    ])
  })

  it("ends with the signal, the timeout and the deadline of the client that `with` made", async () => {
    await using server = await serve(() => {})
    await using client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "m" } })
    const stop = new AbortController()
    const aborted = settled(client.with({ signal: stop.signal }).chat.completions.create(asking))
    await server.requested(1)
    stop.abort(new Error("enough"))
    expect(await aborted).toBeInstanceOf(APIUserAbortError)
    const late = { cause: { code: "DeadlineExceeded" } }
    const brief = client.with({ timeout: 100 }).chat.completions
    expect(await settled(brief.create(asking))).toMatchObject(late)
    // A call's own time is that of one send: the whole call still ends with the client's.
    expect(await settled(brief.create(asking, { timeout: 60_000 }))).toMatchObject(late)
    const over = client.with({ deadline: new Date(Date.now() + 100) }).chat.completions
    expect(await settled(over.create({ ...asking, stream: true }))).toMatchObject(late)
  })

  it("says for which models it is where it is asked with another one", async () => {
    await using client = createClient({ llm: { provider: "anthropic", apiKey: "k", model: "m" } })
    expect(await settled(client.chat.completions.create(asking))).toMatchObject({
      message: expect.stringContaining('client.chat is for llm.provider "openai", "deepseek" or "evolution"')
    })
  })
})
