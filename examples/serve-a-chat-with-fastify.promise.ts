/** Serve a chat with Fastify: a browser that leaves aborts the call to the model, and SIGTERM lets answers finish. */
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { Readable } from "node:stream"
import Fastify, { type FastifyError } from "fastify"
import type { Llm } from "holdfast/llm"
import { type CloseReport, closeOnSignals, createClient, Draining, LlmError } from "holdfast/promise"

const { HOST = "127.0.0.1", OPENAI_API_KEY, OPENAI_BASE_URL, PORT = "0" } = process.env
const played = OPENAI_BASE_URL === undefined ? await playModel() : undefined
const baseUrl = played?.url ?? OPENAI_BASE_URL
const client = createClient({ llm: { provider: "openai", baseUrl, apiKey: OPENAI_API_KEY, model: "some-model" } })

/** Aborts when the browser has gone. `request.signal` aborts as soon as the request's body has been read (Fastify 5.12). */
const leaving = (response: ServerResponse): AbortSignal => {
  const controller = new AbortController()
  if (response.destroyed) controller.abort()
  else response.once("close", () => controller.abort())
  return controller.signal
}

/** What the browser may know. The rest, such as a wrong key or an empty account, is ours to mend: a 502, and a log. */
const refusalOf = (error: unknown): { readonly status: number; readonly code: string } => {
  if (!(error instanceof LlmError || error instanceof Draining)) return { status: 500, code: "Internal" }
  const { code } = error
  if (code === "RateLimited") return { status: 429, code }
  if (code === "ContextLengthExceeded") return { status: 413, code }
  if (code === "FirstContentTimeout" || code === "DeadlineExceeded") return { status: 504, code }
  const isBusy = ["Overloaded", "Shed", "CircuitOpen", "Draining"].includes(code)
  return isBusy ? { status: 503, code } : { status: 502, code: "BadGateway" }
}

/** Server-sent events. A failure after the first is an event, too: the status has been sent. */
const toFrames = async function* (first: IteratorResult<Llm.StreamEvent>, rest: AsyncIterable<Llm.StreamEvent>) {
  try {
    if (first.done !== true) yield toFrame(first.value)
    for await (const event of rest) yield toFrame(event)
  } catch (error) {
    yield `event: error\ndata: ${JSON.stringify({ error: refusalOf(error).code })}\n\n`
  }
}
const toFrame = (event: Llm.StreamEvent): string => {
  if (event.type === "text") return `data: ${JSON.stringify({ text: event.text })}\n\n`
  if (event.type === "finish") return `event: done\ndata: ${JSON.stringify({ reason: event.finishReason })}\n\n`
  // A comment, while the model thinks: it keeps proxies from closing the connection.
  return ":\n\n"
}

const app = Fastify({ bodyLimit: 64 * 1024, ajv: { customOptions: { coerceTypes: false } } })
app.setErrorHandler<FastifyError | LlmError | Draining>((error, _request, reply) => {
  // Fastify's own words for a request that is wrong. Of what is ours it would send the message, too.
  if ("statusCode" in error && (error.statusCode ?? 500) < 500) return reply.send(error)
  const { code, status } = refusalOf(error)
  if (!reply.raw.destroyed) console.error(error)
  const waitMillis = error instanceof LlmError ? error.retryAfterMillis : undefined
  if (waitMillis !== undefined) reply.header("retry-after", Math.ceil(waitMillis / 1000))
  return reply.status(status).send({ error: code })
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

const answers = new Set<ServerResponse>()
app.server.on("request", (_, response) => {
  answers.add(response)
  response.once("close", () => answers.delete(response))
})

/** Takes no new connections, lets calls under way finish, and waits until their answers are sent. */
const close = async (options: { readonly grace: number }): Promise<CloseReport> => {
  const closed = app.close()
  const report = await client.close(options)
  await Promise.allSettled(Array.from(answers, (answer) => once(answer, "close")))
  // Those that are left are idle, or were opened in advance: they would hold the server for seconds.
  app.server.closeAllConnections()
  await closed
  return report
}
closeOnSignals({ close }, { grace: "8 seconds" })

const url = await app.listen({ port: Number(PORT), host: HOST })
console.error(`listening on ${url}`)

// Without OPENAI_BASE_URL this example plays the model and the browser itself, and ends.
if (played !== undefined) {
  const headers = { "content-type": "application/json" }
  const ask = (path: string) => fetch(url + path, { method: "POST", headers, body: '{"prompt":"Say hello"}' })
  console.log(await (await ask("/chat")).text())
  for await (const bytes of (await ask("/chat/stream")).body ?? []) {
    console.log(new TextDecoder().decode(bytes).trim())
    // The browser leaves in the middle of the answer.
    break
  }
  await played.gone
  console.log("the call to the model is aborted")
  console.log(await close({ grace: 1000 }))
}

/** In place of a model: its first answer is whole, its second one never comes to an end. */
async function playModel() {
  const gone = Promise.withResolvers<void>()
  let requests = 0
  const server = createServer((_, response) => {
    const said = { content: "Hello" }
    if (++requests === 1) {
      response.end(JSON.stringify({ choices: [{ message: said, finish_reason: "stop" }] }))
    } else {
      response.once("close", gone.resolve).setHeader("content-type", "text/event-stream")
      response.write(`data: ${JSON.stringify({ choices: [{ delta: said }] })}\n\n`)
    }
  })
  await once(server.unref().listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/v1`, gone: gone.promise }
}
// Output:
// {"text":"Hello"}
// data: {"text":"Hello"}
// the call to the model is aborted
// { finished: 0, interrupted: 0 }
