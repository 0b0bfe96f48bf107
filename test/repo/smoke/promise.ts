/** The packed package in a program of plain promises. */
import assert from "node:assert/strict"
import { createClient } from "holdfast/promise"
import { serve } from "./server.ts"

const server = await serve()
{
  await using client = createClient({
    llm: { provider: "openai", baseUrl: server.baseUrl, apiKey: "k", model: "m" },
    retry: { base: "10 millis" }
  })
  const answer = await client.generateText("6 x 7?")
  assert.equal(answer.text, "forty-two")
  assert.equal(answer.attempts.length, 2)

  let text = ""
  for await (const event of client.streamText("6 x 7?")) if (event.type === "text") text += event.text
  assert.equal(text, "forty-two")
}
server.close()
console.log("promise: ok")
