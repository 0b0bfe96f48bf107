import { inspect } from "node:util"
import {
  type ClientOptions,
  createClient,
  DeadlineExceeded,
  LlmError,
  type LlmOptions,
  type SingleOptions
} from "holdfast/promise"
import { afterEach, describe, expect, it, vi } from "vitest"
import { type Endpoint, type Name, startEndpoint } from "../fixtures/endpoint.ts"
import { keyId, secret, startEvolution } from "../fixtures/evolution.ts"
import { refusal, type Server, serve, text } from "./server.ts"

afterEach(() => vi.unstubAllEnvs())

const make = (llm: LlmOptions, options: Partial<ClientOptions> = {}) =>
  createClient({ llm, retry: { retries: 0 }, ...options })

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

const local = "http://127.0.0.1:9/v1"

describe("the options of a model", () => {
  /** What is said of these options. */
  const wrong = (llm: object): string => {
    try {
      make({ provider: "openai", model: "some-model", ...llm })
      return "accepted"
    } catch (error) {
      return error instanceof TypeError ? error.message : "another error"
    }
  }

  it("are refused in one line that names the one that is wrong", () => {
    const cases: ReadonlyArray<readonly [object, string | RegExp]> = [
      [{ provider: "nobody" }, /^llm\.provider: "nobody" is not one of "openai", .*"pool", "fallback"$/],
      [{ model: "" }, "llm.model: give the name of a model"],
      [{ baseUrl: "nowhere" }, /^llm\.baseUrl: "nowhere" is not an http\(s\) URL/],
      [{ baseUrl: "ftp://x" }, /^llm\.baseUrl: /],
      [{ headers: { a: 1 } }, /^llm\.headers: /],
      [{ onCut: "again" }, 'llm.onCut: "again" is not one of "fail", "restart", "continue"'],
      [{ prefix: "beta" }, /^llm\.prefix: "beta" is not one of/],
      [{ jsonSchema: "yes" }, 'llm.jsonSchema: "yes" is not one of true, false'],
      [{ maxTokensField: "tokens" }, /^llm\.maxTokensField: "tokens" is not one of/],
      [{ version: "2026-10-21" }, /^llm\.version: there is no such option; there are provider, model,/],
      [{ provider: "anthropic", version: "2024-01-01" }, /^llm\.version: "2024-01-01" is not one of "2026-10-21"/],
      [{ provider: "anthropic", maxTokens: 0 }, "llm.maxTokens: 0 is not a number of at least 1"],
      [{ provider: "anthropic", betas: "one" }, "llm.betas: give a list of names"],
      [{ provider: "anthropic", onCut: "continue" }, /^llm\.onCut: "continue" needs version: "2023-06-01"/],
      [{ provider: "gemini", onCut: "continue" }, 'llm.onCut: "continue" is not one of "fail", "restart"'],
      [{ provider: "evolution", model: undefined, tokenUrl: "iam" }, /^llm\.tokenUrl: "iam" is not an http/],
      [{ provider: "evolution", scheme: "Basic" }, /^llm\.scheme: "Basic" is not one of "Bearer", "Api-Key"/],
      [{ provider: "evolution", model: undefined, apiKey: "k" }, "llm.model: give the name of a model"]
    ]
    for (const [llm, message] of cases) expect(wrong(llm)).toEqual(expect.stringMatching(message))
    expect(wrong({ jsonSchema: false, prefix: "prefix", onCut: "continue", baseUrl: local })).toBe("accepted")
    expect(wrong({ provider: "anthropic", version: "2023-06-01", onCut: "continue" })).toBe("accepted")
    expect(wrong({ provider: "evolution", model: undefined })).toBe("accepted")
  })

  it("are refused without a word of what stands in the place of a secret", () => {
    for (const name of ["apiKey", "keyId", "secret"]) {
      const said = wrong({ provider: "evolution", [name]: { hidden: "the-secret" } })
      expect(said).toBe(`llm.${name}: this is a object, not a text`)
    }
  })

  it("are refused in a pool and a fallback by the place of the member", () => {
    const member = { provider: "openai", model: "some-model" }
    const pool = (...members: ReadonlyArray<unknown>): object => ({ provider: "pool", members })
    const said = (llm: object): string => {
      try {
        createClient(JSON.parse(JSON.stringify({ llm })))
        return "accepted"
      } catch (error) {
        return error instanceof TypeError ? error.message : "another error"
      }
    }
    const cases: ReadonlyArray<readonly [object, string | RegExp]> = [
      [pool(), "llm.members: give at least one member"],
      [{ ...pool(member), strategy: "random" }, 'llm.strategy: "random" is not one of "leastInFlight", "roundRobin"'],
      [{ ...pool(member), coolDown: "soon" }, /^llm\.coolDown: "soon" is not a time/],
      [{ ...pool(member), keyCoolDown: -1 }, /^llm\.keyCoolDown: -1 is not a time/],
      [{ ...pool(member), onMove: "log" }, 'llm.onMove: "log" is not a function'],
      [{ ...pool(member), cooldown: 1 }, /^llm\.cooldown: there is no such option; there are .*coolDown/],
      [pool(member, { ...member, weight: 0 }), "llm.members[1].weight: 0 is not a number above 0"],
      [pool(member, { ...member, weight: "2" }), 'llm.members[1].weight: "2" is not a number above 0'],
      [
        pool({ ...member, name: "a" }, { ...member, name: "a" }),
        /^llm\.members\[1\]\.name: "a" is the name of another/
      ],
      [pool({ ...member, name: "llm 2" }, member), /^llm\.members\[1\]\.name: "llm 2" is the name of another/],
      [pool({ ...member, longerContext: true }), /^llm\.members\[0\]\.longerContext: there is no such option/],
      [pool(member, pool(member)), /^llm\.members\[1\]\.provider: "pool" is not one of "openai"/],
      [pool(member, null), "llm.members[1]: give the options of one model"],
      [pool(member, { ...member, baseUrl: "x" }), /^llm\.members\[1\]\.baseUrl: "x"/],
      [{ ...pool({ ...member, weight: 2 }), provider: "fallback" }, /^llm\.members\[0\]\.weight: there is no such/],
      [{ ...pool(member), provider: "fallback", onFallback: 1 }, "llm.onFallback: 1 is not a function"],
      [pool({ ...member, weight: 2 }, member), "accepted"]
    ]
    for (const [llm, message] of cases) expect(said(llm)).toEqual(expect.stringMatching(toPattern(message)))
  })

  const toPattern = (message: string | RegExp): RegExp =>
    typeof message === "string" ? new RegExp(`^${message.replace(/[[\].()]/g, String.raw`\$&`)}$`) : message
})

