/** Virtual time with the client of plain programs, over real sockets. */
import { Effect, Exit, Scope } from "effect"
import { Fault, ReplayServer, VirtualTime } from "holdfast/testing"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { describe, expect, it } from "vitest"

/** A server on loopback for one test. */
const serving = async (handle: (response: ServerResponse, call: number) => void) => {
  let calls = 0
  const server = createServer((request, response) => {
    request.resume()
    handle(response, ++calls)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
  }
  const port = typeof address === "object" ? address?.port : address
  return { url: `http://127.0.0.1:${port}`, calls: () => calls, [Symbol.asyncDispose]: close }
}

const busyTwice = (response: ServerResponse, call: number): void => {
  if (call % 3 === 0) response.end("fine")
  else response.writeHead(503, { "retry-after": "300" }).end()
}

const retry = { maxRetryAfter: "10 minutes" } as const

/** A replay server whose every call meets this fault once. */
const replay = async (kind: Fault.Kind) => {
  const scope = Scope.makeUnsafe()
  const faults = Fault.planUnsafe({ kinds: [kind], rate: 1, maxInARow: 1 })
  const made = ReplayServer.make({ answer: () => "Once upon a time", faults })
  const { url } = await Effect.runPromise(Scope.provide(made, scope))
  const llm = { provider: "openai", model: "m", baseUrl: url } as const
  return { llm, [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

describe("VirtualTime.createClient", () => {
  it("waits out ten minutes of backoff in less than 50 ms, over a real socket", async () => {
    const time = VirtualTime.make()
    await using server = await serving(busyTwice)
    await using client = time.createClient({ http: { baseUrl: server.url }, retry })
    const ask = () => time.run(() => client.http.get("/"))
    // The first call loads its modules.
    await ask()
    // The processor's time, because the machine's may be busy elsewhere: 20 times 50 ms.
    const began = process.cpuUsage()
    for (let call = 0; call < 20; call++) {
      const { attempts } = await ask()
      expect(attempts.map(({ waitMillis }) => waitMillis)).toEqual([0, 300_000, 300_000])
    }
    const { system, user } = process.cpuUsage(began)
    expect((system + user) / 1000).toBeLessThan(1000)
    expect(time.elapsed()).toBe(21 * 600_000)
  })

  it("sends again at the time that the server asked for, and not before", async () => {
    const time = VirtualTime.make()
    await using server = await serving(busyTwice)
    await using client = time.createClient({ http: { baseUrl: server.url }, retry })
    const answer = client.http.get("/")
    await time.advance("299 seconds")
    expect(server.calls()).toBe(1)
    await time.advance("1 second")
    expect(server.calls()).toBe(2)
    await time.advance("5 minutes")
    expect((await answer).status).toBe(200)
  })

  it("does not overtake an answer that is on its way", async () => {
    const time = VirtualTime.make()
    await using server = await serving((response) => void setTimeout(() => response.end("slow"), 60))
    await using client = time.createClient({ http: { baseUrl: server.url }, timeout: { attempt: "1 second" } })
    expect((await time.run(() => client.http.get("/"))).attempts).toHaveLength(1)
    expect(time.elapsed()).toBe(0)
  })

  it("gives up on a stalled stream at its own time", async () => {
    const time = VirtualTime.make()
    await using server = await replay("stall")
    await using client = time.createClient({ llm: server.llm })
    const read = async (): Promise<void> => {
      for await (const event of client.streamText("Tell me a story")) expect(event.type).toBe("text")
    }
    await expect(time.run(read)).rejects.toMatchObject({ code: "StreamStalled", reason: { partial: "Once" } })
    expect(time.elapsed()).toBe(60_000)
  })

  it("times out an attempt that gets no answer, and takes the next one", async () => {
    const time = VirtualTime.make()
    await using server = await replay("stall")
    await using client = time.createClient({ llm: server.llm, timeout: { attempt: "10 minutes", total: "1 hour" } })
    const { attempts, text } = await time.run(() => client.generateText("Tell me a story"))
    expect(text).toBe("Once upon a time")
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["AttemptTimeout", "ok"])
    expect(attempts[0]?.durationMillis).toBe(600_000)
  })

  it("keeps the grace of its close", async () => {
    const time = VirtualTime.make({ patience: 20 })
    await using server = await serving(() => undefined)
    const client = time.createClient({ http: { baseUrl: server.url } })
    const answer = client.http.get("/").catch((error: unknown) => error)
    const report = await time.run(() => client.close({ grace: "5 minutes" }))
    expect(report).toEqual({ finished: 0, interrupted: 1 })
    expect(time.elapsed()).toBe(300_000)
    expect(await answer).toMatchObject({ code: "Draining" })
  })
})
