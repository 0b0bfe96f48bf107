import {
  type Client,
  type ClientOptions,
  createClient,
  Draining,
  LlmError,
  tool,
  type ToolEvent,
  type Tool
} from "holdfast/promise"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Endpoint, startEndpoint } from "../fixtures/endpoint.ts"
import { type Server, serve } from "./server.ts"
import { cityJson, citySchema, standard } from "./standard.ts"

let endpoint: Endpoint

beforeAll(async () => {
  endpoint = await startEndpoint("openai")
})

afterAll(() => endpoint.close())

const make = (options: Partial<ClientOptions> = {}, baseUrl = endpoint.url): Client =>
  createClient({
    llm: { provider: "openai", apiKey: "sk-test", baseUrl, model: "some-model" },
    retry: { base: 1 },
    ...options
  })

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

const paris = { city: "Paris", population: 2_102_650 }

describe("generateObject", () => {
  it("gives the value of a Standard Schema that tells its JSON Schema, with the answer around it", async () => {
    await using client = make()
    const answer = await client.generateObject(citySchema, "object", { name: "city", description: "a city" })
    expect(answer).toMatchObject({ value: paris, answers: 1, finishReason: "stop" })
    expect(answer.usage.outputTokens).toBeGreaterThan(0)
    expect(endpoint.requests.at(-1)?.body).toMatchObject({
      response_format: { type: "json_schema", json_schema: { name: "city", description: "a city", schema: cityJson } }
    })
  })

  it("takes a schema or a decoder of any kind beside a JSON Schema", async () => {
    await using client = make()
    const { "~standard": props } = citySchema
    const { jsonSchema: _, ...silent } = props
    const schema = { "~standard": silent }
    expect((await client.generateObject({ jsonSchema: cityJson, schema }, "object")).value).toEqual(paris)
    const decode = async (value: unknown): Promise<number> => JSON.stringify(value).length
    const { value } = await client.generateObject({ jsonSchema: cityJson, decode }, "object")
    expect(value).toBe(JSON.stringify(paris).length)
  })

  it("asks again with what is wrong, and tells what all answers used", async () => {
    await using client = make()
    const atOnce = await client.generateObject(citySchema, "object")
    const before = endpoint.requests.length
    const mended = await client.generateObject(citySchema, "object-bad")
    expect(mended).toMatchObject({ value: paris, answers: 2 })
    expect(mended.attempts).toHaveLength(2)
    expect(mended.usage.inputTokens).toBeGreaterThan(atOnce.usage.inputTokens)
    expect(JSON.stringify(endpoint.requests[before + 1]?.body)).toContain("expected a number, got undefined")
  })

  it("rejects with ObjectMismatch when no answer fits, in the words of the decoder", async () => {
    await using client = make()
    const decode = (): never => {
      throw new Error("there is no such city")
    }
    const error = await settled(client.generateObject({ jsonSchema: cityJson, decode }, "object", { maxAnswers: 2 }))
    expect(error).toBeInstanceOf(LlmError)
    expect(error).toMatchObject({
      code: "ObjectMismatch",
      reason: { answers: 2, issues: ["there is no such city"], text: expect.stringContaining("Paris") },
      attempts: [{ outcome: "ok" }, { outcome: "ok" }]
    })
  })

  it("rejects with ContentFiltered when the model refuses, and asks no more", async () => {
    await using client = make()
    const before = endpoint.requests.length
    expect(await settled(client.generateObject(citySchema, "refusal"))).toMatchObject({ code: "ContentFiltered" })
    expect(endpoint.requests).toHaveLength(before + 1)
  })

  it("says which option is wrong before anything is sent", async () => {
    await using client = make()
    const before = endpoint.requests.length
    const silent = { "~standard": { version: 1, vendor: "old", validate: (value: unknown) => ({ value }) } } as const
    const wrong = async (promise: Promise<unknown>): Promise<string> => {
      const error = await settled(promise)
      return error instanceof TypeError ? error.message : String(error)
    }
    expect(await wrong(client.generateObject(citySchema, "object", { maxAnswers: 0 }))).toMatch(/^maxAnswers: 0 /)
    expect(await wrong(client.generateObject(citySchema, "object", { timeout: -1 }))).toMatch(/^timeout: -1 /)
    // @ts-expect-error: no schema
    expect(await wrong(client.generateObject(undefined, "object"))).toMatch(/^schema: give a Standard Schema/)
    // @ts-expect-error: it tells no JSON Schema
    expect(await wrong(client.generateObject(silent, "object"))).toMatch(
      /the schema of old .* \{ schema, jsonSchema \}/
    )
    // @ts-expect-error: no question
    expect(await wrong(client.generateObject(citySchema, undefined))).toMatch(/^input: /)
    expect(endpoint.requests).toHaveLength(before)
  })
})

