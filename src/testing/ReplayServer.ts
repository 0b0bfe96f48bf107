/**
 * An OpenAI-compatible server on loopback that answers with recorded texts, over real HTTP, with faults on purpose.
 *
 * `POST /v1/chat/completions` (whole, and as server-sent events with `stream: true`) and `GET /v1/models`.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { text as readText } from "node:stream/consumers"
import type { Message } from "../llm/Message.ts"
import * as Fault from "./Fault.ts"
import * as Wire from "./internal/replay.ts"

/** A request as the server understood it. */
export interface Request {
  readonly model: string
  readonly messages: ReadonlyArray<{ readonly role: Message["role"] | (string & {}); readonly content: string }>
  readonly stream: boolean
}

/** A request that came, and what was done to it. */
export interface Logged extends Request {
  readonly requestId: string
  /** The fault that was injected. Absent when the request was answered. */
  readonly fault?: Fault.Kind | undefined
}

/** Recorded answers to one prompt, in the order of the conversation's rounds. */
export interface Recording {
  readonly prompt: string
  readonly answers: ReadonlyArray<string>
}

export interface Options {
  /** The text to answer with; `undefined` is a 404 that says so. */
  readonly answer: (request: Request) => string | undefined
  /** Default: no faults. */
  readonly faults?: Fault.Plan | undefined
  /** What the fault `latency` adds, in real time. Default: `"2 seconds"`. */
  readonly latency?: Duration.Input | undefined
  /** Default: a free one. */
  readonly port?: number | undefined
}

export interface ReplayServer {
  /** Base URL for clients, e.g. `"http://127.0.0.1:40123/v1"`. */
  readonly url: string
  readonly requests: Effect.Effect<ReadonlyArray<Logged>>
}

/**
 * Answers by what the request says: the recording whose prompt a message contains (the longest such prompt), and of its
 * answers the one after as many as the conversation holds already. A re-sent request therefore gets the same answer, and
 * after the last answer the last one is repeated.
 */
export const recorded = (recordings: ReadonlyArray<Recording>): Options["answer"] => {
  const longestFirst = [...recordings].sort((a, b) => b.prompt.length - a.prompt.length)
  return ({ messages }) => {
    const asked = messages.filter((message) => message.role === "user")
    const found = longestFirst.find(({ prompt }) => asked.some((message) => message.content.includes(prompt)))
    const round = messages.filter((message) => message.role === "assistant").length
    return found?.answers[Math.min(round, found.answers.length - 1)]
  }
}

/** Starts a server that lives as long as the scope. Its close breaks open connections. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<ReplayServer, never, Scope.Scope> {
  const log: Array<Logged> = []
  const run = yield* FiberSet.makeRuntime()
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => Http.createServer()),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  server.on("request", (incoming, outgoing) => {
    const fiber = run(respond(options, log, incoming, outgoing))
    outgoing.on("close", () => fiber.interruptUnsafe())
  })
  const port = yield* listen(server, options.port ?? 0)
  return { url: `http://127.0.0.1:${port}/v1`, requests: Effect.sync(() => [...log]) }
})

const listen = (server: Http.Server, port: number): Effect.Effect<number> =>
  Effect.callback((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  })

const json = (outgoing: Http.ServerResponse, status: number, body: string, headers?: Http.OutgoingHttpHeaders) =>
  Effect.sync(() => {
    outgoing.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      ...headers
    })
    outgoing.end(body)
  })

const respond = (
  options: Options,
  log: Array<Logged>,
  incoming: Http.IncomingMessage,
  outgoing: Http.ServerResponse
): Effect.Effect<void> => {
  const route = `${incoming.method} ${incoming.url}`
  if (route === "GET /v1/models")
    return json(outgoing, 200, JSON.stringify({ object: "list", data: [{ id: "replay", object: "model" }] }))
  if (route !== "POST /v1/chat/completions") return json(outgoing, 404, Wire.problem(`no route ${route}`, "not_found"))
  return Effect.flatMap(
    Effect.promise(() => readText(incoming)),
    (body) => chat(options, log, body, outgoing)
  )
}

/** What a server can do to a connection that it has taken: it cannot refuse it any more. */
const playable = Fault.allKinds.filter((kind) => kind !== "refuse")

