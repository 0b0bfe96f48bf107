/** Streams as a loop, as promises and as web streams, side by side, over a server that writes when it is told to. */
import { once } from "node:events"
import type { ServerResponse } from "node:http"
import { type Client, createClient, LlmError } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm, TestSandbox } from "holdfast/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { serve, type Server } from "./server.ts"

let server: Server
let response: ServerResponse
let client: Client

beforeAll(async () => {
  server = await serve((answer) => {
    response = answer.setHeader("content-type", "text/event-stream")
  })
  client = createClient({
    llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "m" },
    retry: { retries: 1, base: 1 }
  })
})

afterAll(async () => {
  await client.close()
  await server[Symbol.asyncDispose]()
})

const write = (delta: object, rest: object = {}): void =>
  void response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, ...rest }] })}\n\n`)

const say = (content: string): void => write({ content })

const finish = (): void => {
  write({}, { finish_reason: "stop" })
  const usage = { prompt_tokens: 3, completion_tokens: 2 }
  response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`)
}

/** Waits for one more request than there have been. */
const requested = (): Promise<void> => server.requested(server.headers.length + 1)

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe("streamText", () => {
  it("gives the text, the usage and the whole result without a loop", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const text = events.text()
    await asked
    say("one ")
    say("two")
    finish()
    expect(await text).toBe("one two")
    expect(await events.usage).toMatchObject({ inputTokens: 3, outputTokens: 2 })
    const result = await events.result()
    expect(result).toMatchObject({ text: "one two", finishReason: "stop", toolCalls: [], usage: { outputTokens: 2 } })
    expect(result.message).toMatchObject({ role: "assistant" })
    expect(result.attempts.map(({ outcome }) => outcome)).toEqual(["ok"])
    expect(result).not.toHaveProperty("reasoning")
  })

  it("shows a loop each event when it comes, also while a promise waits for the end", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const whole = events.result()
    await asked
    say("one ")
    const loop = events[Symbol.asyncIterator]()
    expect(await loop.next()).toMatchObject({ value: { type: "text", text: "one " } })
    say("two ")
    expect(await loop.next()).toMatchObject({ value: { type: "text", text: "two " } })
    finish()
    expect((await whole).text).toBe("one two ")
    expect(await loop.next()).toMatchObject({ value: { type: "finish" } })
    expect(await loop.next()).toEqual({ done: true, value: undefined })
  })

  it("keeps for a later loop what a promise has read, in order", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const text = events.text()
    await asked
    for (const word of ["a", "b", "c"]) say(word)
    finish()
    await text
    const said = []
    for await (const event of events) said.push(event.type === "text" ? event.text : event.type)
    expect(said.join("")).toBe("abcfinish")
  })

  it("knows the result of a loop that came to its end, and sends no second request", async () => {
    const asked = requested()
    const before = server.headers.length
    const events = client.streamText("hello")
    const looping = Array.fromAsync(events)
    await asked
    say("one")
    finish()
    await looping
    expect(await events.text()).toBe("one")
    expect(server.headers.length).toBe(before + 1)
  })

  it("can be asked for its result within the loop", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const looping = (async () => {
      for await (const event of events) return [event.type, (await events.result()).text]
      return []
    })()
    await asked
    say("one")
    finish()
    expect(await looping).toEqual(["text", "one"])
  })

  it("rejects all who wait with the stream's own error, which has what was said", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const whole = settled(events.result())
    await asked
    say("one")
    const loop = events[Symbol.asyncIterator]()
    expect(await loop.next()).toMatchObject({ value: { text: "one" } })
    response.destroy()
    const error = await settled(loop.next())
    expect(error).toBeInstanceOf(LlmError)
    expect(error).toMatchObject({ code: "StreamCut", partial: "one" })
    expect(await whole).toBe(error)
    expect(await settled(events.usage)).toBe(error)
  })

  it("closes the connection when it is aborted, and rejects all who wait at once with the reason", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const text = settled(events.text())
    const next = settled(events.next())
    await asked
    const closed = once(response, "close")
    const reason = new Error("enough")
    events.abort(reason)
    expect(await text).toBe(reason)
    expect(await next).toBe(reason)
    await closed
  })

  it("is a web stream that reads when it is read, and closes the connection when it is cancelled", async () => {
    const before = server.headers.length
    const asked = requested()
    const events = client.streamText("hello")
    const reader = events.toReadableStream().getReader()
    expect(server.headers.length).toBe(before)
    const first = reader.read()
    await asked
    say("one")
    expect(await first).toMatchObject({ done: false, value: { type: "text", text: "one" } })
    const closed = once(response, "close")
    await reader.cancel()
    await closed
    expect(await settled(events.text())).toBeInstanceOf(TypeError)
  })

  it("is a web stream of text, whose bytes a Response takes", async () => {
    const asked = requested()
    const events = client.streamText("hello")
    const body = new Response(events.toTextStream().pipeThrough(new TextEncoderStream())).text()
    await asked
    write({ reasoning_content: "let me see" })
    say("one ")
    say("two")
    finish()
    expect(await body).toBe("one two")
    expect((await events.result()).reasoning).toBe("let me see")
  })

  it("fails a web stream of text when the answer begins again, and takes the first one out of the result", async () => {
    const refused = { name: "TypeError", message: expect.stringContaining("cannot take back") }
    const before = requested()
    const events = client.streamText("hello", { onCut: "restart" })
    const reader = events.toTextStream().getReader()
    const first = reader.read()
    await before
    const anew = requested()
    say("one")
    expect(await first).toMatchObject({ value: "one" })
    const next = settled(reader.read())
    response.destroy()
    await anew
    say("two")
    expect(await next).toMatchObject(refused)
    expect(await settled(events.result())).toMatchObject(refused)

    const asked = requested()
    const whole = client.streamText("hello", { onCut: "restart" })
    const said = whole.text()
    await asked
    const again = requested()
    say("one")
    await whole.next()
    response.destroy()
    await again
    say("two")
    finish()
    expect(await said).toBe("two")
  })
})

describe("streamTools and streamCode", () => {
  it("give what a loop of tools comes to, the last answer's text alone", async () => {
    const call = { id: "1", name: "now", input: {}, inputText: "{}" }
    const { layer, requests } = TestLlm.make([{ text: "let me see", toolCalls: [call] }, "noon"])
    await using client = fromLayer(layer)
    const events = client.streamTools([{ name: "now", description: "", run: () => "12:00" }], "What time is it?")
    const result = await events.result()
    expect(result).toMatchObject({ text: "noon", toolCalls: [], finishReason: "stop" })
    expect(result.rounds).toHaveLength(2)
    expect(result.messages.at(-1)).toEqual(result.message)
    expect(await events.text()).toBe("noon")
    expect((await events.usage).inputTokens).toBe(result.usage.inputTokens)
    const types = (await Array.fromAsync(events)).map(({ type }) => type)
    expect(types.filter((type) => type !== "text")).toEqual(["toolCall", "round", "toolResult", "round", "finish"])
    expect(requests).toHaveLength(2)
  })

  it("give the execution of code beside what it prints", async () => {
    await using client = fromLayer(TestSandbox.layer({ stdout: "42\n", exitCode: 0 }))
    const session = await client.createSession()
    const events = session.streamCode("print(6 * 7)")
    expect(await events.result()).toMatchObject({ outcome: "ok", stdout: "42\n", durationMs: 1 })
    expect((await Array.fromAsync(events)).map(({ type }) => type)).toEqual(["stdout", "done"])
  })
})
