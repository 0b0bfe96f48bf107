/** One deadline for all calls of a derived client, and a client that is drained: under virtual time where it waits. */
import { once } from "node:events"
import { createServer } from "node:http"
import { type Client, createClient, Draining, DeadlineExceeded, SandboxError } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { TestLlm, VirtualTime } from "holdfast/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { serve, type Server, text } from "./server.ts"

let busy: Server
let fine: Server

beforeAll(async () => {
  busy = await serve((response) => response.writeHead(503, { "retry-after": "60" }).end())
  fine = await serve(text("fine"))
})
afterAll(() => Promise.all([busy, fine].map((server) => server[Symbol.asyncDispose]())))

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

const late = { code: "DeadlineExceeded" }

const patient = (time: VirtualTime.VirtualTime): Client =>
  time.createClient({
    llm: { provider: "openai", apiKey: "k", baseUrl: busy.url, model: "m" },
    embedder: { provider: "openai", apiKey: "k", baseUrl: busy.url, model: "m" },
    retry: { retries: 100, maxRetryAfter: "2 minutes" },
    timeout: { total: "1 hour" }
  })

describe("a deadline", () => {
  it("is shared by all calls of the derived client, whatever they ask", async () => {
    const time = VirtualTime.make()
    await using client = patient(time)
    const within = client.with({ deadline: "5 minutes" })
    const calls = () =>
      Promise.all([
        settled(within.generateText("hello")),
        settled(within.streamText("hello").result()),
        settled(within.runTools([], "hello")),
        settled(within.streamTools([], "hello").text()),
        settled(within.embed("hello")),
        settled(within.http.get(busy.url))
      ])
    // A retry that the deadline leaves no time for is not waited for: the server's own failure comes sooner.
    const first = await time.run(calls)
    expect(first.slice(0, 5).map((error) => error instanceof Error)).toEqual(Array(5).fill(true))
    expect(time.elapsed()).toBeGreaterThanOrEqual(240_000)
    expect(time.elapsed()).toBeLessThanOrEqual(300_000)

    await time.advance("5 minutes")
    const before = busy.headers.length
    const second = await time.run(calls)
    for (const error of second) expect(error).toMatchObject(late)
    expect(busy.headers.length).toBe(before)
  })

  it("is the earliest of those around a call, and leaves the client that it came from alone", async () => {
    const time = VirtualTime.make()
    await using client = fromLayer(time.provide(TestLlm.layer(async () => (await time.sleep("10 minutes"), "done"))))
    const minute = client.with({ deadline: new Date(time.now() + 60_000) })
    const inner = minute.with({ deadline: time.now() + 3_600_000, tenant: "a" })
    expect(await time.run(() => settled(inner.generateText("hello")))).toMatchObject(late)
    expect(time.elapsed()).toBeLessThan(70_000)
    const hour = client.with({ deadline: new Date(time.now() + 3_600_000) }).with({ priority: "low" })
    expect(await time.run(() => hour.generateText("hello"))).toMatchObject({ text: "done" })
    expect(await time.run(() => client.generateText("hello"))).toMatchObject({ text: "done" })
  })

  it("that is past refuses a call before it is sent", async () => {
    await using client = createClient({
      llm: { provider: "openai", apiKey: "k", baseUrl: fine.url, model: "m" }
    })
    const before = fine.headers.length
    const past = client.with({ deadline: new Date(Date.now() - 1000) })
    expect(await settled(past.generateText("hello"))).toMatchObject(late)
    expect(await settled(past.http.get(fine.url))).toBeInstanceOf(DeadlineExceeded)
    expect(fine.headers.length).toBe(before)
    expect((await client.with({ deadline: "1 hour" }).generateText("hello")).text).toBe("fine")
  })

  it("ends what a sandbox runs", async () => {
    await using client = createClient({})
    await using session = await client.with({ deadline: "10 minutes" }).createSession()
    expect((await session.runCode("1 + 1")).outcome).toBe("ok")
    const past = client.with({ deadline: new Date(Date.now() - 1000) })
    const error = await settled(past.executeCode("1"))
    expect(error).toBeInstanceOf(SandboxError)
    expect(error).toMatchObject(late)
    expect(await settled(past.createSession())).toMatchObject(late)
  }, 60_000)
})

describe("drain", () => {
  it("takes no new calls, interrupts nothing, and resolves when the last call has ended", async () => {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`
    await using client = createClient({ http: { baseUrl: url } })
    const asked = client.http.get("/")
    const [, response] = await once(server, "request")
    const ended: Array<string> = []
    const drained = client.drain().then((report) => {
      ended.push("drained")
      return report
    })
    expect(await settled(client.http.get("/"))).toBeInstanceOf(Draining)
    expect(await client.drain({ grace: 0 })).toEqual({ finished: 0, open: 1 })
    expect(ended).toEqual([])
    response.end("here")
    expect(await (await asked).text()).toBe("here")
    expect(await drained).toEqual({ finished: 1, open: 0 })
    expect(await client.close()).toEqual({ finished: 0, interrupted: 0 })
    server.close()
  })

  it("goes by the client's own time", async () => {
    const time = VirtualTime.make()
    const client = patient(time)
    void client.generateText("hello")
    await time.advance(0)
    expect(await time.run(() => client.drain({ grace: "10 seconds" }))).toEqual({ finished: 0, open: 1 })
    expect(time.elapsed()).toBe(10_000)
    expect(await time.run(() => client.close({ grace: "10 seconds" }))).toEqual({ finished: 0, interrupted: 1 })
    expect(time.elapsed()).toBe(20_000)
  })
})
