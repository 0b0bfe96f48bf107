/**
 * The misbehaving server of the failure table, in a process of its own: `/<row>/<run>/v1/chat/completions` behaves as
 * the row says, `/<row>/<run>/token` gives tokens, `/<row>/<run>/stats` tells what reached it. Started by `rows.ts`,
 * which reads its two ports from stdout: the second is another origin with the same rows.
 */
import * as http from "node:http"
import type { Socket } from "node:net"

interface Stats {
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
  /** The `Idempotency-Key` of each request that had one. */
  keys: Array<string>
  /** Headers that carry credentials, as they came. */
  secrets: Array<string>
  /** Requests for a token, which are none of `requests`. */
  tokens: number
}

interface Exchange {
  readonly response: http.ServerResponse
  readonly socket: Socket
  /** 1 for the first request of this run. */
  readonly attempt: number
  readonly isStream: boolean
  readonly stats: Stats
  /** The name of this run. */
  readonly run: string
  readonly authorization: string | undefined
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

const toolDelta = (call: object): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }] })}\n\n`
const argumentsOf = (piece: string): string => toolDelta({ function: { arguments: piece } })
const halfCall =
  toolDelta({ id: "call_1", type: "function", function: { name: "delete_file", arguments: "" } }) +
  argumentsOf('{"path":"/data/Par')
const toolFinish = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] })}\n\n`

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

