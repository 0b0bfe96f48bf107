/** Serve a chat with Express: a browser that leaves aborts the call to the model, and SIGTERM lets answers finish. */
import { createServer, type ServerResponse, STATUS_CODES } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import express, { type ErrorRequestHandler } from "express"
import { closeOnSignals, createClient, Draining, LlmError, type StreamEvent } from "holdfast/promise"

// OPENAI_API_KEY is its key.
const client = createClient({ llm: { provider: "openai", model: "some-model" } })

/** Aborts when the browser has gone. The request's own "close" comes as soon as its body has been read. */
const leaving = (response: ServerResponse): AbortSignal => {
  const controller = new AbortController()
  response.once("close", () => controller.abort())
  return response.destroyed ? AbortSignal.abort() : controller.signal
}

// What the browser may know. The rest, such as a wrong key or an empty account, is ours to mend: a 502, and a log.
const slow = { FirstContentTimeout: 504, DeadlineExceeded: 504 }
const busy = { Overloaded: 503, Shed: 503, CircuitOpen: 503, Draining: 503 }
const statuses: Readonly<Record<string, number>> = { RateLimited: 429, ContextLengthExceeded: 413, ...slow, ...busy }
const statusOf = (error: unknown): number =>
  error instanceof LlmError || error instanceof Draining ? (statuses[error.code] ?? 502) : 500

/** Server-sent events. A failure after the first is an event, too: the status has been sent. */
const toFrames = async function* (first: IteratorResult<StreamEvent>, events: AsyncIterator<StreamEvent>) {
  try {
    for (let next = first; next.done !== true; next = await events.next()) yield toFrame(next.value)
  } catch (error) {
    yield `event: error\ndata: ${JSON.stringify({ error: STATUS_CODES[statusOf(error)] })}\n\n`
  }
}
const toFrame = (event: StreamEvent): string => {
  if (event.type === "text") return `data: ${JSON.stringify({ text: event.text })}\n\n`
  // A comment, while the model thinks: it keeps proxies from closing the connection.
  return event.type === "finish" ? "event: done\ndata: {}\n\n" : ":\n\n"
}

const refuse: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.destroyed) return
  const status = statusOf(error)
  if (response.headersSent || status === 500) return next(error)
  console.error(error)
  const waitMillis = error instanceof LlmError ? error.retryAfterMillis : undefined
  if (waitMillis !== undefined) response.set("retry-after", `${Math.ceil(waitMillis / 1000)}`)
  response.status(status).json({ error: STATUS_CODES[status] })
}

const app = express()
app.use("/chat", express.json(), ({ body }, response, next) => {
  if (typeof body?.prompt === "string" && body.prompt !== "") next()
  else response.status(400).json({ error: "give a prompt" })
})
app.post("/chat", async ({ body }, response) => {
  const { text } = await client.generateText(body.prompt, { signal: leaving(response) })
  response.json({ text })
})
app.post("/chat/stream", async ({ body }, response) => {
  const events = client.streamText(body.prompt, { signal: leaving(response) })
  // Before anything is sent: a model that refuses is told by the status.
  const first = await events.next()
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store, no-transform" })
  // Waits for a slow browser.
  await pipeline(Readable.from(toFrames(first, events)), response)
})
app.use(refuse)

const { HOST = "127.0.0.1", PORT = "3000" } = process.env
const server = createServer(app).listen(Number(PORT), HOST, () => console.log("listening on", server.address()))
closeOnSignals(client, { server })
