/** The official Anthropic client over our fake endpoint: what it accepts is what Anthropic sends. */
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError
} from "@anthropic-ai/sdk"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { deltasOf, type Endpoint, startEndpoint } from "../../fixtures/endpoint.ts"
import { errors } from "../../fixtures/errors.ts"

type Params = Anthropic.MessageCreateParamsNonStreaming

let endpoint: Endpoint
let client: Anthropic

beforeAll(async () => {
  endpoint = await startEndpoint("anthropic")
  client = new Anthropic({ apiKey: "sk-ant-test", baseURL: endpoint.url, maxRetries: 0 })
})

afterAll(() => endpoint.close())

const tools: Array<Anthropic.Tool> = [
  {
    name: "get_weather",
    description: "The weather of the next days.",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
  },
  { name: "get_time", input_schema: { type: "object", properties: {} } }
]

const asking = (content: string, more: Partial<Params> = {}): Params => ({
  model: "claude-sonnet-5",
  max_tokens: 4096,
  messages: [{ role: "user", content }],
  ...more
})

const ask = (content: string, more?: Partial<Params>) => client.messages.create(asking(content, more))

const streamed = (content: string, more?: Partial<Params>) =>
  client.messages.stream(asking(content, more)).finalMessage()

/** The text of a raw stream, and its end. */
const read = async (content: string, more?: Partial<Params>) => {
  const seen = { text: "", stop: "", types: new Set<string>() }
  try {
    for await (const event of await client.messages.create({ ...asking(content, more), stream: true })) {
      seen.types.add(event.type)
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") seen.text += event.delta.text
      if (event.type === "message_delta") seen.stop = event.delta.stop_reason ?? seen.stop
    }
    return { ...seen, error: undefined }
  } catch (error) {
    return { ...seen, error }
  }
}

const failure = async (promise: PromiseLike<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error
  )

const textOf = ({ content }: Anthropic.Message): string =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("")