const variables = {
  openai: ["OPENAI_API_KEY", "OPENAI_BASE_URL"],
  deepseek: ["DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL"],
  anthropic: ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"],
  gemini: ["GEMINI_API_KEY", "GEMINI_BASE_URL"]
} as const

const providers: ReadonlyArray<Name> = ["openai", "deepseek", "anthropic", "gemini"]

const keyOf = (provider: string): string => `key-of-${provider}`

/** An environment with a key of everybody. */
const stubKeys = (): void => {
  for (const [provider, [key, address]] of Object.entries(variables)) {
    vi.stubEnv(key, keyOf(provider))
    vi.stubEnv(address, "")
  }
  vi.stubEnv("GOOGLE_API_KEY", "key-of-google")
  vi.stubEnv("EVOLUTION_API_KEY", "key-of-evolution")
}

/** Everything that a server was told. */
const told = (endpoint: Endpoint): string => JSON.stringify(endpoint.requests)

describe("keys", () => {
  it.each(providers)(
    "of the environment go to the address of %s in the environment, each to its own",
    async (provider) => {
      await using endpoint = await startEndpoint(provider)
      stubKeys()
      vi.stubEnv(variables[provider][1], endpoint.url)
      await using client = make({ provider, model: "some-model" })
      await client.generateText("text")
      expect(told(endpoint).match(/key-of-\w+/g)).toEqual([keyOf(provider)])
    }
  )

  it.each(providers)("of the environment go to no other address, though %s is asked for", async (provider) => {
    await using endpoint = await startEndpoint(provider)
    stubKeys()
    await using client = make({ provider, model: "some-model", baseUrl: endpoint.url })
    await settled(client.generateText("text"))
    expect(endpoint.requests).toHaveLength(1)
    expect(told(endpoint)).not.toMatch(/key-of/)
  })

  it("of the options go where the options say, over those of the environment", async () => {
    await using endpoint = await startEndpoint("gemini")
    stubKeys()
    await using client = make({ provider: "gemini", model: "some-model", baseUrl: endpoint.url, apiKey: "own-key" })
    await client.generateText("text")
    expect(endpoint.requests[0]?.headers["x-goog-api-key"]).toBe("own-key")
  })

  it("that are missing are named with the variable and the option, in one line and in no other's words", async () => {
    for (const names of Object.values(variables)) for (const name of names) vi.stubEnv(name, "")
    for (const name of ["GOOGLE_API_KEY", "EVOLUTION_KEY_ID", "EVOLUTION_SECRET", "EVOLUTION_API_KEY"])
      vi.stubEnv(name, "")
    const cases: ReadonlyArray<readonly [SingleOptions["provider"], string, string]> = [
      ["openai", "no API key: set OPENAI_API_KEY", "; or give createClient llm.apiKey"],
      ["deepseek", "no API key: set DEEPSEEK_API_KEY", "; or give createClient llm.apiKey"],
      ["anthropic", "no API key: set ANTHROPIC_API_KEY", "; or give createClient llm.apiKey"],
      ["gemini", "no API key: set GEMINI_API_KEY or GOOGLE_API_KEY", "; or give createClient llm.apiKey"],
      [
        "evolution",
        "no credentials: set EVOLUTION_KEY_ID",
        "; or give createClient llm.keyId, llm.secret and llm.baseUrl"
      ]
    ]
    for (const [provider, start, end] of cases) {
      await using client = make({ provider, model: "some-model", apiKey: "" })
      const error = await settled(client.generateText("?"))
      if (!(error instanceof LlmError)) throw error
      expect(error.code).toBe("Unauthorized")
      expect(error.message).toContain(`llm ${provider}: not authorized (${start}`)
      expect(error.message).toContain(end)
      expect(error.message).not.toMatch(/\n|SourceError|SchemaError|ConfigError/)
      expect(await settled(client.streamText("?").next())).toMatchObject({ message: error.message })
    }
    await using pool = make({
      provider: "pool",
      members: [
        { provider: "openai", model: "m", baseUrl: local },
        { provider: "deepseek", model: "m" }
      ]
    })
    expect(await settled(pool.generateText("?"))).toMatchObject({
      message: expect.stringContaining("give createClient llm.members[1].apiKey")
    })
  })

  it("are not in what is printed of a client", async () => {
    await using client = make({ provider: "evolution", keyId: "a", secret: "the-secret-half", baseUrl: local })
    await settled(client.generateText("?"))
    expect(inspect(client, { depth: 12 }) + JSON.stringify(client)).not.toContain("the-secret-half")
  })
})

