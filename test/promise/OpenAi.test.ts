/** What `holdfast/openai` does that the package does not: the policy under it, and how its failures are told. */
import { getEventListeners } from "node:events"
import type { ServerResponse } from "node:http"
import { inspect } from "node:util"
import OpenAI, { ChatCompletionStream, OpenAIError } from "holdfast/openai"
import { LlmError } from "holdfast/promise"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Endpoint, startEndpoint } from "../fixtures/endpoint.ts"
import { inTurn, refusal, serve, text } from "./server.ts"

let endpoint: Endpoint
let client: OpenAI
const unheard: Array<unknown> = []
const onUnheard = (reason: unknown): void => void unheard.push(reason)

beforeAll(async () => {
  process.on("unhandledRejection", onUnheard)
  endpoint = await startEndpoint("openai")
})
beforeEach(() => {
  unheard.length = 0
  client = make({ baseURL: endpoint.url })
})
afterAll(async () => {
  await endpoint.close()
  process.off("unhandledRejection", onUnheard)
})

const make = ({ policy, ...options }: OpenAI.ClientOptions = {}) =>
  new OpenAI({ apiKey: "sk-test", ...options, policy: { ...policy, retry: { base: 1, ...policy?.retry } } })

const asking = (content: string) => ({ model: "gpt-5.2", messages: [{ role: "user" as const, content }] })

const ask = (content: string, options?: OpenAI.RequestOptions, by = client) =>
  by.chat.completions.create(asking(content), options)

const stream = (content: string, options?: OpenAI.RequestOptions, by = client) =>
  by.chat.completions.create({ ...asking(content), stream: true }, options)

const caught = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error
  )

/** The text of a stream, and what it ended with. `onText` is told of all of it until now. */
const read = async (chunks: AsyncIterable<OpenAI.ChatCompletionChunk>, onText: (said: string) => void = () => {}) => {
  let said = ""
  try {
    for await (const chunk of chunks) {
      said += chunk.choices[0]?.delta.content ?? ""
      if (said !== "") onText(said)
    }
    return { said, error: undefined }
  } catch (error) {
    return { said, error }
  }
}

/** Ours inside an error of the package's. */
const ours = (error: unknown): LlmError => {
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof LlmError) return cause
  throw new TypeError(`this has no LlmError as its cause: ${inspect(error)}`)
}

/** How often this was asked for, since the beginning. */
const sent = (content: string): number =>
  endpoint.requests.filter(({ body }) => JSON.stringify(body).includes(JSON.stringify(content))).length