const place = standard({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }, ({ city }) =>
  typeof city === "string" ? { value: { city } } : "city: expected a text"
)

const weather = tool({
  name: "get_weather",
  description: "The weather of a city",
  parameters: place,
  run: ({ city }) => `warm in ${city}`
})

const time = tool({ name: "get_time", description: "The time of day", run: () => ({ hour: 12 }) })

/** A tool that runs until it is told to stop. */
const endless = () => {
  const began = Promise.withResolvers<void>()
  const aborted = Promise.withResolvers<void>()
  const endless = tool({
    name: "get_time",
    description: "The time of day",
    run: (_, { signal }) => {
      signal.addEventListener("abort", () => aborted.resolve())
      began.resolve()
      return new Promise<never>(() => {})
    }
  })
  return { tool: endless, began: began.promise, aborted: aborted.promise }
}

/** A model that asks for the time, and says nothing when it is told. */
const silentAfterAsking = (isStream: boolean): Promise<Server> => {
  const call = { index: 0, id: "1", type: "function", function: { name: "get_time", arguments: "{}" } }
  const turn = { role: "assistant", content: null, tool_calls: [call] }
  const choice = { index: 0, finish_reason: "tool_calls", ...(isStream ? { delta: turn } : { message: turn }) }
  const body = JSON.stringify({ id: "1", model: "some-model", choices: [choice] })
  return serve((response, n) => {
    if (n > 0) return
    response.setHeader("content-type", isStream ? "text/event-stream" : "application/json")
    response.end(isStream ? `data: ${body}\n\ndata: [DONE]\n\n` : body)
  })
}

const answer = "It is 21 degrees in Paris at noon."

