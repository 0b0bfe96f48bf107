/** Serve a chat with Fastify: a browser that leaves aborts the call to the model, and SIGTERM lets answers finish. */
import { type ServerResponse, STATUS_CODES } from "node:http"
import { Readable } from "node:stream"
import Fastify, { type FastifyError } from "fastify"
import { closeOnSignals, createClient, Draining, LlmError, type StreamEvent } from "holdfast/promise"

// OPENAI_API_KEY is its key.
const client = createClient({ llm: { provider: "openai", model: "some-model" } })

/** Aborts when the browser has gone. `request.signal` aborts as soon as the request's body has been read (Fastify 5.12). */
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

const app = Fastify({ ajv: { customOptions: { coerceTypes: false } } })
app.setErrorHandler<FastifyError | LlmError | Draining>((error, _request, reply) => {
  // Fastify's own words for a request that is wrong. Of what is ours it would send the message, too.
  if ("statusCode" in error && (error.statusCode ?? 500) < 500) return reply.send(error)
  if (!reply.raw.destroyed) console.error(error)
  const status = statusOf(error)
  const waitMillis = error instanceof LlmError ? error.retryAfterMillis : undefined
  if (waitMillis !== undefined) reply.header("retry-after", Math.ceil(waitMillis / 1000))
  return reply.status(status).send({ error: STATUS_CODES[status] })
})

type Chat = { readonly Body: { readonly prompt: string } }
const body = { type: "object", required: ["prompt"], properties: { prompt: { type: "string", minLength: 1 } } }
app.post<Chat>("/chat", { schema: { body } }, async (request, reply) => {
  const { text } = await client.generateText(request.body.prompt, { signal: leaving(reply.raw) })
  return { text }
})
app.post<Chat>("/chat/stream", { schema: { body } }, async (request, reply) => {
  const events = client.streamText(request.body.prompt, { signal: leaving(reply.raw) })
  // Before anything is sent: a model that refuses is told by the status.
  const first = await events.next()
  reply.headers({ "content-type": "text/event-stream", "cache-control": "no-store, no-transform" })
  // Waits for a slow browser.
  return reply.send(Readable.from(toFrames(first, events)))
})

const { HOST = "127.0.0.1", PORT = "3000" } = process.env
closeOnSignals(client, { server: app.server })
await app.listen({ port: Number(PORT), host: HOST })
console.log("listening on", app.server.address())
