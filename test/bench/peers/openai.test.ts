/** The official OpenAI client over our fake endpoint: what it accepts is what OpenAI sends. */
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  UnprocessableEntityError
} from "openai"
import { zodResponseFormat } from "openai/helpers/zod"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { z } from "zod"
import { toBase64, vectorOf } from "../../fixtures/embeddings.ts"
import { deltasOf, type Endpoint, startEndpoint } from "../../fixtures/endpoint.ts"
import { errors } from "../../fixtures/errors.ts"

type Params = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "stream">
type Message = OpenAI.ChatCompletionMessageParam

let endpoint: Endpoint
let client: OpenAI

beforeAll(async () => {
  endpoint = await startEndpoint("openai")
  client = new OpenAI({ apiKey: "sk-test", baseURL: endpoint.url, maxRetries: 0 })
})

afterAll(() => endpoint.close())

const model = "gpt-5.2"

const tools: Array<OpenAI.ChatCompletionTool> = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of the next days.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, days: { type: "integer" } },
        required: ["city", "days"],
        additionalProperties: false
      }
      // Not strict: the stream helper parses a strict call as soon as another one speaks, and interleaved calls do.
    }
  },
  { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } }
]

const asking = (content: string, more: Partial<Params> = {}): Params => ({
  model,
  messages: [{ role: "user", content }],
  ...more
})

const ask = (content: string, more?: Partial<Params>) => client.chat.completions.create(asking(content, more))

const stream = (content: string, more?: Partial<Params>) =>
  client.chat.completions.create({ ...asking(content, more), stream: true, stream_options: { include_usage: true } })

/** What the raw iterator gives before it ends or fails. */
const read = async (content: string, more?: Partial<Params>) => {
  const none: { usage: OpenAI.CompletionUsage | undefined } = { usage: undefined }
  const seen = { text: "", reasoning: "", finish: "", ...none }
  try {
    for await (const { choices, usage } of await stream(content, more)) {
      const [choice] = choices
      seen.text += choice?.delta.content ?? ""
      // `reasoning` is not OpenAI's; OpenRouter and vLLM send it.
      if (choice !== undefined && "reasoning" in choice.delta) seen.reasoning += String(choice.delta.reasoning)
      seen.finish = choice?.finish_reason ?? seen.finish
      seen.usage = usage ?? seen.usage
    }
    return { ...seen, error: undefined }
  } catch (error) {
    return { ...seen, error }
  }
}

const functionCalls = (message: OpenAI.ChatCompletionMessage | undefined) =>
  (message?.tool_calls ?? []).filter((call) => call.type === "function")

const failure = async (promise: PromiseLike<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error
  )