describe("anthropic", () => {
  it.each([
    ["text", "Paris is the capital of France.", "end_turn", 12, 7],
    ["unicode", "naïve 🎉🚀 日本語", "end_turn", 15, 11],
    ["length", "Paris is", "max_tokens", 12, 2],
    ["cached", "Paris is the capital of France.", "end_turn", 4, 7]
  ])("reads %s, whole and streamed", async (name, text, stop, input, output) => {
    const whole = await ask(name)
    const final = await streamed(name)
    for (const message of [whole, final]) {
      expect(textOf(message)).toBe(text)
      expect(message.stop_reason).toBe(stop)
      expect(message.usage).toMatchObject({ input_tokens: input, output_tokens: output })
    }
    expect(whole._request_id).toMatch(/^req_\d+$/)
    expect(final.content).toEqual(whole.content)
    expect(await read(name)).toMatchObject({ text, stop, error: undefined })
  })

  it("reads a stream of one byte a packet", async () => {
    expect(await read("unicode@bytes")).toMatchObject({ text: "naïve 🎉🚀 日本語", error: undefined })
  })

  it("reads what came from the cache and what went into it", async () => {
    const cached = { input_tokens: 4, cache_read_input_tokens: 5, cache_creation_input_tokens: 3 }
    expect((await ask("cached")).usage).toMatchObject(cached)
    expect((await streamed("cached")).usage).toMatchObject(cached)
  })

  it("reads two tool calls, one without any input, and goes on with their results", async () => {
    for (const message of [await ask("tools", { tools }), await streamed("tools", { tools })]) {
      expect(message.stop_reason).toBe("tool_use")
      expect(textOf(message)).toBe("Let me look.")
      const calls = message.content.filter((block) => block.type === "tool_use")
      expect(calls.map(({ id, input, name }) => [id, name, input])).toEqual([
        ["toolu_1", "get_weather", { city: "Paris", days: 2 }],
        ["toolu_2", "get_time", {}]
      ])
      const results = calls.map(({ id }) => ({ type: "tool_result" as const, tool_use_id: id, content: "21" }))
      const go = (content: Array<Anthropic.ContentBlockParam>) =>
        ask("", {
          messages: [
            { role: "user", content: "tools" },
            { role: "assistant", content: message.content },
            { role: "user", content }
          ],
          tools
        })
      expect(textOf(await go(results))).toBe("It is 21 degrees in Paris at noon.")
      const missing = await failure(go(results.slice(0, 1)))
      expect(missing).toBeInstanceOf(BadRequestError)
      expect(String(missing)).toContain("without `tool_result` blocks immediately after: toolu_2")
      const late = await failure(go([{ type: "text", text: "here" }, ...results]))
      expect(String(late)).toContain("must come before any other content")
    }
  })

  it("parses an object, and sends its schema", async () => {
    const schema = {
      type: "object",
      properties: { city: { type: "string" }, population: { type: "integer" } },
      required: ["city", "population"],
      additionalProperties: false
    }
    const output_config: Anthropic.OutputConfig = { format: { type: "json_schema", schema } }
    const paris = { city: "Paris", population: 2102650 }
    expect(JSON.parse(textOf(await ask("object", { output_config })))).toEqual(paris)
    expect(JSON.parse(textOf(await streamed("object", { output_config })))).toEqual(paris)
    expect(await failure(ask("object"))).toBeInstanceOf(BadRequestError)
    const loose: Anthropic.OutputConfig = {
      format: { type: "json_schema", schema: { type: "object", properties: {} } }
    }
    expect(String(await failure(ask("object", { output_config: loose })))).toContain("'additionalProperties' must be")
    expect(textOf(await ask("object-bad", { output_config }))).toBe('{"city":"Paris"}')
    const messages: Params["messages"] = [
      { role: "user", content: "object-bad" },
      { role: "assistant", content: '{"city":"Paris"}' },
      { role: "user", content: "population is missing" }
    ]
    expect(JSON.parse(textOf(await ask("", { messages, output_config })))).toEqual(paris)
  })

  it("reads reasoning with its signature, and what of it is redacted", async () => {
    for (const { content, usage } of [await ask("reasoning"), await streamed("reasoning")]) {
      expect(content).toMatchObject([
        { type: "thinking", thinking: "France, so Paris.", signature: "sig-1" },
        { type: "redacted_thinking", data: "cmVk" },
        { type: "text", text: "Paris." }
      ])
      expect(usage.output_tokens).toBe(9)
      expect(usage.output_tokens_details?.thinking_tokens).toBe(5)
    }
  })

  it("wants its reasoning back unchanged before the call that came of it", async () => {
    for (const { content } of [await ask("reasoning-tools", { tools }), await streamed("reasoning-tools", { tools })]) {
      const go = (turn: Array<Anthropic.ContentBlockParam>) => {
        const result = { type: "tool_result" as const, tool_use_id: "toolu_1", content: "sun" }
        const messages: Params["messages"] = [
          { role: "user", content: "reasoning-tools" },
          { role: "assistant", content: turn },
          { role: "user", content: [result] }
        ]
        return ask("", { messages, tools, thinking: { type: "adaptive" } })
      }
      expect(textOf(await go(content))).toBe("Sunny.")
      expect(String(await failure(go(content.slice(1))))).toContain("Expected `thinking`")
      const changed = content.map((block) => (block.type === "thinking" ? { ...block, thinking: "No." } : block))
      expect(String(await failure(go(changed)))).toContain("cannot be modified")
      const unsigned = content.map((block) => (block.type === "thinking" ? { ...block, signature: "" } : block))
      expect(String(await failure(go(unsigned)))).toContain("Invalid `signature`")
    }
  })

  it("reads a refusal", async () => {
    for (const message of [await ask("refusal"), await streamed("refusal")]) {
      expect(message).toMatchObject({ content: [], stop_reason: "refusal", stop_details: { type: "refusal" } })
    }
  })

  it("survives fields, events, blocks and deltas that it does not know", async () => {
    expect(await ask("extras")).toMatchObject({ stop_reason: "vibes" })
    const final = await streamed("extras")
    expect(textOf(final)).toBe("Paris is the capital of France.")
    expect(final.stop_reason).toBe("vibes")
    expect(await read("extras")).toMatchObject({
      text: "Paris is the capital of France.",
      stop: "vibes",
      error: undefined
    })
  })

  it("sees images and documents", async () => {
    const source = { type: "base64" as const, media_type: "image/png" as const, data: "iVBORw0KGgo=" }
    const seen = (content: Array<Anthropic.ContentBlockParam>) => ask("", { messages: [{ role: "user", content }] })
    const image = await seen([
      { type: "text", text: "image" },
      { type: "image", source }
    ])
    expect(textOf(image)).toBe("I see it.")
    const file = await seen([
      { type: "text", text: "file" },
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" } }
    ])
    expect(textOf(file)).toBe("I see it.")
    const broken = seen([
      { type: "text", text: "image" },
      { type: "image", source: { ...source, data: "data:image/png;base64,iVBORw0KGgo=" } }
    ])
    expect(await failure(broken)).toBeInstanceOf(BadRequestError)
  })

  it("counts tokens and lists models", async () => {
    const counted = await client.messages.countTokens({ model: "m", messages: [{ role: "user", content: "text" }] })
    expect(counted.input_tokens).toBeGreaterThan(0)
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["claude-sonnet-5"])
  })
})

