import { Logger as EffectLogger } from "effect"
import { type ClientOptions, createClient, type LogFields, type PlainLogger } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { inTurn, refusal, type Server, serve, text } from "./server.ts"

interface Line {
  readonly level: keyof PlainLogger
  readonly message: string
  readonly fields: LogFields
}

const recording = () => {
  const lines: Array<Line> = []
  const write = (level: Line["level"]) => (message: string, fields: LogFields) =>
    void lines.push({ level, message, fields })
  const logger: PlainLogger = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error")
  }
  return { lines, logger }
}

const make = (server: Server, logger: ClientOptions["logger"], options: Partial<ClientOptions> = {}) =>
  createClient({
    llm: { provider: "openai", apiKey: "sk-a-secret", baseUrl: server.url, model: "some-model" },
    retry: { base: 1, jitter: "none" },
    logger,
    ...options
  })

const eventsOf = (lines: ReadonlyArray<Line>): ReadonlyArray<unknown> => lines.map(({ fields }) => fields.event)

describe("logger", () => {
  it("is told of retries and of the closing, in fields, and of nothing else when all goes well", async () => {
    await using server = await serve(inTurn(refusal(429, { "retry-after-ms": "20" }), text("hello")))
    const { lines, logger } = recording()
    const client = make(server, logger)
    await client.generateText("a secret prompt")
    await client.generateText("a secret prompt")
    await client.close()
    expect(lines).toEqual([
      {
        level: "warn",
        message: expect.stringMatching(/^retry 1 of openai \S+ in 20 ms: RateLimited$/),
        fields: {
          event: "retry",
          key: expect.any(String),
          retry: 1,
          waitMs: 20,
          cause: "retryAfter",
          reason: "RateLimited"
        }
      },
      { level: "info", message: "closed: 0 finished, 0 interrupted", fields: expect.anything() }
    ])
  })

  it("may fail, at once or later, and fails no call and no process", async () => {
    const unhandled: Array<unknown> = []
    const onUnhandled = (reason: unknown) => void unhandled.push(reason)
    process.on("unhandledRejection", onUnhandled)
    await using server = await serve(inTurn(refusal(503), refusal(503), text("hello")))
    const { logger } = recording()
    const warn = async (): Promise<never> => Promise.reject(new Error("the disk is full"))
    await using client = make(server, { ...logger, warn })
    expect(await client.generateText("hi")).toMatchObject({ text: "hello" })
    await new Promise((resolve) => setImmediate(resolve))
    process.removeListener("unhandledRejection", onUnhandled)
    expect(unhandled).toEqual([])
  })

  it("is told of refusals loudly and of failures quietly, never of a prompt, a key or a provider's text", async () => {
    await using server = await serve(refusal(400))
    const { lines, logger } = recording()
    await using client = make(server, logger)
    await client.generateText("a secret prompt").catch(() => {})
    await client.generateText("a secret prompt", { timeout: 0 }).catch(() => {})
    await client
      .streamText("a secret prompt", { timeout: 0 })
      .next()
      .catch(() => {})
    expect(lines.map(({ level, fields: { event, method, reason } }) => [level, event, method, reason])).toEqual([
      ["debug", "failed", "generateText", "InvalidRequest"],
      ["warn", "refused", "generateText", "DeadlineExceeded"],
      ["warn", "refused", "streamText", "DeadlineExceeded"]
    ])
    expect(JSON.stringify(lines)).not.toMatch(/secret/)
  })

  it("is told once of a failure, whoever of a pool, a loop of tools or an embedder has it", async () => {
    await using busy = await serve(refusal(503))
    await using well = await serve(text("no object"))
    const { lines, logger } = recording()
    const shared = { provider: "openai", model: "some-model", apiKey: "sk-a-secret" } as const
    await using client = createClient({
      llm: {
        provider: "fallback",
        members: [
          { ...shared, name: "first", baseUrl: busy.url },
          { ...shared, name: "second", baseUrl: well.url }
        ]
      },
      embedder: { ...shared, baseUrl: busy.url },
      retry: { retries: 0 },
      logger
    })
    const decode = (): never => {
      throw new Error("a secret prompt")
    }
    const source = { jsonSchema: { type: "object" }, decode }
    await client.generateObject(source, "a secret prompt", { maxAnswers: 1 }).catch(() => {})
    await client.runTools([], "a secret prompt", { timeout: 0 }).catch(() => {})
    await client.embed("a secret prompt").catch(() => {})
    expect(lines.map(({ level, message, fields: { event } }) => [level, event, message])).toEqual([
      ["warn", "moved", "moved from first to second: ServerError"],
      ["debug", "failed", "generateObject failed: ObjectMismatch"],
      ["warn", "refused", expect.stringMatching(/was refused: DeadlineExceeded$/)],
      ["debug", "failed", "embed failed: ServerError"]
    ])
    expect(JSON.stringify(lines)).not.toMatch(/secret/)
  })

  it("runs the hook of the options beside it", async () => {
    await using server = await serve(inTurn(refusal(503), text("hello")))
    const { lines, logger } = recording()
    let hooked = 0
    await using client = make(server, logger, { retry: { base: 1, onRetry: () => void hooked++ } })
    await client.generateText("?")
    expect(eventsOf(lines)).toEqual(["retry"])
    expect(hooked).toBe(1)
  })

  it("may be a Logger of Effect", async () => {
    await using server = await serve(inTurn(refusal(503), text("hello")))
    const seen: Array<unknown> = []
    const logger = EffectLogger.make(({ logLevel, message }) => void seen.push([logLevel, message]))
    await using client = make(server, logger)
    await client.generateText("?")
    expect(seen).toEqual([["Warn", [expect.stringMatching(/^retry 1 of/), expect.objectContaining({ retry: 1 })]]])
  })

  it("fails no call when it fails itself", async () => {
    await using server = await serve(inTurn(refusal(503), text("hello")))
    const { logger } = recording()
    const broken: PlainLogger = {
      ...logger,
      warn: () => {
        throw new Error("the disk is full")
      }
    }
    await using client = make(server, broken)
    expect((await client.generateText("?")).text).toBe("hello")
  })

  it("may be the console, and nothing less", () => {
    expect(() => createClient({ logger: console })).not.toThrow()
    // @ts-expect-error: three methods are missing
    expect(() => createClient({ logger: { debug: () => {} } })).toThrow(/^logger\.info: there is no such method/)
    // @ts-expect-error: not a logger
    expect(() => createClient({ logger: null })).toThrow(/^logger\.debug: there is no such method/)
  })

  it("is told of runs that are stopped", { timeout: 60_000 }, async () => {
    const { lines, logger } = recording()
    await using client = createClient({ logger })
    await client.executeCode("while True: pass", "python", { timeout: 300 }).catch(() => {})
    await client.executeCode("print(1)")
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({ level: "warn", fields: { event: "sandboxKilled", outcome: "timedOut" } })
  })
})