describe("evolution", () => {
  it("gets one token for twenty calls, and one more when that is refused", async () => {
    await using evolution = await startEvolution()
    const { baseUrl, tokenUrl } = evolution
    await using client = make({ provider: "evolution", keyId, secret, baseUrl, tokenUrl })
    const twenty = async (): Promise<ReadonlyArray<string>> => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.generateText("?")))
      return answers.map((answer) => answer.text)
    }
    expect(await twenty()).toEqual(Array.from({ length: 20 }, () => "hello"))
    expect(evolution.tokenRequests).toHaveLength(1)
    evolution.revoke()
    expect(await twenty()).toHaveLength(20)
    expect(evolution.tokenRequests).toHaveLength(2)
  })

  it("takes a pair from the environment, or a static key with its word", async () => {
    await using evolution = await startEvolution()
    vi.stubEnv("EVOLUTION_KEY_ID", keyId)
    vi.stubEnv("EVOLUTION_SECRET", secret)
    vi.stubEnv("EVOLUTION_BASE_URL", evolution.baseUrl)
    vi.stubEnv("EVOLUTION_TOKEN_URL", evolution.tokenUrl)
    await using pair = make({ provider: "evolution" })
    expect((await pair.generateText("?")).text).toBe("hello")
    expect(evolution.tokenRequests).toEqual([{ keyId, secret }])
    await using fixed = make({ provider: "evolution", model: "m", apiKey: "static-key", scheme: "Bearer" })
    expect((await fixed.generateText("?")).text).toBe("hello")
    expect(evolution.tokenRequests).toHaveLength(1)
    expect(evolution.modelRequests.at(-1)?.headers.authorization).toBe("Bearer static-key")
  })
})

const member = ({ url }: Server, name: string) =>
  ({ provider: "openai", model: "some-model", baseUrl: url, name }) as const

