/** Send all requests of an agent by one client: limits, retries, timeouts, connections; one by one and in batches. */
import { once } from "node:events"
import { createServer } from "node:http"
import { text as bodyOf } from "node:stream/consumers"
import { createClient, LlmError } from "holdfast/promise"

// A model on loopback that knows the squares of 1 to 9, and is overloaded at first.
let requests = 0
const server = createServer(async (request, response) => {
  const [, n = ""] = /"content":"(\d+)"/.exec(await bodyOf(request)) ?? []
  if (++requests === 1) return response.writeHead(503).end()
  if (Number(n) > 9) return response.writeHead(400).end('{"error":{"message":"too large"}}')
  const message = { role: "assistant", content: `${Number(n) ** 2}` }
  return response.end(JSON.stringify({ choices: [{ message, finish_reason: "stop" }] }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const baseUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/v1`

const client = createClient({
  llm: { provider: "openai", baseUrl, model: "some-model" },
  maxConcurrency: 10,
  rateLimit: { requestsPerMinute: 600 },
  retry: { retries: 3, base: "10 millis" },
  timeout: { attempt: "30 seconds", total: "2 minutes" },
  // The connections of `client.http`, which are these by default.
  http: { connections: 100, keepAliveConnections: 20 }
})

const { attempts, text } = await client.generateText("7")
console.log(`one: ${text} after ${attempts.length} attempts`)

// A batch: in the order of its questions, with exceptions as results.
const batch = await client.map([1, 2, 10, 3], (n) => client.generateText(String(n)), { concurrency: 4 })
const shown = batch.map((result) => {
  if (result.status === "fulfilled") return result.value.text
  return result.reason instanceof LlmError ? result.reason.code : "?"
})
console.log(`batch: ${shown.join(", ")}`)

// A queue in the process: held promises. They are sent as slots are free, and the urgent one before those that wait.
const later = [4, 5, 6].map((n) => client.generateText(String(n), { priority: n === 6 ? "high" : "low" }))
console.log(`queue: ${(await Promise.all(later)).map((answer) => answer.text).join(", ")}`)

// Takes no more, and waits for those under way.
console.log(await client.close({ grace: "5 seconds" }))
server.close()
// Output:
// one: 49 after 2 attempts
// batch: 1, 4, InvalidRequest, 9
// queue: 16, 25, 36
// { finished: 0, interrupted: 0 }