/** Rejections that nobody handles are told by then. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe("a stream", () => {
  it("that ends without its finish marker is an error, never an answer", async () => {
    const { error, said } = await read(await stream("text@end:3"))
    expect(said).toBe("Paris is the")
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(ours(error)).toMatchObject({ code: "StreamTruncated", reason: { partial: "Paris is the" } })
    const helper = client.chat.completions.stream(asking("text@end:4"))
    expect(ours(await caught(helper.finalContent()))).toMatchObject({ code: "StreamTruncated" })
    expect(helper.errored).toBe(true)
  })

  it("that breaks after content keeps what had come", async () => {
    const { error, said } = await read(await stream("text@cut:2"))
    expect(said).toBe("Paris is")
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(ours(error)).toMatchObject({ code: "StreamCut", reason: { partial: "Paris is" } })
    expect(sent("text@cut:2")).toBe(1)
  })

  it("that breaks before any content is sent again, unseen", async () => {
    expect(await read(await stream("text@cut:0*1"))).toEqual({
      said: "Paris is the capital of France.",
      error: undefined
    })
    expect(sent("text@cut:0*1")).toBe(2)
  })

  it("whose content stops coming is a timeout, however busy its connection is", async () => {
    const impatient = make({ baseURL: endpoint.url, policy: { timeout: { idleContent: "200ms" } } })
    const { error, said } = await read(await stream("text@stall:2", {}, impatient))
    expect(said).toBe("Paris is")
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(ours(error)).toMatchObject({ code: "StreamStalled", reason: { partial: "Paris is" } })
  })

  it("without content in time is asked for again, then is a timeout", async () => {
    const error = await caught(stream("text@stall:0", { timeout: 150, maxRetries: 1 }))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(ours(error).attempts).toHaveLength(2)
  })

  it("tells an error inside it with the server's own words, after what had come", async () => {
    const { error, said } = await read(await stream("text@error:2"))
    expect(said).toBe("Paris is")
    expect(error).toMatchObject({ status: undefined, type: "server_error", error: { type: "server_error" } })
    expect(error).toBeInstanceOf(OpenAI.APIError)
  })

  it("is read once", async () => {
    const chunks = await stream("text")
    await read(chunks)
    expect((await read(chunks)).error).toMatchObject({ message: expect.stringContaining("consumed stream") })
  })

  it("of several answers is complete only when all of them are", async () => {
    const event = (index: number, content: string, finish: string | null = null) => {
      const choice = { index, delta: { role: "assistant", content }, finish_reason: finish }
      return `data: ${JSON.stringify({ id: "1", choices: [choice] })}\n\n`
    }
    const answer = (...events: ReadonlyArray<string>) => {
      return (response: ServerResponse) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.end(`${events.join("")}data: [DONE]\n\n`)
      }
    }
    const end = event(1, "c", "stop")
    const begin = [event(0, "a", "stop"), event(1, "b")]
    await using server = await serve(inTurn(answer(...begin, end), answer(...begin)))
    const ask = () => make({ baseURL: server.url }).chat.completions.stream({ ...asking("hello"), n: 2 })
    const { choices } = await ask().finalChatCompletion()
    expect(choices.map(({ message }) => message.content)).toEqual(["a", "bc"])
    expect(ours(await caught(ask().finalChatCompletion()))).toMatchObject({ code: "StreamTruncated" })
  })

  it("closes its connection when the loop is left", async () => {
    for await (const _ of await stream("text@stall:1")) break
    await expect.poll(() => endpoint.requests.at(-1)?.isAborted).toBe(true)
  })

  it("gives its place in the line back, however it ends", async () => {
    const one = make({ baseURL: endpoint.url, policy: { maxConcurrency: 1, timeout: { total: "5 seconds" } } })
    for await (const _ of await stream("text@stall:1", {}, one)) break
    await read(await stream("text@cut:2", {}, one))
    await read(await stream("text", {}, one))
    const left = one.chat.completions.stream(asking("text@stall:1"))
    left.on("content", () => left.abort())
    await caught(left.done())
    expect((await ask("text", {}, one)).object).toBe("chat.completion")
  })

  it("ends without an error when its controller or its signal aborts it, and leaves no listener behind", async () => {
    const own = await stream("text@stall:1")
    expect(await read(own, () => own.controller.abort())).toEqual({ said: "Paris", error: undefined })
    const controller = new AbortController()
    const chunks = await stream("text@stall:1", { signal: controller.signal })
    expect(await read(chunks, () => controller.abort())).toEqual({ said: "Paris", error: undefined })
    expect(chunks.controller.signal.aborted).toBe(true)
    expect(getEventListeners(controller.signal, "abort")).toEqual([])
  })

  it("that is left in both of its branches is closed", async () => {
    const [one, other] = (await stream("text@stall:1")).tee()
    for await (const _ of one) break
    expect(endpoint.requests.at(-1)?.isAborted).toBe(false)
    for await (const _ of other) break
    await expect.poll(() => endpoint.requests.at(-1)?.isAborted).toBe(true)
  })
})

describe("a call", () => {
  it("is tried again as often as it says, and the client's policy says nothing against it", async () => {
    const answer = await ask("text@error-500*2")
    expect(answer.choices[0]?.message.content).toBe("Paris is the capital of France.")
    expect(sent("text@error-500*2")).toBe(3)
    const error = await caught(ask("text@error-503*3", { maxRetries: 0 }))
    expect(error).toBeInstanceOf(OpenAI.InternalServerError)
    expect(sent("text@error-503*3")).toBe(1)
  })

  it("is not tried again where that is of no use", async () => {
    for (const name of ["error-429-insufficient_quota", "error-503-should_not_retry", "error-400"]) {
      const before = sent(name)
      expect(await caught(ask(name))).toBeInstanceOf(OpenAI.APIError)
      expect(sent(name) - before).toBe(1)
    }
  })

  it("has a timeout for each send and a time for all of it", async () => {
    await using server = await serve(() => {})
    const error = await caught(ask("hello", { timeout: 100, maxRetries: 1 }, make({ baseURL: server.url })))
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(ours(error)).toMatchObject({ code: "AttemptTimeout" })
    expect(server.headers).toHaveLength(2)
    const total = make({ baseURL: server.url, policy: { timeout: { total: 100 } } })
    const late = await caught(ask("hello", {}, total))
    expect(late).toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(ours(late)).toMatchObject({ code: "DeadlineExceeded" })
  })

  it("takes an answer that is none for no answer", async () => {
    await using server = await serve(
      inTurn(
        (response) => void response.end("<html>"),
        (response) => void response.end("{}"),
        text("yes")
      )
    )
    const other = make({ baseURL: server.url })
    expect((await ask("hello", {}, other)).choices[0]?.message.content).toBe("yes")
    await using broken = await serve((response) => void response.end("<html>"))
    const error = await caught(ask("hello", { maxRetries: 0 }, make({ baseURL: broken.url })))
    expect(error).toBeInstanceOf(OpenAI.APIError)
    expect(ours(error)).toMatchObject({ code: "InvalidResponse", reason: { excerpt: "<html>" } })
  })

  it("rejects at once when it is aborted, with the signal's reason, and leaves no listener behind", async () => {
    const controller = new AbortController()
    await using server = await serve(() => controller.abort(new Error("the user went away")))
    const error = await caught(ask("hello", { signal: controller.signal }, make({ baseURL: server.url })))
    expect(error).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(error).toMatchObject({ message: "Request was aborted.", cause: { message: "the user went away" } })
    expect(getEventListeners(controller.signal, "abort")).toEqual([])
    for (const asked of [ask, stream]) {
      expect(await caught(asked("text", { signal: controller.signal }))).toBeInstanceOf(OpenAI.APIUserAbortError)
    }
  })

  it("sends one idempotency key with each of its sends", async () => {
    await using server = await serve(inTurn(refusal(500), text("yes")))
    await ask("hello", { idempotencyKey: "key-1" }, make({ baseURL: server.url }))
    expect(server.headers.map((headers) => headers["idempotency-key"])).toEqual(["key-1", "key-1"])
  })

  it("begins before it is awaited, and fails in silence for nobody", async () => {
    const call = ask("error-400")
    await expect.poll(() => sent("error-400")).toBeGreaterThan(0)
    const response = await caught(call.asResponse())
    expect(response).toBeInstanceOf(OpenAI.BadRequestError)
    await settled()
    expect(unheard).toEqual([])
    ask("error-401").finally(() => {})
    await expect.poll(() => unheard.length).toBe(1)
  })

  it("keeps a server from repeating its key", async () => {
    await using server = await serve((response: ServerResponse) => {
      response.writeHead(401, { "content-type": "application/json" })
      response.end(JSON.stringify({ error: { message: "no such key: sk-secret-1", code: "invalid_api_key" } }))
    })
    const error = await caught(ask("hello", {}, make({ baseURL: server.url, apiKey: "sk-secret-1" })))
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError)
    expect(inspect(error, { depth: 10 })).not.toContain("sk-secret-1")
    expect(error).toMatchObject({ code: "invalid_api_key", message: "401 no such key: <redacted>" })
  })
})

describe("the helper", () => {
  it("is told of an abort by its events, its promises and its loop", async () => {
    const seen: Array<string> = []
    const runner = client.chat.completions.stream(asking("text@stall:2"))
    runner.on("abort", () => seen.push("abort")).on("end", () => seen.push("end"))
    runner.on("content", (_, snapshot) => {
      if (snapshot === "Paris is") runner.abort()
    })
    expect(await caught(runner.done())).toBeInstanceOf(OpenAI.APIUserAbortError)
    expect(seen).toEqual(["abort", "end"])
    expect([runner.aborted, runner.ended]).toEqual([true, true])
    expect((await read(runner)).error).toBeInstanceOf(OpenAI.APIUserAbortError)
  })

  it("tells a failure to who listens, and to the process when nobody does", async () => {
    const seen: Array<unknown> = []
    const heard = client.chat.completions.stream(asking("error-400")).on("error", (error) => seen.push(error))
    await expect.poll(() => heard.ended).toBe(true)
    expect(seen).toEqual([expect.any(OpenAI.BadRequestError)])
    await settled()
    expect(unheard).toEqual([])
    client.chat.completions.stream(asking("error-400"))
    await expect.poll(() => unheard.length).toBe(1)
  })

  it("calls a listener once, or until it is taken away", async () => {
    const runner = client.chat.completions.stream(asking("text"))
    const calls = { on: 0, once: 0, off: 0 }
    const off = (): void => void calls.off++
    runner.on("content", () => calls.on++).on("content", off)
    runner.once("content", () => calls.once++)
    runner.off("content", off)
    await runner.done()
    expect(calls).toEqual({ on: 7, once: 1, off: 0 })
  })

  it("waits for a loop that is far behind, and gives it every chunk", async () => {
    const chunks = 10_000
    await using server = await serve((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      const chunk = (delta: object, finish: string | null = null) =>
        `data: ${JSON.stringify({ id: "1", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
      response.write(chunk({ role: "assistant", content: "" }))
      response.write(chunk({ content: "x" }).repeat(chunks))
      response.end(`${chunk({}, "stop")}data: [DONE]\n\n`)
    })
    const runner = make({ baseURL: server.url }).chat.completions.stream(asking("hello"))
    let told = 0
    runner.on("chunk", () => told++)
    let seen = 0
    let ahead = 0
    for await (const _ of runner) {
      // The first one waits until no more is read.
      if (seen++ === 0) await expect.poll(() => told).toBeGreaterThan(4_090)
      ahead = Math.max(ahead, told - seen)
    }
    expect(seen).toBe(chunks + 2)
    expect(ahead).toBeLessThan(4_200)
    expect(await runner.finalContent()).toHaveLength(chunks)
  })

  it("parses what is to be parsed, and refuses what was cut off", async () => {
    const body = { ...asking("object\nin json"), response_format: { type: "json_object" as const } }
    expect((await client.chat.completions.stream(body).finalMessage()).parsed).toBeNull()
    const response_format = { type: "json_schema" as const, json_schema: { name: "city", schema: { type: "object" } } }
    const runner = client.chat.completions.stream({ ...asking("object"), response_format })
    expect((await runner.finalMessage()).parsed).toEqual({ city: "Paris", population: 2102650 })
    const parsed = await client.chat.completions.parse({ ...asking("object"), response_format })
    expect(parsed.choices[0]?.message.parsed).toEqual({ city: "Paris", population: 2102650 })
    expect(parsed._request_id).toMatch(/^req_/)
    const cut = await caught(client.chat.completions.parse({ ...asking("length"), response_format }))
    expect(String(cut)).toContain("the length limit was reached")
    expect(runner).toBeInstanceOf(ChatCompletionStream)
  })
})

describe("embeddings", () => {
  it("come in the form that was asked for, whatever the server sends", async () => {
    const model = "text-embedding-3-small"
    const lazy = make({ baseURL: `${endpoint.url}/ignores-encoding` })
    const [float, base64] = [{ encoding_format: "float" as const }, { encoding_format: "base64" as const }]
    const asked = { model, input: "a cat", dimensions: 3 }
    const expected = await client.embeddings.create({ ...asked, ...float })
    for (const one of [client, lazy]) {
      expect(await one.embeddings.create(asked)).toEqual(expected)
      expect(await one.embeddings.create({ ...asked, ...float })).toEqual(expected)
      const { data } = await one.embeddings.create({ ...asked, ...base64 })
      const bytes = Buffer.from(data[0]?.embedding ?? "", "base64")
      expect([0, 4, 8].map((at) => bytes.readFloatLE(at))).toEqual(expected.data[0]?.embedding)
    }
  })
})

describe("the constructor", () => {
  it("reads the environment where its options are silent", async () => {
    const before = { ...process.env }
    Object.assign(process.env, {
      OPENAI_API_KEY: " sk-env ",
      OPENAI_BASE_URL: endpoint.url,
      OPENAI_ORG_ID: "org-1",
      OPENAI_PROJECT_ID: "proj-1"
    })
    try {
      const read = new OpenAI()
      expect(read).toMatchObject({
        apiKey: "sk-env",
        baseURL: endpoint.url,
        organization: "org-1",
        project: "proj-1",
        maxRetries: 2,
        timeout: 600_000
      })
      await read.models.list()
      expect(endpoint.requests.at(-1)?.headers).toMatchObject({
        authorization: "Bearer sk-env",
        "openai-organization": "org-1",
        "openai-project": "proj-1"
      })
      expect(new OpenAI({ apiKey: "sk-own", organization: null }).organization).toBeNull()
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
      Object.assign(process.env, before)
    }
  })

  it("names what is missing, and what is not in the subset", async () => {
    expect(() => new OpenAI({ apiKey: null })).toThrow("Missing credentials")
    expect(() => new OpenAI(Object.assign({ apiKey: "k" }, { logLevel: "debug" }))).toThrow("`logLevel`")
    expect(() => make({ timeout: -1 })).toThrow("timeout")
    expect(() => make({ policy: { maxConcurrency: 0 } })).toThrow("maxConcurrency")
    expect(() => make({ policy: Object.assign({ maxQueue: 1 }, { llm: {} }) })).toThrow("`llm`")
    const error = await caught(ask("text", Object.assign({ timeout: 1 }, { fetchOptions: {} })))
    expect(error).toBeInstanceOf(OpenAIError)
    expect(String(error)).toContain("`fetchOptions`")
  })

  it("merges headers and queries, and takes away what is null", async () => {
    const one = make({
      baseURL: `${endpoint.url}/?version=1`,
      organization: "org-1",
      defaultHeaders: { "x-a": "1", "x-b": "1" },
      defaultQuery: { a: "1", b: "1" }
    })
    await one.models.list({
      headers: { "x-b": null, "x-c": ["1", "2"], "OpenAI-Organization": null },
      query: { b: "2", c: ["1", "2"], d: undefined }
    })
    const { headers, path } = endpoint.requests.at(-1) ?? { headers: {}, path: "" }
    expect(path).toBe("/v1/models?version=1&a=1&b=2&c%5B%5D=1&c%5B%5D=2")
    expect(headers).toMatchObject({ "x-a": "1", "x-c": "1, 2" })
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["x-b"]))
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["openai-organization"]))
    const keyless = make({ apiKey: null, defaultHeaders: { authorization: null }, baseURL: endpoint.url })
    expect(await caught(keyless.models.list())).toBeInstanceOf(OpenAI.AuthenticationError)
    expect(endpoint.requests.at(-1)?.headers).not.toHaveProperty("authorization")
  })

  it("asks a function for the key of each send, and tells what it fails with", async () => {
    await using server = await serve(inTurn(refusal(500), text("yes")))
    let count = 0
    const one = make({ baseURL: server.url, apiKey: async () => `sk-${++count}` })
    await ask("hello", {}, one)
    expect(server.headers.map(({ authorization }) => authorization)).toEqual(["Bearer sk-1", "Bearer sk-2"])
    const failing = make({ baseURL: server.url, apiKey: () => Promise.reject(new Error("no vault")) })
    const error = await caught(ask("hello", {}, failing))
    expect(error).toMatchObject({ message: "Failed to get token from 'apiKey' function: no vault" })
    expect(error).toBeInstanceOf(OpenAIError)
    expect(server.headers).toHaveLength(2)
  })

  it("sends by the fetch that it is given, whole and streamed", async () => {
    const urls: Array<string> = []
    const own = make({
      baseURL: endpoint.url,
      fetch: (input, init) => {
        urls.push(String(input instanceof Request ? input.url : input))
        return fetch(input, init)
      }
    })
    expect((await ask("text", {}, own)).choices[0]?.message.content).toBe("Paris is the capital of France.")
    expect((await read(await stream("text", {}, own))).said).toBe("Paris is the capital of France.")
    expect(urls).toEqual([`${endpoint.url}/chat/completions`, `${endpoint.url}/chat/completions`])
  })

  it("makes a client that is closed reject its calls, those under way too", async () => {
    await using server = await serve(() => void one.close())
    const one = make({ baseURL: server.url })
    expect(await caught(ask("hello", {}, one))).toBeInstanceOf(OpenAI.APIConnectionError)
    const error = await caught(ask("hello", {}, one))
    expect(error).toMatchObject({ cause: { _tag: "Draining" } })
    expect(server.headers).toHaveLength(1)
  })
})
