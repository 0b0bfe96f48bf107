/** Ask many questions with promises, a few at a time, and keep the failures beside the answers. */
import { once } from "node:events"
import { createServer } from "node:http"
import { text } from "node:stream/consumers"
import { createClient, LlmError } from "holdfast/promise"

// A server on loopback that knows three of the four answers.
const capitals: Record<string, string> = { France: "Paris", Japan: "Tokyo", Peru: "Lima" }
const server = createServer(async (request, response) => {
  const question = await text(request)
  const country = Object.keys(capitals).find((name) => question.includes(name))
  if (country === undefined) return response.writeHead(404).end('{"error":{"message":"no such country"}}')
  const message = { role: "assistant", content: capitals[country] }
  return response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

{
  await using client = createClient({
    llm: { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" }
  })
  const countries = ["France", "Japan", "Atlantis", "Peru"]
  const results = await client.map(
    countries,
    (country, { signal }) => client.generateText(`What is the capital of ${country}?`, { signal }),
    { concurrency: 2 }
  )
  results.forEach((result, index) => {
    const { reason } = result.status === "rejected" ? result : { reason: undefined }
    const shown = result.status === "fulfilled" ? result.value.text : reason instanceof LlmError ? reason.code : reason
    console.log(`${countries[index]}: ${shown}`)
  })
}
server.close()
// Output:
// France: Paris
// Japan: Tokyo
// Atlantis: InvalidRequest
// Peru: Lima
