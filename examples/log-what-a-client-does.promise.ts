/** Give a client a logger: it tells of retries, refusals, killed sandboxes and its closing, in fields, never of prompts. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient, type LogFields, type PlainLogger } from "holdfast/promise"

// A model on loopback that is overloaded once.
let requests = 0
const server = createServer((_, response) => {
  if (++requests === 1) return response.writeHead(503).end()
  const message = { role: "assistant", content: "Hello" }
  return response.end(JSON.stringify({ choices: [{ message, finish_reason: "stop" }] }))
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

// `console` would do. pino takes fields first: `(message, fields) => pino.warn(fields, message)`.
const write = (level: string) => (_message: string, fields: LogFields) =>
  console.log(level, fields.event, fields.reason ?? "")
const logger: PlainLogger = {
  debug: write("debug"),
  info: write("info"),
  warn: write("warn"),
  error: write("error")
}

{
  await using client = createClient({
    llm: { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" },
    retry: { base: "1ms" },
    logger
  })
  console.log((await client.generateText("Say hello")).text)
  await client.generateText("Say it at once", { timeout: 0 }).catch(() => {})
}
server.close()
// Output:
// warn retry ServerError
// Hello
// warn refused DeadlineExceeded
// info closed
