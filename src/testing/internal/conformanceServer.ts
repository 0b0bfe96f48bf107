/**
 * The misbehaving server of the failure table: `/<behaviour>/<run>/v1/chat/completions` behaves as the name says,
 * `/<behaviour>/<run>/token` gives tokens, `/<behaviour>/<run>/stats` tells what reached it. It listens on two ports: the
 * second is another origin with the same behaviours.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { defaultClock } from "../../policy/Timer.ts"
import { behaviourOf } from "./conformanceBehaviours.ts"
import { type Behaviour, events, type Exchange, failure, ownAnswer, type Stats } from "./conformanceWire.ts"
import { begin, forward } from "./conformanceUpstream.ts"

export interface Options {
  /** Behaviours beside those that every server has. */
  readonly extra?: Readonly<Record<string, Behaviour>> | undefined
  /** Where good answers come from, and the begin of streams that break. Default: the server makes them. */
  readonly upstream?: string | undefined
}

export interface FailureServer {
  readonly port: number
  readonly otherPort: number
  /** What reached it in this run of this behaviour. */
  readonly stats: (run: string) => Stats
}

const credentials = ["authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-goog-api-key"]

type Entry = Stats & { readonly sockets: Set<unknown> }

const empty = (): Entry => ({
  requests: 0,
  connections: 0,
  alive: 0,
  closed: 0,
  closedAt: 0,
  open: 0,
  written: 0,
  cameAt: [],
  keys: [],
  secrets: [],
  tokens: 0,
  sockets: new Set()
})

const now = (): number => defaultClock.currentTimeMillisUnsafe()

class Runs {
  private readonly runs = new Map<string, Entry>()

  of(run: string): Entry {
    const known = this.runs.get(run)
    if (known !== undefined) return known
    const entry = empty()
    this.runs.set(run, entry)
    return entry
  }

  /** Counts a request; gives its number. */
  count(stats: Entry, { headers, socket }: Http.IncomingMessage, response: Http.ServerResponse): number {
    stats.requests++
    stats.cameAt.push(now())
    if (!stats.sockets.has(socket)) {
      stats.sockets.add(socket)
      stats.connections++
      stats.alive++
      // A client may come back on one socket for run after run, each of which listens.
      socket.setMaxListeners(0).once("close", () => stats.alive--)
    }
    const key = headers["idempotency-key"]
    if (typeof key === "string") stats.keys.push(key)
    for (const name of credentials) {
      if (headers[name] !== undefined) stats.secrets.push(`${name}: ${String(headers[name])}`)
    }
    stats.open++
    response.once("close", () => {
      stats.open--
      if (response.writableFinished) return
      stats.closed++
      stats.closedAt = now()
    })
    return stats.requests
  }
}

const told = (response: Http.ServerResponse, body: object): void => {
  response.writeHead(200, { "content-type": "application/json" })
  response.end(JSON.stringify(body))
}

const listen = (server: Http.Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.keepAliveTimeout = 60_000
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** A request with its body. */
interface Asked {
  readonly request: Http.IncomingMessage
  readonly response: Http.ServerResponse
  readonly body: string
  readonly attempt: number
}

class Serving {
  readonly runs = new Runs()
  elsewhere = ""
  private readonly options: Options
  private readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>

  constructor(options: Options, fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>) {
    this.options = options
    this.fork = fork
  }

  /** Runs it in the background, until that is closed. */
  private until(end: Pick<NodeJS.EventEmitter, "once">, effect: Effect.Effect<unknown>): void {
    const fiber = this.fork(effect)
    end.once("close", () => fiber.interruptUnsafe())
  }

  private behave({ attempt, body, request, response }: Asked): void {
    const [, name = "", run = ""] = (request.url ?? "/").split("/")
    const { extra, upstream } = this.options
    const { socket } = request
    const exchange: Exchange = {
      response,
      socket,
      attempt,
      isStream: /"stream"\s*:\s*true/.test(body),
      stats: this.runs.of(`${name}/${run}`),
      run,
      authorization: request.headers.authorization,
      elsewhere: this.elsewhere,
      after: (millis, run) => this.until(socket, Effect.delay(Effect.sync(run), millis)),
      every: (millis, run) => this.until(response, Effect.repeat(Effect.sync(run), Schedule.spaced(millis))),
      well: () => (upstream === undefined ? ownAnswer(exchange) : forward(upstream, request, body, response)),
      begun: (own, goOn) => {
        if (upstream !== undefined) return begin(upstream, request, body, response, goOn)
        events(exchange).write(own, () => goOn(response))
      }
    }
    const behaviour = extra?.[name] ?? behaviourOf(name) ?? ((exchange: Exchange) => failure(exchange, 404))
    behaviour(exchange)
  }

  readonly serve: Http.RequestListener = (request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname
    const [, name = "", run = ""] = path.split("/")
    const stats = this.runs.of(`${name}/${run}`)
    if (path.endsWith("/stats")) {
      const { sockets: _sockets, ...rest } = stats
      return told(response, rest)
    }
    if (path.endsWith("/token")) return told(response, { access_token: `token-${++stats.tokens}`, expires_in: 3600 })
    const attempt = this.runs.count(stats, request, response)
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => (body += text))
    request.once("end", () => this.behave({ request, response, body, attempt }))
  }
}

/** Starts it; closing the scope breaks what is open. */
export const start = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<FailureServer, never, Scope.Scope> {
  const serving = new Serving(options, yield* FiberSet.makeRuntime())
  const otherPort = yield* listen(Http.createServer(serving.serve))
  serving.elsewhere = `http://127.0.0.1:${otherPort}`
  const port = yield* listen(Http.createServer(serving.serve))
  return { port, otherPort, stats: (run) => serving.runs.of(run) }
})
