/**
 * The misbehaving server of the failure table, in a process of its own: `/<row>/<run>/v1/chat/completions` behaves as
 * the row says, `/<row>/<run>/stats` tells what reached it. Started by `rows.ts`, which reads its port from stdout.
 */
import * as http from "node:http"
const answer = (text, extra = {}) =>
  JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "test-model",
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 4 },
    ...extra
  })
const delta = (content, extra = {}) =>
  `data: ${JSON.stringify({ model: "test-model", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...extra })}\n\n`
const role = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] })}\n\n`
const finish = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`
const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } })}\n\n`
const done = "data: [DONE]\n\n"
const json = ({ response }, status, body, headers = {}) => {
  response.writeHead(status, { "content-type": "application/json", "x-request-id": "req-test", ...headers })
  response.end(body)
}
const failure = (exchange, status, headers = {}, code = "test") =>
  json(exchange, status, JSON.stringify({ error: { message: `status ${status}`, type: "test", code } }), headers)
const events = ({ response }) => {
  response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req-test" })
  return response
}
const ok = (exchange) => {
  if (!exchange.isStream) return json(exchange, 200, answer("hello world"))
  events(exchange).end(role + delta("hello ") + delta("world") + finish + usage + done)
}
const repeat = (response, text) => {
  const timer = setInterval(() => response.write(text), 20)
  response.once("close", () => clearInterval(timer))
}
const rows = {
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
    setTimeout(() => response.end(), 50)
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
    const next = () => {
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
const runs = new Map()
const statsOf = (run) => {
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
  request.setEncoding("utf8").on("data", (text) => (body += text))
  request.once("end", () => {
    const isStream = body.includes('"stream":true')
    const behave = rows[row] ?? ((exchange) => failure(exchange, 404))
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