describe("anthropic errors", () => {
  it.each(errors.anthropic.map((row) => [row.case, row.status] as const))(
    "tells %s by its status %i",
    async (name, status) => {
      const error = await failure(ask(name))
      expect(error).toBeInstanceOf(APIError)
      expect(error).toMatchObject({ status })
      expect(await failure(client.messages.create({ ...asking(name), stream: true }))).toMatchObject({ status })
    }
  )

  it("has a class per status", async () => {
    const classes = {
      400: BadRequestError,
      401: AuthenticationError,
      403: PermissionDeniedError,
      404: NotFoundError,
      409: ConflictError,
      429: RateLimitError,
      500: InternalServerError
    }
    for (const [status, type] of Object.entries(classes)) {
      expect(await failure(ask(`error-${status}`))).toBeInstanceOf(type)
    }
  })

  it("reads type, details and headers", async () => {
    const error = await failure(ask("error-429-enforced_spend_limit_reached"))
    expect(error).toMatchObject({
      type: "rate_limit_error",
      requestID: expect.stringMatching(/^req_\d+$/),
      error: { error: { details: { error_code: "enforced_spend_limit_reached" } } }
    })
    const headers = (caught: unknown) => (caught instanceof APIError ? caught.headers : undefined)
    expect(headers(error)?.get("retry-after")).toBeNull()
    expect(headers(await failure(ask("error-429-rate_limit_error")))?.get("retry-after")).toBe("34")
  })

  it("refuses a bad key, in either of its headers", async () => {
    const bad = new Anthropic({ apiKey: "bad-key", baseURL: endpoint.url, maxRetries: 0 })
    expect(await failure(bad.messages.create(asking("text")))).toBeInstanceOf(AuthenticationError)
    const headers = { "x-api-key": "bad-key", "anthropic-version": "2023-06-01" }
    expect((await fetch(`${endpoint.url}/v1/models`, { headers })).status).toBe(401)
    expect((await fetch(`${endpoint.url}/v1/models`)).status).toBe(401)
  })

  const post = async (body: object, version: string | undefined) => {
    const headers = {
      "x-api-key": "k",
      "content-type": "application/json",
      ...(version && { "anthropic-version": version })
    }
    const response = await fetch(`${endpoint.url}/v1/messages`, { method: "POST", headers, body: JSON.stringify(body) })
    return `${response.status} ${await response.text()}`
  }

  it("takes a temperature only in its older version", async () => {
    const body = { ...asking("text"), temperature: 0.5 }
    expect(await post(body, "2023-06-01")).toContain("200 ")
    expect(await post(body, "2026-10-21")).toMatch(/^400 .*temperature: Extra inputs are not permitted/)
  })

  it("wants a version that exists", async () => {
    expect(await post(asking("text"), undefined)).toMatch(/^400 .*anthropic-version: header is required/)
    expect(await post(asking("text"), "2027-01-01")).toMatch(/^400 .*is not a valid version/)
  })

  it.each([
    ["a field that does not exist", { mood: 11 }, "mood: Extra inputs are not permitted"],
    ["a request without max_tokens", { max_tokens: undefined }, "max_tokens: Field required"],
    [
      "a role that does not exist",
      { messages: [{ role: "tool", content: "x" }] },
      "messages.0.role: Input should be 'user'"
    ],
    [
      "a field of another provider's message",
      { messages: [{ role: "user", content: "x", name: "y" }] },
      "messages.0.name: Extra inputs"
    ],
    ["an assistant at the start", { messages: [{ role: "assistant", content: "x" }] }, "first message must use"],
    ["an empty text", { messages: [{ role: "user", content: [{ type: "text", text: "" }] }] }, "must be non-empty"],
    ["a tool without a schema", { tools: [{ name: "x" }] }, "tools.0.input_schema: Field required"],
    ["a choice without tools", { tool_choice: { type: "auto" } }, "only be specified while providing tools"]
  ])("refuses %s", async (_, wrong, said) => {
    expect(await post({ ...asking("text"), ...wrong }, "2026-10-21")).toContain(said)
  })
})

describe("anthropic streams that go wrong", () => {
  it("ends as if all were well when the end is missing", async () => {
    expect(await read("text@end:3")).toMatchObject({ text: "Paris is the", stop: "", error: undefined })
    expect(String(await failure(streamed("text@end:3")))).toContain("stream ended")
  })

  it("breaks where the socket breaks, wherever that is", async () => {
    for (let at = 0; at <= deltasOf("anthropic", "text"); at++) {
      const { error, text } = await read(`text@cut:${at}`)
      expect(text).toBe(["Paris", " is", " the", " capital", " of", " France", "."].slice(0, at).join(""))
      expect(String(error)).toContain("terminated")
    }
  })

  it("tells an error in the middle without a status", async () => {
    const { error, text } = await read("text@error:2")
    expect(text).toBe("Paris is")
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({ status: undefined, type: "overloaded_error" })
  })

  it("keeps a silent stream open until the client goes", async () => {
    const events = await client.messages.create({ ...asking("text@stall:1"), stream: true })
    const timer = setTimeout(() => events.controller.abort(), 100)
    let text = ""
    for await (const event of events) {
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text
    }
    clearTimeout(timer)
    expect(text).toBe("Paris")
    const logged = endpoint.requests.at(-1)
    await expect.poll(() => logged?.isAborted).toBe(true)
  })
})
