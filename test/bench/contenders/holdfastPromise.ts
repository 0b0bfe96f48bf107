/** The promise client. */
import { createClient } from "holdfast/promise"
import { type Contender, ofCalls, ofStreams, question } from "../Contender.ts"

type Client = ReturnType<typeof createClient>

const connect = (url: string): Client =>
  createClient({
    llm: { provider: "openai", baseUrl: url, apiKey: "k", model: "m" },
    maxConcurrency: 10_000,
    retry: { base: "1 millis" }
  })

export const contender: Contender = {
  name: "holdfast/promise",
  unary: async (url) => {
    const client = connect(url)
    const call = async (): Promise<void> => {
      await client.generateText(question())
    }
    return ofCalls(call, async () => void (await client.close()))
  },
  stream: async (url) => {
    const client = connect(url)
    const read = async (onText: () => void): Promise<void> => {
      for await (const event of client.streamText(question())) if (event.type === "text") onText()
    }
    return ofStreams(read, async () => void (await client.close()))
  }
}