describe("runTools", () => {
  it("runs the tools of an answer at the same time, and goes on with what came of them", async () => {
    await using client = make()
    const both = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
    const contexts: Array<number> = []
    const result = await client.runTools(
      [
        tool({
          name: "get_weather",
          description: "The weather of a city",
          parameters: place,
          run: async ({ city }, { round }) => {
            contexts.push(round)
            both[0].resolve()
            await both[1].promise
            return `warm in ${city}`
          }
        }),
        tool({
          name: "get_time",
          description: "The time of day",
          run: async (_, { round }) => {
            contexts.push(round)
            both[1].resolve()
            await both[0].promise
            return { hour: 12 }
          }
        })
      ],
      "tools"
    )
    expect(result.text).toBe(answer)
    expect(result.rounds.map(({ results }) => results.map(({ content }) => content))).toEqual([
      ["warm in Paris", '{"hour":12}'],
      []
    ])
    expect(result.attempts).toHaveLength(2)
    expect(result.messages.at(-1)).toMatchObject({ role: "assistant" })
    expect(contexts).toEqual([1, 1])
  })

  it("tells the model of a tool that fails, and of arguments that do not fit", async () => {
    await using client = make()
    const broken = tool({
      name: "get_time",
      description: "The time of day",
      run: async () => {
        throw new Error("the clock stands still")
      }
    })
    let ran = 0
    const picky = tool({
      name: "get_weather",
      description: "The weather of a city",
      parameters: standard({ type: "object", properties: {} }, () => "zip: is missing"),
      run: () => void ran++
    })
    const { rounds, text } = await client.runTools([picky, broken], "tools")
    expect(text).toBe(answer)
    expect(rounds[0]?.results.map(({ content, outcome }) => [outcome, content])).toEqual([
      ["invalidInput", expect.stringContaining("zip: is missing")],
      ["failed", "Error: the clock stands still"]
    ])
    expect(ran).toBe(0)
    expect(JSON.stringify(endpoint.requests.at(-1)?.body)).toContain("the clock stands still")
  })

  it("rejects with a tool's own failure where the caller wants it, and stops the tools beside it", async () => {
    await using client = make()
    const running = endless()
    const failure = new Error("no weather today")
    const broken = tool({
      ...weather,
      run: async () => {
        await running.began
        throw failure
      }
    })
    expect(await settled(client.runTools([broken, running.tool], "tools", { onToolError: "caller" }))).toBe(failure)
    await running.aborted
  })

  it("rejects with the signal's reason when it is aborted, and aborts the signal of a running tool", async () => {
    await using client = make()
    const running = endless()
    const controller = new AbortController()
    const call = client.runTools([weather, running.tool], "tools", { signal: controller.signal })
    await running.began
    const reason = new Error("enough")
    controller.abort(reason)
    expect(await settled(call)).toBe(reason)
    await running.aborted
  })

  it("stops a tool that is running at the end of the time, and tells what was used until then", async () => {
    await using client = make()
    await client.runTools([weather, time], "tools")
    const running = endless()
    const error = await settled(client.runTools([weather, running.tool], "tools", { timeout: "1 second" }))
    expect(error).toMatchObject({
      code: "DeadlineExceeded",
      message: expect.stringMatching(/^llm runTools: the deadline of 1000 ms/),
      usage: { inputTokens: expect.any(Number), outputTokens: expect.any(Number) },
      attempts: [{ outcome: "ok" }]
    })
    await running.aborted
  })

  it("gives a tool its own time, of which the model is told", async () => {
    await using client = make()
    const running = endless()
    const { rounds } = await client.runTools([weather, { ...running.tool, timeout: 20 }], "tools")
    expect(rounds[0]?.results.map(({ outcome }) => outcome)).toEqual(["ok", "timedOut"])
    await running.aborted
  })

  it("keeps one time for all answers together", async () => {
    await using server = await silentAfterAsking(false)
    await using client = make({}, server.url)
    const error = await settled(client.runTools([time], "?", { timeout: "1 second" }))
    if (!(error instanceof LlmError) || error.reason._tag !== "DeadlineExceeded") throw error
    expect(error.attempts.map(({ outcome }) => outcome)).toEqual(["ok", "DeadlineExceeded"])
    // The second answer had what the first one and its tool had left.
    expect(error.reason.totalMillis).toBeLessThan(1000)
  })

  it("is one call to a closing client: it may finish within the grace, and is interrupted at its end", async () => {
    const gate = Promise.withResolvers<void>()
    const began = Promise.withResolvers<void>()
    const gated = tool({
      ...time,
      run: async () => {
        began.resolve()
        await gate.promise
        return 12
      }
    })
    const first = make()
    const finishing = first.runTools([weather, gated], "tools")
    await began.promise
    const closing = first.close({ grace: "20 seconds" })
    gate.resolve()
    expect((await finishing).text).toBe(answer)
    expect(await closing).toEqual({ finished: 1, interrupted: 0 })

    const second = make()
    const running = endless()
    const interrupted = settled(second.runTools([weather, running.tool], "tools"))
    await running.began
    expect(await second.close()).toEqual({ finished: 0, interrupted: 1 })
    expect(await interrupted).toBeInstanceOf(Draining)
    await running.aborted
  })

  it("has the defaults of a derived client, and its own options over them", async () => {
    await using client = make()
    const derived = client.with({ headers: { "x-team": "a", "x-who": "b" }, timeout: 0 })
    expect(await settled(derived.runTools([weather, time], "tools"))).toMatchObject({ code: "DeadlineExceeded" })
    const options = { timeout: "20 seconds", headers: { "x-who": "c" } } as const
    expect((await derived.runTools([weather, time], "tools", options)).text).toBe(answer)
    expect(endpoint.requests.at(-1)?.headers).toMatchObject({ "x-team": "a", "x-who": "c" })
    expect((await derived.generateObject(citySchema, "object", options)).value).toEqual(paris)
    expect(endpoint.requests.at(-1)?.headers).toMatchObject({ "x-team": "a", "x-who": "c" })
  })

  it("says which option is wrong before anything is sent", async () => {
    await using client = make()
    const before = endpoint.requests.length
    const wrong = async (tools: ReadonlyArray<unknown>, options: object = {}): Promise<ReadonlyArray<string>> => {
      const given: ReadonlyArray<Tool> = JSON.parse(JSON.stringify(tools), (_, value: unknown) =>
        value === "function" ? () => "" : value
      )
      const whole = await settled(client.runTools(given, "tools", options))
      const streamed = await settled(client.streamTools(given, "tools", options).next())
      return [whole, streamed].map((error) => (error instanceof TypeError ? error.message : String(error)))
    }
    const good = { name: "a", description: "", run: "function" }
    const cases: ReadonlyArray<readonly [Parameters<typeof wrong>, RegExp]> = [
      [[[good], { maxRounds: 0 }], /^maxRounds: 0 is not/],
      [[[good], { concurrency: Number.NaN }], /^concurrency: null is not/],
      [[[good], { onToolError: "modle" }], /^onToolError: "modle" is not one of "model", "caller"/],
      [[[good], { priority: "urgent" }], /^priority: "urgent"/],
      [[[good], { timeout: "soon" }], /^timeout: "soon" is not a time/],
      [[[{ name: "a", description: "" }]], /^tools\[0\]\.run: /],
      [[[good, { ...good, name: "" }]], /^tools\[1\]\.name: /],
      [[[{ ...good, timeout: "soon" }]], /^tools\[0\]\.timeout: "soon" is not a time/],
      [[[{ ...good, parameters: { type: "object" } }]], /^tools\[0\]\.parameters: give a Standard Schema/],
      [[[good, good]], /two tools have the same name/]
    ]
    for (const [given, message] of cases) {
      expect(await wrong(...given)).toEqual([expect.stringMatching(message), expect.stringMatching(message)])
    }
    expect(endpoint.requests).toHaveLength(before)
  })
})