describe("openai", () => {
  it.each([
    ["text", "Paris is the capital of France.", "stop", 12, 7],
    ["unicode", "naïve 🎉🚀 日本語", "stop", 15, 11],
    ["length", "Paris is", "length", 12, 2]
  ])("reads %s, whole and streamed", async (name, text, finish, input, output) => {
    const whole = await ask(name)
    expect(whole.choices[0]).toMatchObject({ message: { content: text }, finish_reason: finish })
    expect(whole.usage).toMatchObject({ prompt_tokens: input, completion_tokens: output })
    expect(whole._request_id).toMatch(/^req_\d+$/)
    const streamed = await read(name)
    expect(streamed).toMatchObject({ text, finish, error: undefined })
    expect(streamed.usage).toEqual(whole.usage)
    const final = await client.chat.completions.stream(asking(name)).finalChatCompletion()
    expect(final.choices[0]?.message.content).toBe(text)
    // Nobody asked for the usage.
    expect(final.usage ?? null).toBeNull()
  })

  it("reads a stream of one byte a packet", async () => {
    expect(await read("unicode@bytes")).toMatchObject({ text: "naïve 🎉🚀 日本語", finish: "stop", error: undefined })
  })

  it("reads two interleaved tool calls and goes on with their results", async () => {
    const whole = await ask("tools", { tools })
    const streamed = await client.chat.completions.stream(asking("tools", { tools })).finalChatCompletion()
    for (const { choices } of [whole, streamed]) {
      expect(choices[0]?.finish_reason).toBe("tool_calls")
      const message = choices[0]?.message
      expect(message?.content).toBe("Let me look.")
      const calls = functionCalls(message)
      expect(calls.map(({ function: { arguments: input, name }, id }) => [id, name, JSON.parse(input)])).toEqual([
        ["call_1", "get_weather", { city: "Paris", days: 2 }],
        ["call_2", "get_time", {}]
      ])
      if (message === undefined) return
      const results = calls.map(({ id }): Message => ({ role: "tool", tool_call_id: id, content: "21" }))
      const messages: Array<Message> = [{ role: "user", content: "tools" }, message, ...results]
      const after = await client.chat.completions.create({ model, messages, tools })
      expect(after.choices[0]?.message.content).toBe("It is 21 degrees in Paris at noon.")
      const refused = await failure(client.chat.completions.create({ model, messages: messages.slice(0, 3), tools }))
      expect(refused).toBeInstanceOf(BadRequestError)
      expect(String(refused)).toContain("did not have response messages: call_2")
    }
  })

  it("parses an object, and sends its schema", async () => {
    const City = z.object({ city: z.string(), population: z.number() })
    const response_format = zodResponseFormat(City, "city")
    const parsed = await client.chat.completions.parse({ ...asking("object"), response_format })
    expect(parsed.choices[0]?.message.parsed).toEqual({ city: "Paris", population: 2102650 })
    const streamed = await client.chat.completions
      .stream({ ...asking("object"), response_format })
      .finalChatCompletion()
    expect(streamed.choices[0]?.message.parsed).toEqual({ city: "Paris", population: 2102650 })
    expect(await failure(ask("object"))).toBeInstanceOf(BadRequestError)
    const bad = await ask("object-bad", { response_format })
    expect(bad.choices[0]?.message.content).toBe('{"city":"Paris"}')
    const again: Array<Message> = [
      { role: "user", content: "object-bad" },
      { role: "assistant", content: '{"city":"Paris"}' },
      { role: "user", content: "population is missing" }
    ]
    const good = await ask("", { messages: again, response_format })
    expect(JSON.parse(good.choices[0]?.message.content ?? "")).toEqual({ city: "Paris", population: 2102650 })
  })

  it("passes reasoning through", async () => {
    const whole = await ask("reasoning")
    expect(whole.choices[0]?.message).toMatchObject({ content: "Paris.", reasoning: "France, so Paris." })
    expect(whole.usage?.completion_tokens_details?.reasoning_tokens).toBe(5)
    expect(await read("reasoning")).toMatchObject({ text: "Paris.", reasoning: "France, so Paris.", finish: "stop" })
  })

  it("reads a refusal", async () => {
    const whole = await ask("refusal")
    expect(whole.choices[0]?.message).toMatchObject({ content: null, refusal: "I cannot help with that." })
    const streamed = await client.chat.completions.stream(asking("refusal")).finalChatCompletion()
    expect(streamed.choices[0]?.message).toMatchObject({ content: null, refusal: "I cannot help with that." })
  })

  it("reads what came from the cache", async () => {
    expect((await ask("cached")).usage?.prompt_tokens_details?.cached_tokens).toBe(8)
    expect((await read("cached")).usage?.prompt_tokens_details?.cached_tokens).toBe(8)
  })

  it("reads two choices with log probabilities", async () => {
    const more = { logprobs: true, top_logprobs: 2, n: 2 }
    const whole = await ask("logprobs", more)
    const streamed = await client.chat.completions.stream(asking("logprobs", more)).finalChatCompletion()
    for (const { choices } of [whole, streamed]) {
      expect(choices.map(({ index, message }) => [index, message.content])).toEqual([
        [0, "Paris."],
        [1, "Lyon?"]
      ])
      expect(choices[0]?.logprobs?.content?.map(({ logprob, token }) => [token, logprob])).toEqual([
        ["Paris", -0.0125],
        [".", -0.5]
      ])
    }
  })

  it("survives fields, finish reasons and chunks that it does not know", async () => {
    const whole = await ask("extras")
    expect(whole.choices[0]).toMatchObject({ message: { content: "Paris is the capital of France." } })
    expect(await read("extras")).toMatchObject({
      text: "Paris is the capital of France.",
      finish: "vibes",
      error: undefined
    })
  })

  it("sees images and files", async () => {
    const image: Message = {
      role: "user",
      content: [
        { type: "text", text: "image" },
        { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }
      ]
    }
    const file: Message = {
      role: "user",
      content: [
        { type: "text", text: "file" },
        { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } }
      ]
    }
    for (const message of [image, file]) {
      expect((await ask("", { messages: [message] })).choices[0]?.message.content).toBe("I see it.")
    }
    const broken: Message = {
      role: "user",
      content: [
        { type: "text", text: "image" },
        { type: "image_url", image_url: { url: "iVBORw0KGgo=" } }
      ]
    }
    expect(await failure(ask("", { messages: [broken] }))).toBeInstanceOf(BadRequestError)
    expect(await failure(ask("image"))).toBeInstanceOf(BadRequestError)
  })

  it("lists models", async () => {
    const ids = (await client.models.list()).data.map(({ id }) => id)
    expect(ids).toContain(model)
    expect((await client.models.retrieve("house/model")).id).toBe("house/model")
  })
})

