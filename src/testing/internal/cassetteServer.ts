/** A cassette's client behind a server on loopback, for programs that take a base URL and no `HttpClient`. */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as HttpClient from "effect/http/HttpClient"
import { isHttpMethod } from "effect/http/HttpMethod"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import { setImmediate } from "node:timers/promises"
import { CassetteError } from "./cassetteError.ts"
import { isFraming } from "./cassetteSecrets.ts"

/** Starts the server; requests to its URL are those to `target`. It closes with the scope. */
export const listen = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  target: string,
  port: number,
  maxBytes: number
): Effect.fn.Return<string, never, Scope.Scope> {
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
    const fiber = run(answer(client, target, maxBytes, incoming, outgoing))
    outgoing.on("close", () => fiber.interruptUnsafe())
  })
  return yield* Effect.callback<string>((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => {
      const address = server.address()
      const taken = typeof address === "object" && address !== null ? address.port : port
      resume(Effect.succeed(`http://127.0.0.1:${taken}`))
    })
  })
})

/** What a client says to this server alone; its `accept-encoding` would put compressed bytes on the way. */
const ownHeaders = new Set(["accept-encoding", "expect", "host", "proxy-connection", "te"])

const readBody = async (incoming: Http.IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> => {
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  for await (const chunk of incoming.iterator()) {
    if (!(chunk instanceof Uint8Array)) continue
    bytes += chunk.length
    if (bytes > maxBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const requestOf = (target: string, incoming: Http.IncomingMessage, body: Uint8Array) => {
  const { method = "GET", url = "/" } = incoming
  if (!isHttpMethod(method)) return undefined
  const headers = Object.entries(incoming.headers).flatMap(([name, value]) =>
    value === undefined || isFraming(name) || ownHeaders.has(name)
      ? []
      : [[name, Array.isArray(value) ? value.join(", ") : value] as const]
  )
  const base = target.endsWith("/") ? target.slice(0, -1) : target
  const request = HttpClientRequest.make(method)(`${base}${url}`, { headers: Object.fromEntries(headers) })
  return body.length === 0
    ? request
    : HttpClientRequest.setBody(request, HttpBody.uint8Array(body, incoming.headers["content-type"]))
}

const answer = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  target: string,
  maxBytes: number,
  incoming: Http.IncomingMessage,
  outgoing: Http.ServerResponse
) {
  const body = yield* Effect.option(Effect.tryPromise(() => readBody(incoming, maxBytes)))
  // The client has gone before it had said everything.
  if (body._tag === "None") return
  if (body.value === undefined) return refuse(outgoing, 413, `the body is over ${maxBytes} bytes`)
  const request = requestOf(target, incoming, body.value)
  if (request === undefined) return refuse(outgoing, 501, `no method ${incoming.method}`)
  const answered = yield* Effect.result(client.execute(request))
  if (answered._tag === "Success") return yield* send(answered.success, outgoing)
  const { cause, description } = answered.failure.reason
  if (answered.failure.reason._tag === "TransportError") outgoing.socket?.resetAndDestroy()
  else refuse(outgoing, 400, cause instanceof CassetteError ? cause.message : (description ?? "cannot be sent"))
})

/** A mistake, in the words of OpenAI's API; no client tries again. */
const refuse = (outgoing: Http.ServerResponse, status: number, message: string): void => {
  outgoing.writeHead(status, { "content-type": "application/json", "x-should-retry": "false" })
  outgoing.end(JSON.stringify({ error: { message, type: "cassette", param: null, code: "cassette" } }))
}

const send = (response: HttpClientResponse, outgoing: Http.ServerResponse): Effect.Effect<void> => {
  const headers = Object.entries(response.headers).filter(([name]) => !isFraming(name) && name !== "set-cookie")
  const cookies = Cookies.toSetCookieHeaders(response.cookies)
  outgoing.writeHead(response.status, {
    ...Object.fromEntries(headers),
    ...(cookies.length > 0 ? { "set-cookie": cookies } : undefined)
  })
  outgoing.flushHeaders()
  const written = Stream.runForEach(response.stream, (chunk) => write(outgoing, chunk))
  return Effect.matchEffect(written, {
    // What was sent arrives first; then the body breaks off.
    onFailure: () => Effect.sync(() => outgoing.socket?.destroy()),
    onSuccess: () => Effect.sync(() => outgoing.end())
  })
}

/** Hands a frame to the system, and leaves it a turn of its own, so that it is not joined to the next one. */
const write = (outgoing: Http.ServerResponse, chunk: Uint8Array): Effect.Effect<void> =>
  Effect.andThen(
    Effect.callback<void>((resume) => {
      outgoing.write(chunk, () => resume(Effect.void))
    }),
    Effect.promise(() => setImmediate())
  )
