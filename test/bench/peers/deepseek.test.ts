/** DeepSeek speaks OpenAI's format, so OpenAI's client reads our fake of it; what is DeepSeek's own passes through. */
import OpenAI, { BadRequestError, UnprocessableEntityError } from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Endpoint, startEndpoint } from "../../fixtures/endpoint.ts"
import { errors } from "../../fixtures/errors.ts"

type Params = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "stream">
type Message = OpenAI.ChatCompletionMessageParam

let endpoint: Endpoint
let client: OpenAI

beforeAll(async () => {
  endpoint = await startEndpoint("deepseek")
  client = new OpenAI({ apiKey: "sk-test", baseURL: endpoint.url, maxRetries: 0 })
})

afterAll(() => endpoint.close())

const model = "deepseek-flash"

const weather: OpenAI.ChatCompletionTool = {
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } }
}
const tools: Array<OpenAI.ChatCompletionTool> = [weather, { type: "function", function: { name: "get_time" } }]

const json: Partial<Params> = { response_format: { type: "json_object" } }

const asking = (content: string, more: Partial<Params> = {}): Params => {
  const messages: Array<Message> = [
    { role: "system", content: "Answer in json." },
    { role: "user", content }
  ]
  return { model, messages, ...more }
}

const ask = (content: string, more?: Partial<Params>) => client.chat.completions.create(asking(content, more))

const streamed = (content: string, more?: Partial<Params>) =>
  client.chat.completions.stream(asking(content, more)).finalChatCompletion()

const functionCalls = (message: OpenAI.ChatCompletionMessage | undefined) =>
  (message?.tool_calls ?? []).filter((call) => call.type === "function")

const failure = async (promise: PromiseLike<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error
  )

/** The text, the reasoning and the end of a raw stream. */
const read = async (content: string, more?: Partial<Params>) => {
  const seen = { text: "", reasoning: "", finish: "", tokens: 0 }
  for await (const { choices, usage } of await client.chat.completions.create({
    ...asking(content, more),
    stream: true
  })) {
    const delta: { content?: string | null; reasoning_content?: string | null } = choices[0]?.delta ?? {}
    // What is thought comes first.
    if (delta.reasoning_content) expect(seen.text).toBe("")
    seen.reasoning += delta.reasoning_content ?? ""
    seen.text += delta.content ?? ""
    seen.finish = choices[0]?.finish_reason ?? seen.finish
    seen.tokens = usage?.total_tokens ?? seen.tokens
  }
  return seen
}

describe("deepseek", () => {
  it.each([
    ["text", "Paris is the capital of France.", "stop", 19],
    ["unicode", "naïve 🎉🚀 日本語", "stop", 26],
    ["length", "Paris is", "length", 14],
    ["cached", "Paris is the capital of France.", "stop", 19],
    ["keep-alive", "Paris is the capital of France.", "stop", 19],
    ["refusal", "", "content_filter", 12],
    ["no-capacity", "Paris is", "insufficient_system_resource", 14],
    ["extras", "Paris is the capital of France.", "vibes", 19]
  ])("reads %s, whole and streamed", async (name, text, finish, tokens) => {
    const whole = await ask(name)
    expect(whole.choices[0]).toMatchObject({ message: { content: text }, finish_reason: finish })
    expect(whole.usage?.total_tokens).toBe(tokens)
    expect(await read(name)).toEqual({ text, finish, tokens, reasoning: "" })
  })

  it("counts what came from the cache by names of its own too", async () => {
    const { usage } = await ask("cached")
    expect(usage).toMatchObject({ prompt_cache_hit_tokens: 8, prompt_cache_miss_tokens: 4 })
    expect(usage?.prompt_tokens_details?.cached_tokens).toBe(8)
  })

  it("reads an object only of json_object, and none of spaces", async () => {
    for (const { choices } of [await ask("object", json), await streamed("object", json)]) {
      expect(JSON.parse(choices[0]?.message.content ?? "")).toEqual({ city: "Paris", population: 2102650 })
    }
    expect((await ask("blank-json", json)).choices[0]?.message.content).toMatch(/^ +$/)
    const schema = { name: "city", schema: { type: "object" } }
    const refused = await failure(ask("object", { response_format: { type: "json_schema", json_schema: schema } }))
    expect(String(refused)).toContain("This response_format type is unavailable now")
    const unsaid = ask("", { messages: [{ role: "user", content: "object" }], ...json })
    expect(String(await failure(unsaid))).toContain("must contain the word 'json'")
  })

  it("reads two tool calls, one without any arguments, and goes on with their results", async () => {
    for (const { choices } of [await ask("tools", { tools }), await streamed("tools", { tools })]) {
      const message = choices[0]?.message
      const calls = functionCalls(message)
      const inputs = calls.map(({ function: { arguments: input, name } }) => [name, JSON.parse(input || "{}")])
      expect(inputs).toEqual([
        ["get_weather", { city: "Paris", days: 2 }],
        ["get_time", {}]
      ])
      if (message === undefined) return
      const results = calls.map(({ id }): Message => ({ role: "tool", tool_call_id: id, content: "21" }))
      const after = await ask("", { messages: [{ role: "user", content: "tools" }, message, ...results], tools })
      expect(after.choices[0]?.message.content).toBe("It is 21 degrees in Paris at noon.")
    }
  })

  it("passes reasoning through", async () => {
    const whole = await ask("reasoning")
    expect(whole.choices[0]?.message).toMatchObject({ content: "Paris.", reasoning_content: "France, so Paris." })
    expect(whole.usage?.completion_tokens_details?.reasoning_tokens).toBe(5)
    expect(await read("reasoning")).toMatchObject({ text: "Paris.", reasoning: "France, so Paris.", finish: "stop" })
  })

  it("wants its reasoning back with the calls that came of it", async () => {
    const { choices } = await ask("reasoning-tools", { tools })
    const message = choices[0]?.message
    if (message === undefined) throw new Error("no message")
    const result: Message = { role: "tool", tool_call_id: "call_1", content: "sun" }
    const go = (turn: Message) =>
      ask("", { messages: [{ role: "user", content: "reasoning-tools" }, turn, result], tools })
    expect((await go(message)).choices[0]?.message.content).toBe("Sunny.")
    const forgotten: Message = {
      role: "assistant",
      content: "",
      ...(message.tool_calls && { tool_calls: message.tool_calls })
    }
    const refused = await failure(go(forgotten))
    expect(refused).toBeInstanceOf(BadRequestError)
    expect(String(refused)).toContain("must be passed back")
  })

  it("refuses what only OpenAI has", async () => {
    const developer = await failure(ask("", { messages: [{ role: "developer", content: "text" }] }))
    expect(developer).toBeInstanceOf(UnprocessableEntityError)
    expect(String(developer)).toContain("unknown variant `developer`")
  })

  it.each(errors.deepseek.map((row) => [row.case, row.status] as const))(
    "tells %s by its status %i",
    async (name, status) => {
      expect(await failure(ask(name))).toMatchObject({ status })
    }
  )

  it("goes wrong in the ways that OpenAI does", async () => {
    expect(String(await failure(read("text@cut:3")))).toContain("terminated")
    expect(await read("text@end:3")).toMatchObject({ text: "Paris is the", finish: "" })
    expect(await failure(read("text@error:3"))).toMatchObject({ status: undefined, type: "server_error" })
  })
})
