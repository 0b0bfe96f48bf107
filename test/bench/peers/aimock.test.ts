/** An independent fake of all three providers, by others: it starts here and answers each official client. */
import Anthropic from "@anthropic-ai/sdk"
import { LLMock } from "@copilotkit/aimock"
import { GoogleGenAI } from "@google/genai"
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const mock = new LLMock({ port: 0 })

beforeAll(async () => {
  mock.onMessage("capital", { content: "Paris." })
  await mock.start()
})

afterAll(() => mock.stop())

describe("aimock", () => {
  it("answers the openai client", async () => {
    const client = new OpenAI({ apiKey: "k", baseURL: `${mock.url}/v1`, maxRetries: 0 })
    const messages = [{ role: "user" as const, content: "The capital?" }]
    const whole = await client.chat.completions.create({ model: "gpt-5.2", messages })
    expect(whole.choices[0]?.message.content).toBe("Paris.")
    let text = ""
    for await (const { choices } of await client.chat.completions.create({
      model: "gpt-5.2",
      messages,
      stream: true
    })) {
      text += choices[0]?.delta.content ?? ""
    }
    expect(text).toBe("Paris.")
  })

  it("answers the anthropic client", async () => {
    const client = new Anthropic({ apiKey: "k", baseURL: mock.url, maxRetries: 0 })
    const body = {
      model: "claude-sonnet-5",
      max_tokens: 100,
      messages: [{ role: "user" as const, content: "The capital?" }]
    }
    expect((await client.messages.create(body)).content).toMatchObject([{ type: "text", text: "Paris." }])
    expect((await client.messages.stream(body).finalMessage()).content).toMatchObject([
      { type: "text", text: "Paris." }
    ])
  })

  it("answers the google client", async () => {
    const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: mock.url } })
    const body = { model: "gemini-3-flash", contents: "The capital?" }
    expect((await client.models.generateContent(body)).text).toBe("Paris.")
    let text = ""
    for await (const chunk of await client.models.generateContentStream(body)) text += chunk.text ?? ""
    expect(text).toBe("Paris.")
  })
})