/** Writes the same again and again, as fast as the client makes room for it. */
const flood = ({ response, stats }: Exchange, text: string, limitBytes: number, end: () => void): void => {
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

const drip = (socket: Socket, text: string): void => {
  let at = 0
  const timer = setInterval(() => {
    if (at < text.length) socket.write(text[at++] ?? "")
  }, 20)
  socket.once("close", () => clearInterval(timer))
}

/** Sockets that have carried a request. */
const used = new WeakSet<Socket>()

/** One byte to a packet. */
const bytewise = (response: http.ServerResponse, bytes: Buffer): void => {
  let at = 0
  const next = (): void => {
    if (at >= bytes.length) return void response.end()
    response.write(bytes.subarray(at, ++at), () => setImmediate(next))
  }
  next()
}

const repeat = (response: http.ServerResponse, text: string): void => {
  const timer = setInterval(() => response.write(text), 20)
  response.once("close", () => clearInterval(timer))
}

const rows: Record<string, Row> = {
  ok,
  // The socket is reset once the whole request is here.
  reset: ({ socket }) => void socket.resetAndDestroy(),
  "reset-once": (exchange) => (exchange.attempt === 1 ? void exchange.socket.resetAndDestroy() : ok(exchange)),
  // A socket that was used before is closed without a byte; the client had sent its request by then.
  "stale-socket": (exchange) => {
    if (used.has(exchange.socket)) return void exchange.socket.destroy()
    used.add(exchange.socket)
    ok(exchange)
  },
  // The server closes the socket that it has just promised to keep.
  "idle-close": (exchange) => {
    exchange.response.once("finish", () => setTimeout(() => exchange.socket.end(), 20))
    ok(exchange)
  },
  "huge-body": (exchange) => {
    const { isStream, response } = exchange
    response.writeHead(200, { "content-type": isStream ? "text/event-stream" : "application/json" })
    response.write(isStream ? "data: " : '{"choices":"')
    flood(exchange, "x".repeat(64 * 1024), 2 ** 30, () => response.end())
  },
  "huge-error": (exchange) => {
    if (exchange.attempt > 1) return ok(exchange)
    exchange.response.writeHead(500, { "content-type": "application/json" })
    flood(exchange, "x".repeat(64 * 1024), 2 ** 30, () => exchange.response.end())
  },
  "slow-drip-head": ({ socket }) => drip(socket, "HTTP/1.1 200 OK\r\nx-slow: " + "y".repeat(10_000)),
  "slow-drip-body": ({ isStream, response, socket }) => {
    response.writeHead(200, { "content-type": isStream ? "text/event-stream" : "application/json" })
    response.flushHeaders()
    drip(socket, "1\r\n \r\n".repeat(2000))
  },
  landed: ok,
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
  "slow-close": (exchange) => {
    const { attempt, response } = exchange
    if (attempt > 1) return ok(exchange)
    response.writeHead(503, { "retry-after": "0", "content-type": "application/json" })
    response.write('{"error":{"message":"busy"}}')
  },
  // Longer than the tail is waited for.
  "late-end-long": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello world") + finish + done)
    setTimeout(() => response.end(), 20_000).unref()
  },
  // More behind the end than is worth reading.
  "late-tail": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello world") + finish + done)
    flood(exchange, ": tail\n\n".repeat(1000), 2 ** 24, () => {})
  },
  // 160 MiB, two and a half times what an answer may have.
  "large-body": (exchange) => {
    exchange.response.writeHead(200, { "content-type": "application/json" })
    exchange.response.write('{"choices":[{"message":{"content":"')
    flood(exchange, "x".repeat(64 * 1024), 160 * 2 ** 20, () => exchange.response.end('"}}]}'))
  },
  // 48 MB of small events, as fast as they are taken.
  flood: (exchange) => {
    const response = events(exchange)
    const some = Array.from({ length: 100 }, () => delta("0123456789")).join("")
    flood(exchange, some, 48 * 2 ** 20, () => response.end(finish + done))
  },
  "late-usage": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello world"))
    setTimeout(() => response.write(finish), 2_300)
    setTimeout(() => response.end(usage + done), 2_400)
  },
  redirect: (exchange) =>
    json(exchange, 307, "", { location: `http://127.0.0.1:${portOf(elsewhere)}/landed/${exchange.run}/v1` }),
  quota: (exchange) => failure(exchange, 429, {}, "insufficient_quota"),
  unauthorized: (exchange) => failure(exchange, 401),
  hang: () => {},
  "break-early": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello "))
    repeat(response, delta("more "))
  },
  "utf8-split": (exchange) => {
    if (!exchange.isStream) {
      const whole = Buffer.from(answer("naïve 🎉🚀 日本語"))
      exchange.response.writeHead(200, { "content-type": "application/json", "content-length": whole.length })
      return bytewise(exchange.response, whole)
    }
    const bytes = Buffer.from(
      `\uFEFF: comment\r\n\r\n${delta("naïve ").replaceAll("\n", "\r\n")}` +
        `data: {"choices":[{"index":0,\rdata: "delta":{"content":"🎉🚀 "}}]}\r\r${delta("日本語")}${finish}${done}`
    )
    bytewise(events(exchange), bytes)
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
  // The same without an event that is none of the protocol's.
  "unknown-values": (exchange) => {
    const choice = { delta: { role: "assistant", content: "hello" }, finish_reason: "vibes", novelty: 1 }
    events(exchange).end(`data: ${JSON.stringify({ choices: [choice], obfuscation: "xyz" })}\n\n${usage}${done}`)
  },
  // The error is named by the event, with the words around it or without.
  "error-event": (exchange) => {
    const errors = [
      { error: { message: "busy", type: "overloaded_error" } },
      { message: "slow down", type: "rate_limit_exceeded", code: 429 }
    ]
    const error = errors[exchange.attempt - 1]
    if (error === undefined) return ok(exchange)
    events(exchange).end(`${role}event: error\ndata: ${JSON.stringify(error)}\n\n`)
  },
  "error-late": (exchange) => {
    const error = { error: { message: "busy", type: "overloaded_error" } }
    events(exchange).end(`${role}${delta("hello ")}data: ${JSON.stringify(error)}\n\n`)
  },
  "garbage-late": (exchange) => events(exchange).end(`${role}${delta("hello ")}data: {"choices": [\n\n`),
  "no-capacity": (exchange) => {
    if (exchange.attempt > 1) return ok(exchange)
    const choice = { index: 0, message: { content: "" }, delta: {}, finish_reason: "insufficient_system_resource" }
    const body = JSON.stringify({ choices: [choice] })
    if (exchange.isStream) events(exchange).end(`${role}data: ${body}\n\n${done}`)
    else json(exchange, 200, body)
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
  // The first token that the run's IAM gives has expired when it is used.
  "token-expired": (exchange) => (exchange.authorization === "Bearer token-2" ? ok(exchange) : failure(exchange, 401)),
  // A call that breaks off inside the arguments of a tool, after words.
  "tool-cut": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("Let me look.") + halfCall, () => exchange.socket.destroy())
  },
  // The same without words before it; the next answer is whole.
  "tool-cut-first": (exchange) => {
    const response = events(exchange)
    if (exchange.attempt === 1) return void response.write(role + halfCall, () => exchange.socket.destroy())
    response.end(role + halfCall + argumentsOf('is"}') + toolFinish + done)
  },
  // A clean end in the same place.
  "tool-cut-end": (exchange) => events(exchange).end(role + delta("Let me look.") + halfCall),
  "not-streamed": (exchange) => json(exchange, 200, answer("hello world"))
}

interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** How many requests get it; the next ones get an answer. Default: all. */
  readonly times?: number
}

/** The row `reply.<base64url of JSON>` answers what its own name says. */
const replyOf = (row: string): Row | undefined => {
  if (!row.startsWith("reply.")) return undefined
  const {
    body,
    headers,
    status,
    times = Infinity
  }: Reply = JSON.parse(Buffer.from(row.slice(6), "base64url").toString())
  return (exchange) => {
    if (exchange.attempt > times) ok(exchange)
    else if (body === undefined) failure(exchange, status, headers)
    else json(exchange, status, body, headers)
  }
}

const runs = new Map<string, Stats & { readonly sockets: Set<Socket> }>()

const statsOf = (run: string): Stats & { readonly sockets: Set<Socket> } => {
  let stats = runs.get(run)
  if (stats === undefined)
    runs.set(
      run,
      (stats = {
        requests: 0,
        connections: 0,
        alive: 0,
        closed: 0,
        closedAt: 0,
        open: 0,
        written: 0,
        keys: [],
        secrets: [],
        tokens: 0,
        sockets: new Set()
      })
    )
  return stats
}

const credentials = ["authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-goog-api-key"]

const serve: http.RequestListener = (request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost")
  const [, row = "", run = ""] = url.pathname.split("/")
  const stats = statsOf(`${row}/${run}`)
  if (url.pathname.endsWith("/stats")) {
    const { sockets: _sockets, ...told } = stats
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify(told))
    return
  }
  if (url.pathname.endsWith("/token")) {
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify({ access_token: `token-${++stats.tokens}`, expires_in: 3600 }))
    return
  }
  const attempt = ++stats.requests
  if (!stats.sockets.has(request.socket)) {
    stats.sockets.add(request.socket)
    stats.connections++
    stats.alive++
    // A client may come back on one socket for run after run, each of which listens.
    request.socket.setMaxListeners(0).once("close", () => stats.alive--)
  }
  const key = request.headers["idempotency-key"]
  if (typeof key === "string") stats.keys.push(key)
  for (const name of credentials) {
    const value = request.headers[name]
    if (value !== undefined) stats.secrets.push(`${name}: ${String(value)}`)
  }
  stats.open++
  response.once("close", () => {
    stats.open--
    if (response.writableFinished) return
    stats.closed++
    stats.closedAt = Date.now()
  })
  let body = ""
  request.setEncoding("utf8").on("data", (text: string) => (body += text))
  request.once("end", () => {
    const isStream = body.includes('"stream":true')
    const behave = rows[row] ?? replyOf(row) ?? ((exchange: Exchange) => failure(exchange, 404))
    const { authorization } = request.headers
    behave({ response, socket: request.socket, attempt, isStream, stats, run, authorization })
  })
}

const server = http.createServer(serve)
const elsewhere = http.createServer(serve)

const portOf = (listening: http.Server): number => {
  const address = listening.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

server.keepAliveTimeout = 60_000
elsewhere.listen(0, "127.0.0.1", () => {
  server.listen(0, "127.0.0.1", () => {
    process.stdout.write(`${portOf(server)} ${portOf(elsewhere)}\n`)
  })
})
// The parent's end closes stdin: no server outlives its tests.
process.stdin.resume().once("end", () => process.exit(0))