describe("several models", () => {
  it("share the calls in a pool, whose answers name who served them", async () => {
    await using server = await serve(text("hello"))
    await using client = make({
      provider: "pool",
      strategy: "roundRobin",
      members: [{ ...member(server, "a"), weight: 2 }, member(server, "b")]
    })
    const served: Array<string | undefined> = []
    for (let call = 0; call < 6; call++) served.push((await client.generateText("?")).servedBy)
    expect(served.filter((name) => name === "a")).toHaveLength(4)
    expect(served.filter((name) => name === "b")).toHaveLength(2)
    for await (const event of client.streamText("?")) if (event.type === "finish") expect(event.servedBy).toMatch(/a|b/)
  })

  it("take over from each other, and their hooks are told; one that fails changes nothing", async () => {
    await using busy = await serve(refusal(503))
    await using well = await serve(text("hello"))
    const moves: Array<unknown> = []
    const note = (move: { readonly from: string; readonly to: string }): void => {
      moves.push([move.from, move.to])
      throw new Error("the disk is full")
    }
    await using fallback = make({
      provider: "fallback",
      members: [member(busy, "first"), member(well, "second")],
      onFallback: note
    })
    expect(await fallback.generateText("?")).toMatchObject({ servedBy: "second", attempts: [{}, {}] })
    await using pool = make({
      provider: "pool",
      members: [member(busy, "a"), member(well, "b")],
      coolDown: "1 hour",
      onMove: note
    })
    for (let call = 0; call < 3; call++) expect((await pool.generateText("?")).servedBy).toBe("b")
    expect(moves).toEqual([
      ["first", "second"],
      ["a", "b"]
    ])
  })

  it("send what is too long to the one with a longer context", async () => {
    await using short = await startEndpoint("openai")
    await using long = await serve(text("hello"))
    const options = { provider: "openai", model: "m", baseUrl: short.url, apiKey: "k" } as const
    await using client = make({
      provider: "fallback",
      members: [
        { ...options, name: "short" },
        { ...options, name: "same" },
        { ...member(long, "long"), longerContext: true }
      ]
    })
    const { servedBy } = await client.generateText("error-400-context_length_exceeded")
    expect(servedBy).toBe("long")
  })

  it("have the time of a call together, the call's own and the client's", async () => {
    await using silent = await serve(() => {})
    await using other = await serve(() => {})
    for (const provider of ["pool", "fallback"] as const) {
      const members = [member(silent, "a"), member(other, "b")] as const
      await using client = make({ provider, members })
      const error = await settled(client.generateText("?", { timeout: 200 }))
      expect(error).toMatchObject({ code: "DeadlineExceeded", reason: expect.any(DeadlineExceeded) })
      await using hasty = make({ provider, members }, { timeout: { total: 200 } })
      expect(await settled(hasty.generateText("?"))).toMatchObject({ code: "DeadlineExceeded" })
      expect(await settled(hasty.streamText("?").next())).toMatchObject({ code: "DeadlineExceeded" })
    }
    // Whoever was asked first used it up.
    expect([...silent.headers, ...other.headers]).toHaveLength(6)
  })
})

describe("a stream that breaks", () => {
  it("fails with what it said, or begins again after a `reset` where the options or the call want it", async () => {
    await using endpoint = await startEndpoint("openai")
    const options = { provider: "openai", model: "some-model", apiKey: "k", baseUrl: endpoint.url } as const
    await using client = make(options)
    const whole = (await client.generateText("text")).text
    const read = async (events: AsyncIterable<{ readonly type: string; readonly text?: string }>): Promise<string> => {
      let said = ""
      for await (const event of events) {
        if (event.type === "reset") said = ""
        if (event.type === "text") said += event.text
      }
      return said
    }
    const error = await settled(read(client.streamText("text@cut:3")))
    if (!(error instanceof LlmError) || error.reason._tag !== "StreamCut") throw error
    expect(error.reason.partial.length).toBeGreaterThan(0)
    expect(whole.startsWith(error.reason.partial)).toBe(true)
    const retry = { retry: { base: 1 } }
    await using restarting = make({ ...options, onCut: "restart" }, retry)
    expect(await read(restarting.streamText("text@cut:2*1"))).toBe(whole)
    await using usual = make(options, retry)
    expect(await read(usual.streamText("text@cut:1*1", { onCut: "restart" }))).toBe(whole)
  })
})

describe("cost", () => {
  it("is told by the prices of the options, of answers, objects, tools and vectors", async () => {
    await using endpoint = await startEndpoint("openai")
    const shared = { provider: "openai", model: "some-model", apiKey: "k", baseUrl: endpoint.url } as const
    await using unpriced = createClient({ llm: shared, embedder: shared })
    const { cost, model, usage } = await unpriced.generateText("text")
    const known = { "some-model": { input: 1, output: 0 }, [model]: { input: 1_000_000, output: 2_000_000 } }
    await using client = createClient({ llm: shared, embedder: shared, prices: known })
    const priced = await client.generateText("text")
    expect(priced.cost).toBe(usage.inputTokens + 2 * usage.outputTokens)
    expect(priced.cost).not.toBe(cost)
    expect((await client.embedMany(["text"])).cost).toBeGreaterThan(0)
    expect((await unpriced.embedMany(["text"])).cost).toBeUndefined()
  })

  it("is refused where a price is wrong", () => {
    const priced = (price: object) => () =>
      createClient({ prices: JSON.parse(JSON.stringify({ "some-model": price })) })
    expect(priced({ input: 1 })).toThrow('prices["some-model"]: give its input and its output')
    expect(priced({ input: -1, output: 1 })).toThrow('prices["some-model"].input: -1 is not a number of at least 0')
    expect(priced({ input: 1, output: 1, cached: 1 })).toThrow('prices["some-model"].cached: there is no such option')
  })
})
