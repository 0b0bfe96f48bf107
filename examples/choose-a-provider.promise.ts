/** Choose a provider by one option: an endpoint, a pool of keys, or a fallback. The program around it stays the same. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient, type LlmOptions } from "holdfast/promise"

/** The program. */
const ask = async (llm: LlmOptions): Promise<void> => {
  await using client = createClient({ llm, retry: { retries: 0 } })
  const { servedBy, text } = await client.generateText("What is 6 x 7?")
  console.log(`${llm.provider}: ${text}${servedBy === undefined ? "" : `, by ${servedBy}`}`)
}

// In place of a provider: a server on loopback that is busy for one of two keys.
const server = createServer((request, response) => {
  request.resume()
  if (request.headers.authorization === "Bearer busy") return response.writeHead(429).end()
  const message = { role: "assistant", content: "42" }
  return response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

// `{ provider: "anthropic", model: "…" }` and `{ provider: "gemini", model: "…" }` are asked in the same way, with the
// key of the environment.
const endpoint = { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" } as const
const busy = { ...endpoint, name: "busy", apiKey: "busy" }
const free = { ...endpoint, name: "free", apiKey: "free" }

await ask(endpoint)
// Keys of one model share the calls.
await ask({ provider: "pool", members: [busy, free] })
// Models in order of preference: the next one is asked when one is busy, down or too short.
await ask({ provider: "fallback", members: [busy, free] })
server.close()
// Output:
// openai: 42
// pool: 42, by free
// fallback: 42, by free