describe("openai errors", () => {
  it.each(errors.openai.map((row) => [row.case, row.status] as const))(
    "tells %s by its status %i",
    async (name, status) => {
      const error = await failure(ask(name))
      expect(error).toBeInstanceOf(APIError)
      expect(error).toMatchObject({ status })
      expect(await failure(stream(name))).toMatchObject({ status })
    }
  )

  it("has a class per status", async () => {
    const classes = {
      400: BadRequestError,
      401: AuthenticationError,
      403: PermissionDeniedError,
      404: NotFoundError,
      409: ConflictError,
      422: UnprocessableEntityError,
      429: RateLimitError,
      500: InternalServerError,
      503: InternalServerError
    }
    for (const [status, type] of Object.entries(classes)) {
      expect(await failure(ask(`error-${status}`))).toBeInstanceOf(type)
    }
  })

  it("reads code, type, param and headers", async () => {
    const error = await failure(ask("error-429-insufficient_quota"))
    expect(error).toMatchObject({ code: "insufficient_quota", type: "insufficient_quota", param: null })
    const limited = await failure(ask("error-429-rate_limit_exceeded"))
    const headers = limited instanceof APIError ? limited.headers : undefined
    expect(headers?.get("retry-after")).toBe("20")
    expect(headers?.get("x-ratelimit-reset-tokens")).toBe("6m0s")
    expect(limited).toMatchObject({ requestID: expect.stringMatching(/^req_\d+$/) })
  })

  it("refuses a bad key and a missing one", async () => {
    const bad = new OpenAI({ apiKey: "bad-key", baseURL: endpoint.url, maxRetries: 0 })
    const error = await failure(bad.models.list())
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ code: "invalid_api_key" })
    expect((await fetch(`${endpoint.url}/models`)).status).toBe(401)
  })

  it("retries as often as the case says", async () => {
    const patient = new OpenAI({ apiKey: "sk-test", baseURL: endpoint.url, maxRetries: 2 })
    const answer = await patient.chat.completions.create(asking("text@error-500*1"))
    expect(answer.choices[0]?.message.content).toBe("Paris is the capital of France.")
    const told = await failure(patient.chat.completions.create(asking("error-503-should_not_retry")))
    expect(told).toBeInstanceOf(InternalServerError)
    const sent = endpoint.requests.filter(({ body }) => JSON.stringify(body).includes("error-503-should_not_retry"))
    expect(sent.filter(({ headers }) => headers["x-stainless-retry-count"] === "1")).toEqual([])
  })

  it.each([
    [
      "the field of a stream only",
      { stream_options: { include_usage: true } },
      "only allowed when 'stream' is enabled"
    ],
    ["a tool without a name", { tools: [{ type: "function", function: {} }] }, "tools[0].function.name"],
    [
      "a tool with a space in its name",
      { tools: [{ type: "function", function: { name: "a b" } }] },
      "tools[0].function.name"
    ],
    ["a role that does not exist", { messages: [{ role: "robot", content: "x" }] }, "Supported values are"],
    [
      "a result without its call",
      { messages: [{ role: "tool", tool_call_id: "x", content: "x" }] },
      "preceeding message"
    ],
    ["no messages", { messages: [] }, "minimum length 1"],
    ["a warm temperature", { temperature: 3 }, "<= 2"]
  ])("refuses %s", async (_, wrong, said) => {
    const body = JSON.stringify({ ...asking("text"), ...wrong })
    const headers = { authorization: "Bearer sk-test", "content-type": "application/json" }
    const response = await fetch(`${endpoint.url}/chat/completions`, { method: "POST", headers, body })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain(said)
  })
})

