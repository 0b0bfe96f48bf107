/**
 * The failure server of `holdfast/testing` in a process of its own, with behaviours beside those of its rows. Started by
 * `rows.ts`, which reads its two ports from stdout: the second is another origin.
 */
import { Effect, Scope } from "effect"
import { start } from "../../src/testing/internal/conformanceServer.ts"
import {
  answer,
  argumentsOf,
  type Behaviour,
  delta,
  done,
  event,
  events,
  failure,
  finish,
  flood,
  halfCall,
  json,
  role,
  toolFinish,
  usage
} from "../../src/testing/internal/conformanceWire.ts"

const extra: Readonly<Record<string, Behaviour>> = {
  // The server closes the socket that it has just promised to keep.
  "idle-close": ({ after, response, socket, well }) => {
    response.once("finish", () => after(20, () => socket.end()))
    well()
  },
  "huge-error": (exchange) => {
    if (exchange.attempt > 1) return exchange.well()
    exchange.response.writeHead(500, { "content-type": "application/json" })
    flood(exchange, "x".repeat(64 * 1024), 2 ** 30, () => exchange.response.end())
  },
  "end-without-done": (exchange) => void events(exchange).end(role + delta("hello world") + finish + usage),
  "retry-after-ms": (exchange) =>
    exchange.attempt === 1 ? failure(exchange, 429, { "retry-after-ms": "30" }) : exchange.well(),
  "server-error": (exchange) => failure(exchange, 500),
  unauthorized: (exchange) => failure(exchange, 401),
  // Longer than the tail is waited for.
  "late-end-long": (exchange) => {
    const response = events(exchange)
    response.write(role + delta("hello world") + finish + done)
    exchange.after(20_000, () => response.end())
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
    exchange.after(2_300, () => response.write(finish))
    exchange.after(2_400, () => response.end(usage + done))
  },
  // Unknown values without an event that is none of the protocol's.
  "unknown-values": (exchange) => {
    const choice = { delta: { role: "assistant", content: "hello" }, finish_reason: "vibes", novelty: 1 }
    events(exchange).end(`${event({ choices: [choice], obfuscation: "xyz" })}${usage}${done}`)
  },
  // The error is named by the event, with the words around it or without.
  "error-event": (exchange) => {
    const errors = [
      { error: { message: "busy", type: "overloaded_error" } },
      { message: "slow down", type: "rate_limit_exceeded", code: 429 }
    ]
    const error = errors[exchange.attempt - 1]
    if (error === undefined) return exchange.well()
    events(exchange).end(`${role}event: error\n${event(error)}`)
  },
  "error-late": (exchange) => {
    const error = { error: { message: "busy", type: "overloaded_error" } }
    events(exchange).end(role + delta("hello ") + event(error))
  },
  "garbage-late": (exchange) => void events(exchange).end(`${role}${delta("hello ")}data: {"choices": [\n\n`),
  "no-capacity": (exchange) => {
    if (exchange.attempt > 1) return exchange.well()
    const choice = { index: 0, message: { content: "" }, delta: {}, finish_reason: "insufficient_system_resource" }
    const body = { choices: [choice] }
    if (exchange.isStream) events(exchange).end(role + event(body) + done)
    else json(exchange, 200, JSON.stringify(body))
  },
  // A tool's call that breaks off without words before it; the next answer is whole.
  "tool-cut-first": (exchange) => {
    const response = events(exchange)
    if (exchange.attempt === 1) return void response.write(role + halfCall, () => exchange.socket.destroy())
    response.end(role + halfCall + argumentsOf('is"}') + toolFinish + done)
  },
  // A clean end in the same place.
  "tool-cut-end": (exchange) => void events(exchange).end(role + delta("Let me look.") + halfCall),
  "not-streamed": (exchange) => json(exchange, 200, answer("hello world"))
}

const { otherPort, port } = await Effect.runPromise(Scope.provide(start({ extra }), Scope.makeUnsafe()))
process.stdout.write(`${port} ${otherPort}\n`)
// The parent's end closes stdin: no server outlives its tests.
process.stdin.resume().once("end", () => process.exit(0))
