/** A model server on loopback for the packed package's smoke test: it knows one answer, after one "come back later". */
import { createServer } from "node:http"

const answer = JSON.stringify({
  id: "1",
  object: "chat.completion",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "forty-two" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
})

const chunk = (delta: object, finish: string | null): string =>
  `data: ${JSON.stringify({ id: "1", model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`

/** Its first request gets a 503, every later one the answer, streamed when asked for. */
export const serve = async (): Promise<{ readonly baseUrl: string; readonly close: () => void }> => {
  let requests = 0
  const server = createServer(async (request, response) => {
    let body = ""
    for await (const part of request) body += part
    requests += 1
    if (requests === 1) return response.writeHead(503).end("{}")
    if (!body.includes('"stream":true')) return response.setHeader("content-type", "application/json").end(answer)
    response.setHeader("content-type", "text/event-stream")
    return response.end(`${chunk({ content: "forty-" }, null)}${chunk({ content: "two" }, "stop")}data: [DONE]\n\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { baseUrl: `http://127.0.0.1:${address.port}/v1`, close }
}