const chat = Effect.fnUntraced(function* (
  options: Options,
  log: Array<Logged>,
  body: string,
  outgoing: Http.ServerResponse
) {
  const decoded = yield* Effect.result(Schema.decodeUnknownEffect(Wire.ChatRequest)(body))
  if (decoded._tag === "Failure")
    return yield* json(outgoing, 400, Wire.problem(decoded.failure.message, "invalid_request_error"))
  const { stream = false, stream_options, model } = decoded.success
  const messages = decoded.success.messages.map(({ role, content }) => ({ role, content: Wire.textOf(content) }))
  const request = { model, messages, stream }
  // One logical call: the same model and conversation, however it is sent again.
  const key = JSON.stringify([model, messages])
  const fault = options.faults?.dealUnsafe(key, playable)
  const requestId = `req_replay_${log.length + 1}`
  log.push({ ...request, requestId, fault })
  const headers = { "x-request-id": requestId }
  const text = options.answer(request)
  if (text === undefined)
    return yield* json(outgoing, 404, Wire.problem("no recorded answer for this conversation", "not_found"), headers)

  const now = yield* Clock.currentTimeMillis
  const usage = Wire.count(messages, text)
  const reply = { id: `chatcmpl-${requestId}`, model, createdSeconds: Math.floor(now / 1000), text, usage }
  const parts = stream ? Wire.events(reply, stream_options?.include_usage === true) : halves(Wire.completion(reply))
  const type = stream ? "text/event-stream; charset=utf-8" : "application/json"
  if (fault === "latency") yield* Effect.sleep(options.latency ?? "2 seconds")
  else if (fault !== undefined) return yield* play(fault, outgoing, { ...headers, "content-type": type }, parts)
  outgoing.on("finish", () => options.faults?.answeredUnsafe(key))
  outgoing.writeHead(200, { ...headers, "content-type": type })
  for (const part of parts) outgoing.write(part)
  outgoing.end()
})

const halves = (body: string): ReadonlyArray<string> => {
  const middle = Math.ceil(body.length / 2)
  return [body.slice(0, middle), body.slice(middle)]
}

const play = Effect.fnUntraced(function* (
  fault: Exclude<(typeof playable)[number], "latency">,
  outgoing: Http.ServerResponse,
  headers: Http.OutgoingHttpHeaders,
  parts: ReadonlyArray<string>
) {
  switch (fault) {
    case "rateLimited": {
      // Short, so that a run with faults stays quick; both forms of the header are in use out there.
      const wait = parts.length % 2 === 0 ? { "retry-after": "0" } : { "retry-after-ms": "30" }
      const problem = Wire.problem("injected fault: too many requests", "rate_limit_exceeded")
      return yield* json(outgoing, 429, problem, { ...headers, ...wait, "content-type": "application/json" })
    }
    case "unavailable": {
      const problem = Wire.problem("injected fault: overloaded", "server_error")
      return yield* json(outgoing, 503, problem, { ...headers, "content-type": "application/json" })
    }
    case "serverError": {
      const problem = Wire.problem("injected fault: internal error", "server_error")
      return yield* json(outgoing, 500, problem, { ...headers, "content-type": "application/json" })
    }
    case "silence":
      return yield* Effect.never
    case "garbage": {
      const junk = "{\uFFFD\u0000]<html>injected fault"
      return yield* writeAll(outgoing, headers, [parts.length > 2 ? `data: ${junk}\n\n` : junk]).pipe(
        Effect.andThen(Effect.sync(() => outgoing.end()))
      )
    }
    case "reset":
      outgoing.socket?.resetAndDestroy()
      return
    case "cut":
      yield* writeAll(outgoing, headers, parts.slice(0, Math.ceil(parts.length / 2)))
      outgoing.socket?.destroy()
      return
    case "stall": {
      const isStream = parts.length > 2
      // A stream stalls after its first content; role chunk and one delta.
      yield* writeAll(outgoing, headers, parts.slice(0, isStream ? 2 : 1))
      if (!isStream) return yield* Effect.never
      return yield* Effect.forever(
        Effect.andThen(
          Effect.sleep("200 millis"),
          Effect.sync(() => outgoing.write(": keep-alive\n\n"))
        )
      )
    }
  }
})

/** Writes headers and parts, and waits until the system has taken them: what is destroyed earlier is never seen. */
const writeAll = (outgoing: Http.ServerResponse, headers: Http.OutgoingHttpHeaders, parts: ReadonlyArray<string>) =>
  Effect.callback<void>((resume) => {
    outgoing.writeHead(200, headers)
    outgoing.write(parts.join(""), () => resume(Effect.void))
  })
