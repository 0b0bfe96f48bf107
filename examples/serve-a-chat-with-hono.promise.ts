/** Serve a chat with Hono on Node: a browser that leaves aborts the call to the model, and SIGTERM lets answers finish. */
import { createServer, STATUS_CODES } from "node:http"
import { getRequestListener } from "@hono/node-server"
import { Hono } from "hono"
import { stream } from "hono/streaming"
import type { ContentfulStatusCode } from "hono/utils/http-status"
import { validator } from "hono/validator"
import { closeOnSignals, createClient, Draining, LlmError, type StreamEvent } from "holdfast/promise"

// OPENAI_API_KEY is its key.
const client = createClient({ llm: { provider: "openai", model: "some-model" } })

// What the browser may know. The rest, such as a wrong key or an empty account, is ours to mend: a 502, and a log.
const slow = { FirstContentTimeout: 504, DeadlineExceeded: 504 } as const
const busy = { Overloaded: 503, Shed: 503, CircuitOpen: 503, Draining: 503 } as const
const statuses: Readonly<Record<string, ContentfulStatusCode>> = {
  RateLimited: 429,
  ContextLengthExceeded: 413,
  ...slow,
  ...busy
}
const statusOf = (error: unknown): ContentfulStatusCode =>
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

const app = new Hono()
app.onError((error, c) => {
  console.error(error)
  const status = statusOf(error)
  const waitMillis = error instanceof LlmError ? error.retryAfterMillis : undefined
  if (waitMillis !== undefined) c.header("retry-after", `${Math.ceil(waitMillis / 1000)}`)
  return c.json({ error: STATUS_CODES[status] }, status)
})

const chat = validator("json", ({ prompt }, c) =>
  typeof prompt === "string" && prompt !== "" ? { prompt } : c.json({ error: "give a prompt" }, 400)
)
app.post("/chat", chat, async (c) => {
  const { text } = await client.generateText(c.req.valid("json").prompt, { signal: c.req.raw.signal })
  return c.json({ text })
})
app.post("/chat/stream", chat, async (c) => {
  const events = client.streamText(c.req.valid("json").prompt, { signal: c.req.raw.signal })
  // Before anything is sent: a model that refuses is told by the status.
  const first = await events.next()
  c.header("content-type", "text/event-stream")
  c.header("cache-control", "no-store, no-transform")
  // `streamSSE` would send its status first, and the browser the error's message.
  return stream(c, async (out) => {
    for await (const frame of toFrames(first, events)) await out.write(frame)
  })
})

const { HOST = "127.0.0.1", PORT = "3000" } = process.env
const server = createServer(getRequestListener(app.fetch))
server.listen(Number(PORT), HOST, () => console.log("listening on", server.address()))
closeOnSignals(client, { server })
