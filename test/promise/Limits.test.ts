import { type Client, type ClientOptions, createClient } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { type Answer, inTurn, refusal, type Server, serve, text } from "./server.ts"

const make = (server: Server, options: Omit<ClientOptions, "llm">): Client =>
  createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "some-model" }, ...options })

describe("limits of a client", () => {
  it("refuse at once what no window will take before the deadline", async () => {
    await using server = await serve(text("hello"))
    await using client = make(server, { rateLimit: { requestsPerMinute: 1 }, timeout: { total: "30 seconds" } })
    await client.generateText("?")
    const late = client.with({ tenant: "another" }).generateText("?")
    await expect(late).rejects.toMatchObject({ code: "DeadlineExceeded" })
    expect(server.headers).toHaveLength(1)
  })

  it("leave a server alone that keeps failing", async () => {
    await using server = await serve(refusal(503))
    await using client = make(server, { circuit: { failures: 2, openFor: "1 minute" }, retry: { retries: 0 } })
    for (const code of ["ServerError", "ServerError", "CircuitOpen"])
      await expect(client.generateText("?")).rejects.toMatchObject({ code })
    expect(server.headers).toHaveLength(2)
  })

  it("bound the retries of all calls together", async () => {
    await using server = await serve(refusal(503))
    await using client = make(server, { retryBudget: { floor: 1, ratio: 0 }, retry: { retries: 5, base: 1 } })
    await expect(client.generateText("?")).rejects.toMatchObject({ code: "ServerError" })
    expect(server.headers).toHaveLength(2)
  })

  it("stop at a cost", async () => {
    await using server = await serve(text("hello"))
    await using client = make(server, { costBudget: { limit: 100 } })
    await expect(client.generateText("?", { maxTokens: 200 })).rejects.toMatchObject({ code: "BudgetExceeded" })
    expect((await client.generateText("?", { maxTokens: 10 })).text).toBe("hello")
  })

  it("send a second time what is slow", async () => {
    const slow: Answer = () => {}
    await using server = await serve(inTurn(slow, text("quick")))
    await using client = make(server, { hedge: { delay: "10ms", maxExtra: 1, costly: true } })
    expect((await client.generateText("?")).text).toBe("quick")
    expect(server.headers).toHaveLength(2)
  })

  it("serve the calls that wait by their priority", async () => {
    const release: Array<() => void> = []
    await using server = await serve((response, n) => {
      release.push(() => text(`answer ${n}`)(response, n))
    })
    await using client = make(server, { maxConcurrency: 1 })
    const first = client.generateText("?")
    await server.requested(1)
    const low = client.generateText("?", { priority: "low" })
    const high = client.with({ priority: "high", tenant: "t" }).generateText("?")
    for (const n of [0, 1, 2]) {
      await server.requested(n + 1)
      release[n]?.()
    }
    const texts = (await Promise.all([first, low, high])).map(({ text }) => text)
    expect(texts).toEqual(["answer 0", "answer 2", "answer 1"])
  })

  it("keep the client's total time for a call that only names its priority", async () => {
    await using server = await serve(() => {})
    await using client = make(server, { timeout: { total: "50ms" } })
    await expect(client.generateText("?", { priority: "high" })).rejects.toMatchObject({ code: "DeadlineExceeded" })
  })

  it("name what is wrong with their options in one line", async () => {
    const wrong = (options: object): string => {
      try {
        createClient(options)
        return "accepted"
      } catch (error) {
        return error instanceof TypeError ? error.message : "another error"
      }
    }
    expect(wrong({ rateLimit: { requestsPerMinute: 0 } })).toMatch(/^rateLimit\.requestsPerMinute: 0 lets nothing pass/)
    expect(wrong({ rateLimit: { rpm: 5 } })).toMatch(/^rateLimit\.rpm: there is no such option; there are /)
    expect(wrong({ rateLimit: 500 })).toBe("rateLimit: 500 is not an object of options")
    expect(wrong({ rateLimit: { window: "soon" } })).toMatch(/^rateLimit\.window: "soon" is not a time/)
    expect(wrong({ circuit: { openFor: "soon" } })).toMatch(/^circuit\.openFor: "soon" is not a time/)
    expect(wrong({ hedge: { percentile: -1 } })).toMatch(/^hedge\.percentile: -1 is not a number of at least 0/)
    expect(wrong({ retryBudget: true })).toBe("retryBudget: true is not an object of options")
    expect(wrong({ adaptive: { min: 0 } })).toMatch(/^adaptive\.min: 0 lets nothing pass/)
    expect(wrong({ ageing: "later" })).toMatch(/^ageing: "later" is not a time/)
    const all = { retryBudget: false, adaptive: true, ageing: "10s", rateLimit: { tokensPerMinute: 100_000 } }
    expect(wrong({ ...all, circuit: {}, hedge: {}, costBudget: { limit: 1 } })).toBe("accepted")
    await using client = createClient({})
    // @ts-expect-error: no such class
    await expect(client.generateText("?", { priority: "urgent" })).rejects.toThrow(/^priority: "urgent" is not one of/)
    // @ts-expect-error: no text
    await expect(client.generateText("?", { tenant: 5 })).rejects.toThrow(/^tenant: 5 is not a text/)
  })
})
