/**
 * The misbehaving server of the failure table, in a process of its own: `/<row>/<run>/v1/chat/completions` behaves as
 * the row says, `/<row>/<run>/stats` tells what reached it. Started by `rows.ts`, which reads its port from stdout.
 */
import * as http from "node:http"
import type { Socket } from "node:net"

interface Stats {
  requests: number
  /** Sockets that carried a request of this run. */
  connections: number
  /** Requests whose connection the client closed before the answer was complete. */
  closed: number
  /** Requests that are being answered. */
  open: number
  keys: Array<string>
}

interface Exchange {
  readonly response: http.ServerResponse
  readonly socket: Socket
  /** 1 for the first request of this run. */
  readonly attempt: number
  readonly isStream: boolean
}

type Row = (exchange: Exchange) => void

const answer = (text: string, extra: object = {}): string =>
  JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "test-model",
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 4 },
    ...extra
  })

const delta = (content: string, extra: object = {}): string =>
  `data: ${JSON.stringify({ model: "test-model", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...extra })}\n\n`

const role = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] })}\n\n`
const finish = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`
const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } })}\n\n`
const done = "data: [DONE]\n\n"

const json = ({ response }: Exchange, status: number, body: string, headers: http.OutgoingHttpHeaders = {}): void => {
  response.writeHead(status, { "content-type": "application/json", "x-request-id": "req-test", ...headers })
  response.end(body)
}

const failure = (exchange: Exchange, status: number, headers: http.OutgoingHttpHeaders = {}, code = "test"): void =>
  json(exchange, status, JSON.stringify({ error: { message: `status ${status}`, type: "test", code } }), headers)

const events = ({ response }: Exchange): http.ServerResponse => {
  response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req-test" })
  return response
}

const ok = (exchange: Exchange): void => {
  if (!exchange.isStream) return json(exchange, 200, answer("hello world"))
  events(exchange).end(role + delta("hello ") + delta("world") + finish + usage + done)
}

const repeat = (response: http.ServerResponse, text: string): void => {
  const timer = setInterval(() => response.write(text), 20)
  response.once("close", () => clearInterval(timer))
}

const rows: Record<string, Row> = {
  ok,
  "stall-keepalive": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello "))
    repeat(response, ": keep-alive\n\n")
  },
  "stall-first": (exchange) => repeat(events(exchange), ": keep-alive\n\n"),
  "stall-body": ({ isStream, response }) => {
    response.writeHead(200, { "content-type": isStream ? "text/event-stream" : "application/json" })
    response.flushHeaders()
  },
  "cut-socket": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello ") + delta("wor"), () => exchange.socket.destroy())
  },
  "cut-before-content": (exchange) => {
    if (exchange.attempt > 1) return ok(exchange)
    events(exchange).write(role, () => exchange.socket.destroy())
  },
  "end-early": (exchange) => events(exchange).end(role + delta("hello ") + delta("wor")),
  "end-without-done": (exchange) => events(exchange).end(role + delta("hello world") + finish + usage),
  // The end comes long after [DONE], as behind a proxy that holds the connection for its own bookkeeping.
  "late-end": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello ") + delta("world") + finish + done)
    setTimeout(() => response.end(), 600)
  },
  "slow-consumer": (exchange) => {
    const response = events(exchange)
    for (let at = 0; at < 200; at++) response.write(delta(`${at} `))
    response.end(finish + done)
  },
  "retry-after-long": (exchange) => failure(exchange, 429, { "retry-after": "61" }),
  "retry-after-deadline": (exchange) => failure(exchange, 429, { "retry-after": "30" }),
  "retry-after-ms": (exchange) =>
    exchange.attempt === 1 ? failure(exchange, 429, { "retry-after-ms": "30" }) : ok(exchange),
  amplification: (exchange) => (exchange.attempt % 4 === 0 ? exchange.socket.destroy() : failure(exchange, 503)),
  exhausted: (exchange) => failure(exchange, 503),
  "server-error": (exchange) => failure(exchange, 500),
  // An error whose body never ends.
  "slow-close": ({ attempt, response, socket, isStream }) => {
    if (attempt > 1) return ok({ attempt, response, socket, isStream })
    response.writeHead(503, { "retry-after": "0", "content-type": "application/json" })
    response.write('{"error":{"message":"busy"}}')
  },
  "late-usage": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello world"))
    setTimeout(() => response.write(finish), 2_300)
    setTimeout(() => response.end(usage + done), 2_400)
  },
  redirect: (exchange) => json(exchange, 307, "", { location: "http://elsewhere.test/" }),
  quota: (exchange) => failure(exchange, 429, {}, "insufficient_quota"),
  unauthorized: (exchange) => failure(exchange, 401),
  hang: () => {},
  "break-early": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello "))
    repeat(response, delta("more "))
  },
  "utf8-split": (exchange) => {
    const bytes = Buffer.from(
      `\uFEFF: comment\r\n\r\n${delta("naïve ").replaceAll("\n", "\r\n")}` +
        `data: {"choices":[{"index":0,\rdata: "delta":{"content":"🎉🚀 "}}]}\r\r${delta("日本語")}${finish}${done}`
    )
    const { response } = exchange
    events(exchange)
    let at = 0
    const next = (): void => {
      if (at >= bytes.length) return void response.end()
      response.write(bytes.subarray(at, ++at), () => setImmediate(next))
    }
    next()
  },
  "unknown-fields": (exchange) => {
    if (!exchange.isStream) {
      const choice = { message: { content: "hello", surprise: [1] }, finish_reason: "vibes", novelty: {} }
      return json(exchange, 200, JSON.stringify({ choices: [choice], usage: { prompt_tokens: 1 }, zzz: null }))
    }
    const all = { role: "assistant", content: "hello" }
    const one = { choices: [{ delta: all, finish_reason: "vibes", novelty: 1 }], obfuscation: "xyz" }
    events(exchange).end(`event: ping\ndata: {"type":"ping"}\n\ndata: ${JSON.stringify(one)}\n\n${usage}${done}`)
  },
  "error-in-stream": (exchange) => {
    if (exchange.attempt > 1) return ok(exchange)
    const error = { error: { message: "slow down", type: "rate_limit_exceeded", code: 429 } }
    events(exchange).end(`${role}data: ${JSON.stringify(error)}\n\n`)
  },
  "garbage-json": (exchange) => {
    if (exchange.isStream) events(exchange).end(`${role}data: {"choices": [\n\n`)
    else json(exchange, 200, "<html>502 Bad Gateway</html>", { "content-type": "text/html" })
  },
  "not-streamed": (exchange) => json(exchange, 200, answer("hello world"))
}

const runs = new Map<string, Stats & { readonly sockets: Set<Socket> }>()

const statsOf = (run: string): Stats & { readonly sockets: Set<Socket> } => {
  let stats = runs.get(run)
  if (stats === undefined)
    runs.set(run, (stats = { requests: 0, connections: 0, closed: 0, open: 0, keys: [], sockets: new Set() }))
  return stats
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost")
  const [, row = "", run = ""] = url.pathname.split("/")
  const stats = statsOf(`${row}/${run}`)
  if (url.pathname.endsWith("/stats")) {
    const { sockets: _sockets, ...told } = stats
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify(told))
    return
  }
  const attempt = ++stats.requests
  if (!stats.sockets.has(request.socket)) {
    stats.sockets.add(request.socket)
    stats.connections++
  }
  const key = request.headers["idempotency-key"]
  if (typeof key === "string") stats.keys.push(key)
  stats.open++
  response.once("close", () => {
    stats.open--
    if (!response.writableFinished) stats.closed++
  })
  let body = ""
  request.setEncoding("utf8").on("data", (text: string) => (body += text))
  request.once("end", () => {
    const isStream = body.includes('"stream":true')
    const behave = rows[row] ?? ((exchange: Exchange) => failure(exchange, 404))
    behave({ response, socket: request.socket, attempt, isStream })
  })
})

server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.stdout.write(`${typeof address === "object" && address !== null ? address.port : ""}\n`)
})
// The parent's end closes stdin: no server outlives its tests.
process.stdin.resume().once("end", () => process.exit(0))