describe("streamTools", () => {
  it("tells of all answers and tools as they come, and ends with how it ended", async () => {
    await using client = make()
    const events: Array<ToolEvent> = []
    for await (const event of client.streamTools([weather, time], "tools")) events.push(event)
    const told = events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1])
    expect(told).toEqual(["text", "toolCall", "round", "toolResult", "text", "round", "finish"])
    expect(events.flatMap((event) => (event.type === "toolResult" ? [event.content] : [])).toSorted()).toEqual([
      "warm in Paris",
      '{"hour":12}'
    ])
    expect(events.at(-1)).toMatchObject({ type: "finish", text: answer, attempts: [{}, {}] })
  })

  it("closes the connection when the loop is left", async () => {
    await using client = make()
    for await (const event of client.streamTools([weather, time], "text@stall:2")) {
      expect(event.type).toBe("text")
      break
    }
    await expect.poll(() => endpoint.requests.at(-1)?.isAborted).toBe(true)
  })

  it("aborts the signal of a running tool when the loop is left, the call is aborted, or its time is over", async () => {
    await using client = make()
    const left = endless()
    const events = client.streamTools([weather, left.tool], "tools")
    const all = Array.fromAsync(events)
    await left.began
    await events.return?.()
    await left.aborted
    expect((await all).every(({ type }) => type !== "finish")).toBe(true)

    const stopped = endless()
    const controller = new AbortController()
    const waiting = Array.fromAsync(client.streamTools([stopped.tool, weather], "tools", { signal: controller.signal }))
    await stopped.began
    const reason = new Error("enough")
    controller.abort(reason)
    expect(await settled(waiting)).toBe(reason)
    await stopped.aborted

    const late = endless()
    const error = await settled(
      Array.fromAsync(client.streamTools([weather, late.tool], "tools", { timeout: "1 second" }))
    )
    expect(error).toMatchObject({
      code: "DeadlineExceeded",
      message: expect.stringMatching(/^llm streamTools: the deadline of 1000 ms/),
      attempts: [{ outcome: "ok" }]
    })
    await late.aborted
  })

  it("keeps one time for all answers together", async () => {
    await using server = await silentAfterAsking(true)
    await using client = make({}, server.url)
    const error = await settled(Array.fromAsync(client.streamTools([time], "?", { timeout: "1 second" })))
    if (!(error instanceof LlmError) || error.reason._tag !== "DeadlineExceeded") throw error
    expect(error.attempts).toHaveLength(2)
    expect(error.reason.totalMillis).toBeLessThan(1000)
  })
})
