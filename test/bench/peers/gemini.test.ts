/** The official Google client over our fake endpoint: what it accepts is what Gemini sends. */
import {
  ApiError,
  type Content,
  FunctionCallingConfigMode,
  type GenerateContentParameters,
  GoogleGenAI,
  type Part,
  Type
} from "@google/genai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { vectorOf } from "../../fixtures/embeddings.ts"
import { type Endpoint, startEndpoint } from "../../fixtures/endpoint.ts"
import { errors } from "../../fixtures/errors.ts"

type Config = GenerateContentParameters["config"]

let endpoint: Endpoint
let client: GoogleGenAI

beforeAll(async () => {
  endpoint = await startEndpoint("gemini")
  client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: endpoint.url } })
})

afterAll(() => endpoint.close())

const model = "gemini-3-flash"

const tools = [
  {
    functionDeclarations: [
      {
        name: "get_weather",
        description: "The weather of the next days.",
        parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] }
      },
      { name: "get_time", parametersJsonSchema: { type: "object", properties: {} } }
    ]
  }
]

const ask = (contents: string | Array<Content>, config: Config = {}) =>
  client.models.generateContent({ model, contents, config })

/** Everything of a stream in one: its parts, the last of its other fields. */
const read = async (contents: string | Array<Content>, config: Config = {}) => {
  const parts: NonNullable<Content["parts"]> = []
  const none: { usage: object | undefined } = { usage: undefined }
  const seen = { text: "", thought: "", finish: "", ...none, parts }
  try {
    for await (const { candidates, usageMetadata } of await client.models.generateContentStream({
      model,
      contents,
      config
    })) {
      for (const part of candidates?.[0]?.content?.parts ?? []) {
        parts.push(part)
        if (part.thought === true) seen.thought += part.text ?? ""
        else seen.text += part.text ?? ""
      }
      seen.finish = candidates?.[0]?.finishReason ?? seen.finish
      seen.usage = usageMetadata ?? seen.usage
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

const unsign = (part: Part): Part =>
  Object.fromEntries(Object.entries(part).filter(([name]) => name !== "thoughtSignature"))

describe("gemini", () => {
  it.each([
    ["text", "Paris is the capital of France.", "STOP", 12, 7],
    ["unicode", "naïve 🎉🚀 日本語", "STOP", 15, 11],
    ["length", "Paris is", "MAX_TOKENS", 12, 2],
    ["cached", "Paris is the capital of France.", "STOP", 12, 7]
  ])("reads %s, whole and streamed", async (name, text, finish, input, output) => {
    const whole = await ask(name)
    expect(whole.text).toBe(text)
    expect(whole.candidates?.[0]?.finishReason).toBe(finish)
    expect(whole.usageMetadata).toMatchObject({ promptTokenCount: input, candidatesTokenCount: output })
    expect(whole.modelVersion).toBe(model)
    const streamed = await read(name)
    expect(streamed).toMatchObject({ text, finish, error: undefined })
    expect(streamed.usage).toEqual(whole.usageMetadata)
  })

  it("reads a stream of one byte a packet", async () => {
    expect(await read("unicode@bytes")).toMatchObject({ text: "naïve 🎉🚀 日本語", error: undefined })
  })

  it("reads what came from the cache", async () => {
    expect((await ask("cached")).usageMetadata?.cachedContentTokenCount).toBe(8)
  })

  it("reads two function calls and goes on with their results", async () => {
    const whole = (await ask("tools", { tools })).candidates?.[0]?.content?.parts ?? []
    const { finish, parts: streamed } = await read("tools", { tools })
    expect(finish).toBe("STOP")
    for (const parts of [whole, streamed.filter(({ text }) => text !== "")]) {
      const calls = parts.flatMap(({ functionCall }) => functionCall ?? [])
      expect(calls).toEqual([
        { name: "get_weather", args: { city: "Paris", days: 2 } },
        { name: "get_time", args: {}, id: "fc_2" }
      ])
      expect(parts.map(({ text }) => text ?? "").join("")).toBe("Let me look.")
      const responses = calls.map(({ id, name = "" }) => ({
        functionResponse: { name, response: { output: 21 }, ...(id !== undefined && { id }) }
      }))
      const go = (parts: NonNullable<Content["parts"]>, results: NonNullable<Content["parts"]> = responses) =>
        ask(
          [
            { role: "user", parts: [{ text: "tools" }] },
            { role: "model", parts },
            { role: "user", parts: results }
          ],
          { tools }
        )
      expect((await go(parts)).text).toBe("It is 21 degrees in Paris at noon.")
      const unsigned = parts.map(unsign)
      expect(String(await failure(go(unsigned)))).toContain("missing a thought_signature")
      expect(String(await failure(go(parts, responses.slice(1))))).toContain("number of function response parts")
    }
  })

  it("reads an object, and sends its schema in either form", async () => {
    const json = { type: "object", properties: { city: { type: "string" }, population: { type: "integer" } } }
    const plain = { type: Type.OBJECT, properties: { city: { type: Type.STRING }, population: { type: Type.INTEGER } } }
    const responseMimeType = "application/json"
    const paris = { city: "Paris", population: 2102650 }
    for (const config of [
      { responseMimeType, responseJsonSchema: json },
      { responseMimeType, responseSchema: plain }
    ]) {
      expect(JSON.parse((await ask("object", config)).text ?? "")).toEqual(paris)
      expect(JSON.parse((await read("object", config)).text)).toEqual(paris)
      expect((await ask("object-bad", config)).text).toBe('{"city":"Paris"}')
      const again = [
        { role: "user", parts: [{ text: "object-bad" }] },
        { role: "model", parts: [{ text: '{"city":"Paris"}' }] },
        { role: "user", parts: [{ text: "population is missing" }] }
      ]
      expect(JSON.parse((await ask(again, config)).text ?? "")).toEqual(paris)
    }
    expect(await failure(ask("object"))).toMatchObject({ status: 400 })
    expect(await failure(ask("object", { responseJsonSchema: json }))).toMatchObject({ status: 400 })
  })

  it("reads thoughts beside the text", async () => {
    const whole = await ask("reasoning", { thinkingConfig: { includeThoughts: true } })
    expect(whole.text).toBe("Paris.")
    expect(whole.candidates?.[0]?.content?.parts?.[0]).toEqual({ text: "France, so Paris.", thought: true })
    expect(whole.usageMetadata).toMatchObject({ thoughtsTokenCount: 5, candidatesTokenCount: 4, totalTokenCount: 21 })
    const streamed = await read("reasoning")
    expect(streamed).toMatchObject({ text: "Paris.", thought: "France, so Paris.", finish: "STOP" })
    expect(streamed.parts.at(-1)?.thoughtSignature).toBe("c2lnLTE=")
  })

  it("wants the signature back on the call that it came with", async () => {
    const content = (await ask("reasoning-tools", { tools })).candidates?.[0]?.content
    const go = (parts: Content["parts"]) =>
      ask(
        [
          { role: "user", parts: [{ text: "reasoning-tools" }] },
          { role: "model", ...(parts && { parts }) },
          { role: "user", parts: [{ functionResponse: { name: "get_weather", response: { output: "sun" } } }] }
        ],
        { tools }
      )
    expect((await go(content?.parts)).text).toBe("Sunny.")
    const moved = content?.parts?.map((part, index) =>
      index === 0 ? { ...part, thoughtSignature: "c2lnLTI=" } : unsign(part)
    )
    expect(String(await failure(go(moved)))).toContain("missing a thought_signature")
  })

  it("reads answers and prompts that were blocked", async () => {
    expect((await ask("refusal")).candidates?.[0]).toMatchObject({ finishReason: "SAFETY" })
    expect(await read("refusal")).toMatchObject({ text: "", finish: "SAFETY", error: undefined })
    const blocked = await ask("prompt-blocked")
    expect(blocked.candidates).toBeUndefined()
    expect(blocked.promptFeedback?.blockReason).toBe("PROHIBITED_CONTENT")
    expect(await read("prompt-blocked")).toMatchObject({ text: "", finish: "", error: undefined })
  })

  it("survives fields, parts and finish reasons that it does not know", async () => {
    const whole = await ask("extras")
    expect(whole.text).toBe("Paris is the capital of France.")
    expect(whole.candidates?.[0]?.finishReason).toBe("VIBES")
    expect(await read("extras")).toMatchObject({
      text: "Paris is the capital of France.",
      finish: "VIBES",
      error: undefined
    })
  })

  it("sees images and files", async () => {
    const part = (text: string, mimeType: string, data: string) => [
      { role: "user", parts: [{ text }, { inlineData: { mimeType, data } }] }
    ]
    expect((await ask(part("image", "image/png", "iVBORw0KGgo="))).text).toBe("I see it.")
    expect((await ask(part("file", "application/pdf", "JVBERi0="))).text).toBe("I see it.")
    expect(await failure(ask(part("image", "image/png", "not base64!")))).toMatchObject({ status: 400 })
    expect(await failure(ask("image"))).toMatchObject({ status: 400 })
  })

  it("takes instructions, settings and a choice of tools", async () => {
    const answer = await ask("text", {
      systemInstruction: "Be short.",
      temperature: 0.5,
      topK: 40,
      maxOutputTokens: 100,
      stopSequences: ["END"],
      seed: 1,
      tools,
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["get_time"] } }
    })
    expect(answer.text).toBe("Paris is the capital of France.")
  })

  it("counts tokens and lists models", async () => {
    expect((await client.models.countTokens({ model, contents: "text" })).totalTokens).toBeGreaterThan(0)
    const names: Array<string | undefined> = []
    for await (const { name } of await client.models.list()) names.push(name)
    expect(names).toContain(`models/${model}`)
  })
})

describe("gemini errors", () => {
  it.each(errors.gemini.map((row) => [row.case, row.status] as const))(
    "tells %s by its status %i",
    async (name, status) => {
      const error = await failure(ask(name))
      expect(error).toBeInstanceOf(ApiError)
      expect(error).toMatchObject({ status })
      expect((await read(name)).error).toMatchObject({ status })
    }
  )

  it("tells in the message what the body says", async () => {
    const error = await failure(ask("error-429-RESOURCE_EXHAUSTED"))
    const said: unknown = JSON.parse(error instanceof Error ? error.message : "")
    const details = expect.arrayContaining([expect.objectContaining({ retryDelay: "34s" })])
    expect(said).toMatchObject({ error: { status: "RESOURCE_EXHAUSTED", details } })
  })

  it("answers a bad key by 400", async () => {
    const bad = new GoogleGenAI({ apiKey: "bad-key", httpOptions: { baseUrl: endpoint.url } })
    const error = await failure(bad.models.generateContent({ model, contents: "text" }))
    expect(error).toMatchObject({ status: 400 })
    expect(String(error)).toContain("API_KEY_INVALID")
  })

  const post = async (method: string, body: object) => {
    const url = `${endpoint.url}/v1beta/models/${model}:${method}`
    const headers = { "content-type": "application/json" }
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })
    return { status: response.status, body: await response.text() }
  }
  const text = (text: string) => ({ contents: [{ role: "user", parts: [{ text }] }] })

  it("streams an array, errors too, to who does not ask for events", async () => {
    const whole = await post("streamGenerateContent?key=k", text("text"))
    expect(JSON.parse(whole.body)).toHaveLength(8)
    const error = await post("streamGenerateContent?key=k", text("error-503"))
    expect(JSON.parse(error.body)).toMatchObject([{ error: { code: 503, status: "UNAVAILABLE" } }])
    const event = await post("streamGenerateContent?alt=sse&key=k", text("error-503"))
    expect(JSON.parse(event.body)).toMatchObject({ error: { code: 503 } })
  })

  it.each([
    ["no key at all", "", text("text"), 403, "PERMISSION_DENIED"],
    [
      "a field that does not exist",
      "?key=k",
      { ...text("text"), mood: 11 },
      400,
      'Unknown name \\"mood\\": Cannot find field'
    ],
    [
      "a field of a part that does not exist",
      "?key=k",
      { contents: [{ parts: [{ txt: "x" }] }] },
      400,
      "at 'contents[0].parts[0]'"
    ],
    [
      "a system among the contents",
      "?key=k",
      { contents: [{ role: "system", parts: [{ text: "x" }] }] },
      400,
      "valid role: user, model"
    ],
    [
      "a result that is no object",
      "?key=k",
      { contents: [{ parts: [{ functionResponse: { name: "x", response: "y" } }] }] },
      400,
      "protobuf.Struct"
    ],
    [
      "OpenAI's words for a schema",
      "?key=k",
      { ...text("text"), generationConfig: { responseSchema: { type: "object", additionalProperties: false } } },
      400,
      "additionalProperties"
    ],
    ["no contents", "?key=k", { contents: [] }, 400, "contents is not specified"]
  ])("refuses %s", async (_, query, body, status, said) => {
    const response = await post(`generateContent${query}`, body)
    expect(response.status).toBe(status)
    expect(response.body).toContain(said)
  })
})

describe("gemini streams that go wrong", () => {
  it("ends as if all were well when the end is missing", async () => {
    expect(await read("text@end:3")).toMatchObject({ text: "Paris is the", finish: "", error: undefined })
  })

  it("breaks where the socket breaks", async () => {
    const { error, text } = await read("text@cut:3")
    expect(text).toBe("Paris is the")
    expect(String(error)).toContain("terminated")
  })

  it("tells an error in the middle", async () => {
    const { error, text } = await read("text@error:2")
    expect(text).toBe("Paris is")
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ status: 503 })
  })
})

describe("gemini embeddings", () => {
  const embed = (contents: Array<string>) => client.models.embedContent({ model: "gemini-embedding-001", contents })

  it("reads vectors in the order of the texts", async () => {
    const { embeddings } = await embed(["one", "zwei"])
    expect(embeddings?.map(({ values }) => values)).toEqual([vectorOf("one"), vectorOf("zwei")])
  })

  it("takes a hundred texts and no more", async () => {
    const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`)
    expect((await embed(texts)).embeddings).toHaveLength(100)
    expect(String(await failure(embed([...texts, "one more"])))).toContain("at most 100 requests")
  })
})
