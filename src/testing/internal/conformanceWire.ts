/** What an OpenAI-compatible server says, as the failure server says it, and the request that it says it to. */
import type * as Http from "node:http"
import type { Socket } from "node:net"

/** What reached the server in one run. */
export interface Stats {
  requests: number
  /** Sockets that carried a request of this run. */
  connections: number
  /** Of those, the ones that are not closed by both sides. */
  alive: number
  /** Requests whose connection the client closed before the answer was complete. */
  closed: number
  /** When the last of them was closed, milliseconds since the epoch. */
  closedAt: number
  /** Requests that are being answered. */
  open: number
  /** Bytes of endless answers that the client made room for. */
  written: number
  /** When each request came, in milliseconds since the epoch. */
  cameAt: Array<number>
  /** The `Idempotency-Key` of each request that had one. */
  keys: Array<string>
  /** Headers that carry credentials, as they came. */
  secrets: Array<string>
  /** Requests for a token, which are none of `requests`. */
  tokens: number
}

/** One request, and what it can be answered with. */
export interface Exchange {
  readonly response: Http.ServerResponse
  readonly socket: Socket
  /** 1 for the first request of this run. */
  readonly attempt: number
  readonly isStream: boolean
  readonly stats: Stats
  /** The name of this run. */
  readonly run: string
  readonly authorization: string | undefined
  /** Another origin, with the same behaviours. */
  readonly elsewhere: string
  /** Runs something so many milliseconds from now. */
  readonly after: (millis: number, run: () => void) => void
  /** Runs something each so many milliseconds, until the connection is closed. */
  readonly every: (millis: number, run: () => void) => void
  /** Answers as the endpoint behind the server does, or as the server itself where there is none. */
  readonly well: () => void
  /** A good stream's begin, up to its first content, or the server's own one; then calls back to go on. */
  readonly begun: (own: string, goOn: (response: Http.ServerResponse) => void) => void
}

/** How the server behaves. */
export type Behaviour = (exchange: Exchange) => void

export const answer = (text: string, extra: object = {}): string =>
  JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "test-model",
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 4 },
    ...extra
  })

export const event = (body: object): string => `data: ${JSON.stringify(body)}\n\n`

export const delta = (content: string): string =>
  event({ model: "test-model", choices: [{ index: 0, delta: { content }, finish_reason: null }] })

export const role = event({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] })
export const finish = event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })
export const usage = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } })
export const done = "data: [DONE]\n\n"

const toolDelta = (call: object): string =>
  event({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }] })
export const argumentsOf = (piece: string): string => toolDelta({ function: { arguments: piece } })
/** A call of a tool that breaks off inside its arguments. */
export const halfCall =
  toolDelta({ id: "call_1", type: "function", function: { name: "delete_file", arguments: "" } }) +
  argumentsOf('{"path":"/data/Par')
export const toolFinish = event({ choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] })

export const json = (
  { response }: Exchange,
  status: number,
  body: string,
  headers: Http.OutgoingHttpHeaders = {}
): void => {
  response.writeHead(status, { "content-type": "application/json", "x-request-id": "req-test", ...headers })
  response.end(body)
}

export const failure = (
  exchange: Exchange,
  status: number,
  headers: Http.OutgoingHttpHeaders = {},
  code = "test"
): void =>
  json(exchange, status, JSON.stringify({ error: { message: `status ${status}`, type: "test", code } }), headers)

export const events = ({ response }: Exchange): Http.ServerResponse => {
  response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req-test" })
  return response
}

/** The server's own good answer. */
export const ownAnswer = (exchange: Exchange): void => {
  if (!exchange.isStream) return json(exchange, 200, answer("hello world"))
  events(exchange).end(role + delta("hello ") + delta("world") + finish + usage + done)
}

/** Writes the same again and again, as fast as the client makes room for it. */
export const flood = ({ response, stats }: Exchange, text: string, limitBytes: number, end: () => void): void => {
  const bytes = Buffer.from(text)
  let left = limitBytes
  const next = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= bytes.length
      stats.written += bytes.length
      if (!response.write(bytes)) return void response.once("drain", next)
    }
    if (!response.destroyed) end()
  }
  next()
}

/** One byte now and then. */
export const drip = ({ every, socket }: Exchange, text: string): void => {
  let at = 0
  every(20, () => {
    if (at < text.length) socket.write(text[at++] ?? "")
  })
}

/** One byte to a packet. */
export const bytewise = (response: Http.ServerResponse, bytes: Buffer): void => {
  let at = 0
  const next = (): void => {
    if (at >= bytes.length) return void response.end()
    response.write(bytes.subarray(at, ++at), () => setImmediate(next))
  }
  next()
}

/** The same text again and again. */
export const repeat = ({ every, response }: Exchange, text: string): void => every(20, () => response.write(text))