describe("openai streams that go wrong", () => {
  it("ends as if all were well when the end is missing", async () => {
    expect(await read("text@end:3")).toMatchObject({ text: "Paris is the", finish: "", error: undefined })
    const error = await failure(client.chat.completions.stream(asking("text@end:3")).finalChatCompletion())
    expect(String(error)).toContain("missing finish_reason")
  })

  it("breaks where the socket breaks, wherever that is", async () => {
    const deltas = deltasOf("openai", "text")
    expect(deltas).toBe(7)
    for (let at = 0; at <= deltas; at++) {
      const { error, text } = await read(`text@cut:${at}`)
      expect(text).toBe(["Paris", " is", " the", " capital", " of", " France", "."].slice(0, at).join(""))
      expect(String(error)).toContain("terminated")
    }
    expect(String((await read("tools@cut:4", { tools })).error)).toContain("terminated")
  })

  it("tells an error in the middle without a status", async () => {
    const { error, text } = await read("text@error:2")
    expect(text).toBe("Paris is")
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({ status: undefined, type: "server_error" })
  })

  it("keeps a silent stream open until the client goes", async () => {
    const chunks = await stream("text@stall:1")
    let text = ""
    const timer = setTimeout(() => chunks.controller.abort(), 100)
    for await (const { choices } of chunks) text += choices[0]?.delta.content ?? ""
    clearTimeout(timer)
    expect(text).toBe("Paris")
    const logged = endpoint.requests.at(-1)
    await expect.poll(() => logged?.isAborted).toBe(true)
  })

  it("is well again after as many failures as were asked for", async () => {
    expect((await read("text@cut:2*1")).error).toBeDefined()
    expect(await read("text@cut:2*1")).toMatchObject({ text: "Paris is the capital of France.", error: undefined })
  })

  it("says how many deltas there are when too many are asked for", async () => {
    expect(String((await read("text@cut:99")).error)).toContain("has 7 deltas")
  })
})

describe("openai embeddings", () => {
  const input = ["one", "zwei", "три"]
  const embed = (encoding_format?: "float" | "base64") =>
    client.embeddings.create({ model: "text-embedding-3-small", input, ...(encoding_format && { encoding_format }) })

  it("reads floats and base64, by their index", async () => {
    for (const format of [undefined, "float"] as const) {
      const { data, usage } = await embed(format)
      expect(data.map(({ index }) => index)).toEqual([2, 1, 0])
      for (const { embedding, index } of data) expect(embedding).toEqual(vectorOf(input[index] ?? ""))
      expect(usage.total_tokens).toBe(4)
    }
  })

  it("reads floats of a server that ignores the encoding, as openai 6 did not", async () => {
    const baseURL = endpoint.url.replace("/v1", "/ignores-encoding/v1")
    const other = new OpenAI({ apiKey: "sk-test", baseURL, maxRetries: 0 })
    const { data } = await other.embeddings.create({ model: "m", input: "one" })
    expect(data[0]?.embedding).toEqual(vectorOf("one"))
    expect(endpoint.requests.at(-1)?.body).toMatchObject({ encoding_format: "base64" })
  })

  it("gives base64 of little-endian 32-bit floats to who asks for it", async () => {
    const { data } = await embed("base64")
    const text: unknown = data[2]?.embedding
    expect(text).toBe(toBase64(vectorOf("one")))
  })

  it.each([
    ["too many inputs", Array.from({ length: 2049 }, () => "x"), "maximum length 2048"],
    ["too long an input", "x".repeat(4 * 8193), "maximum context length is 8192 tokens"],
    ["too many tokens", Array.from({ length: 37 }, () => "x".repeat(4 * 8192)), "max 300000 tokens per request"],
    ["an empty string", ["x", ""], "input cannot be an empty string"]
  ])("refuses %s", async (_, input, said) => {
    const error = await failure(client.embeddings.create({ model: "m", input }))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(String(error)).toContain(said)
  })
})
