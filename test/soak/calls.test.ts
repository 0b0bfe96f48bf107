/** Floods of calls under faults: every result is accounted for, and nothing is left. */
import { getEventListeners, once } from "node:events"
import { createServer } from "node:http"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Effect, Exit, Scope } from "effect"
import { createClient, LlmError } from "holdfast/promise"
import { Fault, ReplayServer } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { atScale } from "./scale.ts"

const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

/** V8's collector, for an honest look at what is held. */
const collector = (): (() => void) => {
  setFlagsFromString("--expose-gc")
  const gc: unknown = runInNewContext("gc")
  if (typeof gc !== "function") throw new Error("no gc")
  return () => void gc()
}

describe("a flood of calls", { timeout: 900_000 }, () => {
  it("accounts for every result under mixed faults, and leaves no socket, timer or listener", async () => {
    const scope = Scope.makeUnsafe()
    const total = atScale(20_000)
    const faults = await Effect.runPromise(
      Fault.plan({ seed: 7, rate: 0.3, kinds: ["rateLimited", "unavailable", "reset", "cut"] })
    )
    const answer = ({ messages }: ReplayServer.Request): string => `answer to ${messages.at(-1)?.content}`
    const server = await Effect.runPromise(Scope.provide(ReplayServer.make({ answer, faults }), scope))
    const before = { sockets: sockets(), timers: timers() }
    const { signal } = new AbortController()
    let wrong = 0
    let failed = 0
    {
      await using client = createClient({
        llm: { provider: "openai", baseUrl: server.url, model: "m", apiKey: "k" },
        retry: { retries: 4, base: 1, maxDelay: 20 },
        maxConcurrency: 32
      })
      const results = await client.map(
        Array.from({ length: total }, (_, n) => n),
        (n) => client.generateText(`question ${n}`, { signal }),
        { concurrency: 200 }
      )
      for (const [n, result] of results.entries()) {
        if (result.status === "rejected") {
          assert.instanceOf(result.reason, LlmError)
          failed++
        } else if (result.value.text !== `answer to question ${n}`) wrong++
      }
      assert.strictEqual(results.length, total)
    }
    assert.strictEqual(wrong, 0)
    // At least 99 % succeed: the faults of a call stay below its retries.
    assert.isAtMost(failed, total / 100)
    assert.strictEqual(getEventListeners(signal, "abort").length, 0)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    // The system closes a socket some turns of the event loop after it was told to.
    const patience = performance.now() + 5_000
    while (sockets() > before.sockets && performance.now() < patience) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.strictEqual(sockets(), before.sockets)
    assert.isAtMost(timers(), before.timers)
  })

  it("leaves nothing on the one signal of all calls, and the heap where it was", async () => {
    const answer = JSON.stringify({ choices: [{ message: { content: "fine" }, finish_reason: "stop" }] })
    const chunk = JSON.stringify({ choices: [{ delta: { content: "fine" }, finish_reason: "stop" }] })
    const server = createServer((request, response) => {
      const isStream = request.headers["x-stream"] === "1"
      request.resume().once("end", () => {
        if (!isStream) return response.end(answer)
        response.setHeader("content-type", "text/event-stream").end(`data: ${chunk}\n\ndata: [DONE]\n\n`)
      })
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const gc = collector()
    const before = { sockets: sockets(), timers: timers() }
    const { signal } = new AbortController()
    const headers = { "x-stream": "1" }
    {
      const baseUrl = `http://127.0.0.1:${port}/v1`
      await using client = createClient({ llm: { provider: "openai", baseUrl, model: "m", apiKey: "k" } })
      // A call in four is a stream that is read, one that is left, or a request.
      const call = async (n: number): Promise<unknown> => {
        if (n % 4 === 1) return client.streamText("hi", { headers, signal }).text()
        if (n % 4 === 3) return (await client.http.get(baseUrl, { signal })).text()
        if (n % 4 === 0) return client.with({ tenant: "a", signal }).generateText("hi")
        for await (const _ of client.streamText("hi", { headers, signal })) break
        return n
      }
      const flood = async (count: number): Promise<void> => {
        const all = Array.from({ length: count }, (_, n) => n)
        const results = await client.map(all, call, { concurrency: 50, signal })
        assert.deepStrictEqual(
          results.filter(({ status }) => status === "rejected"),
          []
        )
        assert.strictEqual(getEventListeners(signal, "abort").length, 0)
      }
      await flood(atScale(5_000))
      gc()
      const heap = process.memoryUsage().heapUsed
      await flood(atScale(10_000))
      gc()
      assert.isBelow(process.memoryUsage().heapUsed - heap, 5 << 20)
    }
    server.close()
    const patience = performance.now() + 5_000
    while (sockets() > before.sockets && performance.now() < patience) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.strictEqual(sockets(), before.sockets)
    assert.isAtMost(timers(), before.timers)
  })

  it("keeps the heap where it was", async () => {
    // A server that remembers nothing: the replay server's log of requests is part of this process.
    const answer = JSON.stringify({ choices: [{ message: { content: "fine" }, finish_reason: "stop" }] })
    const server = createServer((request, response) => {
      request.resume().once("end", () => response.end(answer))
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const gc = collector()
    {
      const baseUrl = `http://127.0.0.1:${port}/v1`
      await using client = createClient({ llm: { provider: "openai", baseUrl, model: "m", apiKey: "k" } })
      const flood = async (count: number): Promise<void> => {
        const call = (text: string) => client.generateText(text)
        const results = await client.map(Array(count).fill("hi"), call, { concurrency: 50 })
        assert.isTrue(results.every(({ status }) => status === "fulfilled"))
      }
      await flood(atScale(5_000))
      gc()
      const before = process.memoryUsage().heapUsed
      await flood(atScale(10_000))
      gc()
      assert.isBelow(process.memoryUsage().heapUsed - before, 5 << 20)
    }
    server.close()
  })
})
