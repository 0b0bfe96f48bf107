/** Where the stacks of errors begin: in the caller's program, and not in the library's fibers. */
import OpenAI from "holdfast/openai"
import { createClient } from "holdfast/promise"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { heard } from "../../src/promise/Bridge.ts"
import { type Server, serve } from "./server.ts"

describe("the stack of an error", () => {
  let server: Server
  beforeAll(async () => {
    server = await serve((response) => response.writeHead(401, { "content-type": "application/json" }).end("{}"))
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  /** The frames of what a call rejects with, without their places. */
  const framesOf = async (call: () => Promise<unknown>): Promise<ReadonlyArray<string>> => {
    const error: unknown = await call().catch((error: unknown) => error)
    if (!(error instanceof Error)) throw new Error("it did not reject with an error")
    const [head = "", ...frames] = (error.stack ?? "").split("\n    at ")
    expect(head).toContain(error.message)
    return frames.map((frame) => frame.replace(/ \(.*/, ""))
  }

  const open = () => {
    const baseUrl = server.url
    return createClient({
      llm: { provider: "openai", baseUrl, model: "m" },
      embedder: { provider: "openai", baseUrl, model: "m" },
      vectors: { provider: "qdrant", baseUrl },
      sandbox: { provider: "rest", baseUrl },
      retry: { retries: 0 }
    })
  }

  it("begins with the line of a call", async () => {
    await using client = open()
    const calls: ReadonlyArray<() => Promise<unknown>> = [
      async function callHere() {
        await client.generateText("?")
      },
      async function callHere() {
        await client.with({ priority: "low" }).runTools([], "?")
      },
      async function callHere() {
        await client.embed("?")
      },
      async function callHere() {
        await client.executeCode("1")
      },
      async function callHere() {
        await client.createSession()
      },
      async function callHere() {
        await client.vectors.count()
      },
      async function callHere() {
        await client.vectors.upsertMany([{ id: "a", vector: [1] }])
      }
    ]
    for (const call of calls) expect((await framesOf(call))[0]).toBe("callHere")
    await client.close()
    expect((await framesOf(calls[0] ?? Promise.reject))[0]).toBe("callHere")
  })

  it("begins with the line that made a stream, or that asked for what it comes to", async () => {
    await using client = open()
    const calls: ReadonlyArray<() => Promise<unknown>> = [
      async function callHere() {
        for await (const _ of client.streamText("?"));
      },
      async function callHere() {
        await client.streamText("?").next()
      },
      async function callHere() {
        for await (const _ of client.vectors.stream());
      },
      async function callHere() {
        await client.streamText("?").text()
      },
      async function callHere() {
        await client.streamText("?").usage
      }
    ]
    for (const call of calls) expect((await framesOf(call))[0]).toMatch(/^(Array\.)?callHere$/)
  })

  it("begins with the method of the shape of openai, and the line that called it", async () => {
    const openai = new OpenAI({ apiKey: "k", baseURL: server.url, maxRetries: 0 })
    const frames = await framesOf(async function callHere() {
      await openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "?" }] })
    })
    expect(frames.slice(0, 2)).toEqual(["Completions.create", "callHere"])
    const listing = await framesOf(async function callHere() {
      await openai.models.list()
    })
    expect(listing.slice(0, 2)).toContain("callHere")
  })

  it("is left as it is where the program writes stacks in a way of its own, or none", async () => {
    await using client = open()
    const { prepareStackTrace, stackTraceLimit } = Error
    const fails = () => client.generateText("?").catch((error: unknown) => error)
    try {
      Error.prepareStackTrace = (_, sites) => sites
      expect(await fails()).toMatchObject({ code: "Unauthorized" })
      Error.prepareStackTrace = prepareStackTrace
      Error.stackTraceLimit = 0
      expect(await fails()).toMatchObject({ code: "Unauthorized" })
    } finally {
      Object.assign(Error, { prepareStackTrace, stackTraceLimit })
    }
    const frozen = Object.freeze(Object.assign(new Error("mine"), { _tag: "Mine", code: "E", isRetryable: false }))
    expect(await heard(() => Promise.reject(frozen)).catch((error: unknown) => error)).toBe(frozen)
  })

  it("is left alone in an error of the caller's own", async () => {
    await using client = open()
    const own = new TypeError("mine")
    const { stack } = own
    const [settled] = await client.map([1], () => Promise.reject(own))
    expect(settled).toEqual({ status: "rejected", reason: own })
    const reason = Object.assign(new Error("enough"), { code: "E", isRetryable: false })
    const before = reason.stack
    const call = client.generateText("?", { signal: AbortSignal.abort(reason) })
    expect(await call.catch((error: unknown) => error)).toBe(reason)
    expect([own.stack, reason.stack]).toEqual([stack, before])
  })
})
