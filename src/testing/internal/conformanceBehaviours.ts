/** How the server of the failure table behaves, by the name of the behaviour. */
import type { Socket } from "node:net"
import {
  answer,
  type Behaviour,
  bytewise,
  delta,
  done,
  drip,
  event,
  events,
  type Exchange,
  failure,
  finish,
  flood,
  halfCall,
  json,
  ownAnswer,
  repeat,
  role,
  usage
} from "./conformanceWire.ts"

/** Sockets that have carried a request. */
const used = new WeakSet<Socket>()

const typeOf = ({ isStream }: Exchange) => ({ "content-type": isStream ? "text/event-stream" : "application/json" })

/** The same text, cut between any two of its bytes. */
const split = (exchange: Exchange): void => {
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
}

const unknown = (exchange: Exchange): void => {
  if (!exchange.isStream) {
    const choice = { message: { content: "hello", surprise: [1] }, finish_reason: "vibes", novelty: {} }
    return json(exchange, 200, JSON.stringify({ choices: [choice], usage: { prompt_tokens: 1 }, zzz: null }))
  }
  const all = { role: "assistant", content: "hello" }
  const one = { choices: [{ delta: all, finish_reason: "vibes", novelty: 1 }], obfuscation: "xyz" }
  events(exchange).end(`event: ping\ndata: {"type":"ping"}\n\n${event(one)}${usage}${done}`)
}

export const behaviours: Readonly<Record<string, Behaviour>> = {
  ok: ({ well }) => well(),
  hang: () => {},
  // The socket is reset once the whole request is here.
  reset: ({ socket }) => void socket.resetAndDestroy(),
  "reset-once": ({ attempt, socket, well }) => (attempt === 1 ? void socket.resetAndDestroy() : well()),
  // The same for a request that no endpoint knows.
  "reset-first": (exchange) => (exchange.attempt === 1 ? void exchange.socket.resetAndDestroy() : ownAnswer(exchange)),
  // A socket that was used before is closed without a byte; the client had sent its request by then.
  "stale-socket": ({ socket, well }) => {
    if (used.has(socket)) return void socket.destroy()
    used.add(socket)
    well()
  },
  "huge-body": (exchange) => {
    exchange.response.writeHead(200, typeOf(exchange))
    exchange.response.write(exchange.isStream ? "data: " : '{"choices":"')
    flood(exchange, "x".repeat(64 * 1024), 2 ** 30, () => exchange.response.end())
  },
  "slow-drip-head": (exchange) => drip(exchange, "HTTP/1.1 200 OK\r\nx-slow: " + "y".repeat(10_000)),
  "slow-drip-body": (exchange) => {
    exchange.response.writeHead(200, typeOf(exchange))
    exchange.response.flushHeaders()
    drip(exchange, "1\r\n \r\n".repeat(2000))
  },
  landed: ({ well }) => well(),
  redirect: (exchange) =>
    json(exchange, 307, "", { location: `${exchange.elsewhere}/landed/${exchange.run}/v1/chat/completions` }),
  "stall-body": (exchange) => {
    exchange.response.writeHead(200, typeOf(exchange))
    exchange.response.flushHeaders()
  },
  "stall-first": (exchange) => {
    events(exchange)
    repeat(exchange, ": keep-alive\n\n")
  },
  "stall-keepalive": (exchange) => exchange.begun(role + delta("hello "), () => repeat(exchange, ": keep-alive\n\n")),
  "cut-socket": ({ begun, socket }) => begun(role + delta("hello ") + delta("wor"), () => socket.destroy()),
  "cut-before-content": (exchange) => {
    if (exchange.attempt > 1) return exchange.well()
    events(exchange).write(role, () => exchange.socket.destroy())
  },
  "end-early": ({ begun }) => begun(role + delta("hello ") + delta("wor"), (response) => response.end()),
  "break-early": (exchange) => exchange.begun(role + delta("hello "), () => repeat(exchange, delta("more "))),
  // The end comes long after [DONE], as behind a proxy that holds the connection for its own bookkeeping.
  "late-end": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello ") + delta("world") + finish + done)
    exchange.after(600, () => response.end())
  },
  "slow-consumer": (exchange) => {
    const response = events(exchange)
    for (let at = 0; at < 200; at++) response.write(delta(`${at} `))
    response.end(finish + done)
  },
  "retry-after-long": (exchange) => failure(exchange, 429, { "retry-after": "61" }),
  "retry-after-deadline": (exchange) => failure(exchange, 429, { "retry-after": "30" }),
  amplification: (exchange) => (exchange.attempt % 4 === 0 ? exchange.socket.destroy() : failure(exchange, 503)),
  exhausted: (exchange) => failure(exchange, 503),
  quota: (exchange) => failure(exchange, 429, {}, "insufficient_quota"),
  // An error whose body never ends.
  "slow-close": ({ attempt, response, well }) => {
    if (attempt > 1) return well()
    response.writeHead(503, { "retry-after": "0", "content-type": "application/json" })
    response.write('{"error":{"message":"busy"}}')
  },
  "utf8-split": split,
  "unknown-fields": unknown,
  "error-in-stream": (exchange) => {
    if (exchange.attempt > 1) return exchange.well()
    const error = { error: { message: "slow down", type: "rate_limit_exceeded", code: 429 } }
    events(exchange).end(role + event(error))
  },
  "garbage-json": (exchange) => {
    if (exchange.isStream) events(exchange).end(`${role}data: {"choices": [\n\n`)
    else json(exchange, 200, "<html>502 Bad Gateway</html>", { "content-type": "text/html" })
  },
  // The first token that the run's IAM gives has expired when it is used.
  "token-expired": (exchange) =>
    exchange.authorization === "Bearer token-2" ? exchange.well() : failure(exchange, 401),
  // A call that breaks off inside the arguments of a tool, after words.
  "tool-cut": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("Let me look.") + halfCall, () => exchange.socket.destroy())
  }
}

/** What a behaviour answers that says so itself. */
export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** How many requests get it; the next ones get a good answer. Default: all. */
  readonly times?: number
}

/** The name of the behaviour that answers so. */
export const replying = (reply: Reply): string => `reply.${Buffer.from(JSON.stringify(reply)).toString("base64url")}`

/** The behaviour of this name. */
export const behaviourOf = (name: string): Behaviour | undefined => {
  if (!name.startsWith("reply.")) return Object.hasOwn(behaviours, name) ? behaviours[name] : undefined
  const text = Buffer.from(name.slice("reply.".length), "base64url").toString()
  const { body, headers, status, times = Infinity }: Reply = JSON.parse(text)
  return (exchange) => {
    if (exchange.attempt > times) exchange.well()
    else if (body === undefined) failure(exchange, status, headers)
    else json(exchange, status, body, headers)
  }
}
