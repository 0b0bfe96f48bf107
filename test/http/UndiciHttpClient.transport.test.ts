/** What only a transport of our own can promise: TLS, HTTP/2, proxies, the pool, and what happens to its sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Schedule, Stream } from "effect"
import * as ByteSize from "effect/ByteSize"
import { HttpClient, HttpClientRequest, HttpIncomingMessage } from "effect/http"
import { ConnectionFailure, Redirect, ResilientHttpClient, UndiciHttpClient } from "holdfast/http"
import { Attempt, Policy } from "holdfast/policy"
import * as http from "node:http"
import { createServer, type AddressInfo, type Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { makeCertificate, serve, serveProxy } from "./servers.ts"
import { makeSite } from "./site.ts"

const certificate = makeCertificate()
const clientCertificate = makeCertificate()
const ca = certificate.cert

const site = () => makeSite({ canCompress: true })

const text = (client: HttpClient.HttpClient, url: string) => Effect.flatMap(client.get(url), ({ text }) => text)

const eventually = (isSo: () => boolean) =>
  Effect.promise(async () => {
    const end = performance.now() + 8_000
    while (!isSo() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
    return isSo()
  })

/** A server that speaks in raw bytes; counts its open sockets. */
const raw = (onSocket: (socket: Socket, nth: number) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly open: Set<Socket>; readonly close: () => void }>((resume) => {
      const open = new Set<Socket>()
      let sockets = 0
      const server = createServer((socket) => {
        open.add(socket)
        socket.on("error", () => undefined)
        socket.once("close", () => open.delete(socket))
        onSocket(socket, ++sockets)
      })
      const close = () => {
        for (const socket of open) socket.destroy()
        server.close()
      }
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, open, close }))
      )
    }),
    ({ close }) => Effect.sync(close)
  )

const serveHttp = (handler: http.RequestListener) =>
  Effect.gen(function* () {
    const server = http.createServer(handler)
    server.keepAliveTimeout = 60_000
    return yield* raw((socket) => void server.emit("connection", socket))
  })

const under = (client: HttpClient.HttpClient, options: Policy.Options = {}) =>
  Effect.map(Policy.open(Policy.make({ ...options, retry: { base: 0, ...options.retry } })), (held) =>
    ResilientHttpClient.wrap(client, held)
  )

const phaseOf = (reason: { readonly cause?: unknown }) =>
  reason.cause instanceof ConnectionFailure.ConnectionFailure ? reason.cause.phase : undefined

describe("UndiciHttpClient: TLS", () => {
  it.live("carries calls at the same time over one HTTP/2 connection", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* serve(site(), { certificate })
      const client = yield* UndiciHttpClient.make({ tls: { ca } })
      yield* Effect.forEach(Array.from({ length: 20 }), () => text(client, `${url}/echo`), { concurrency: 20 })
      assert.deepStrictEqual([...seen.versions], ["2.0"])
      assert.strictEqual(seen.connections, 1)
    })
  )

  it.live("speaks HTTP/1.1 when it is told to", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* serve(site(), { certificate })
      yield* text(yield* UndiciHttpClient.make({ tls: { ca }, http2: false }), `${url}/echo`)
      assert.deepStrictEqual([...seen.versions], ["1.1"])
    })
  )

  it.live("refuses a server that nobody vouches for, before anything is sent", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* serve(site(), { certificate })
      const { message, reason } = yield* Effect.flip(text(yield* UndiciHttpClient.make(), `${url}/echo`))
      assert.strictEqual(phaseOf(reason), "notSent")
      assert.include(message, "tls.ca")
      assert.strictEqual(seen.versions.size, 0)
    })
  )

  it.live("shows its certificate to a server that asks for one", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* serve(site(), { certificate, clientCertificate: clientCertificate.cert })
      const { cert, key } = clientCertificate
      const client = yield* UndiciHttpClient.make({ tls: { ca, cert, key: Redacted.make(key) } })
      yield* text(client, `${url}/echo`)
      assert.deepStrictEqual([...seen.peers], ["localhost"])
      const stranger = yield* UndiciHttpClient.make({ tls: { ca } })
      const { reason } = yield* Effect.flip(text(stranger, `${url}/echo`))
      assert.strictEqual(reason._tag, "TransportError")
    })
  )
})

describe("UndiciHttpClient: proxy", () => {
  it.live("tunnels TLS by CONNECT, with HTTP/2 inside, and forwards the rest", () =>
    Effect.gen(function* () {
      const secure = yield* serve(site(), { certificate })
      const plain = yield* serve(site())
      const proxy = yield* serveProxy("me:secret")
      const authorization = Redacted.make(`Basic ${Buffer.from("me:secret").toString("base64")}`)
      const client = yield* UndiciHttpClient.make({ tls: { ca }, proxy: { url: proxy.url, authorization } })
      assert.include(yield* text(client, `${secure.url}/a`), '"/a"')
      assert.include(yield* text(client, `${plain.url}/b`), '"/b"')
      assert.deepStrictEqual(proxy.seen, {
        tunnels: [secure.url.slice("https://".length)],
        forwarded: [`${plain.url}/b`]
      })
      assert.deepStrictEqual([...secure.seen.versions], ["2.0"])
    })
  )

  it.live("reads the password in the proxy's URL, and says when the proxy refuses", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(site(), { certificate })
      const proxy = yield* serveProxy("me:secret")
      const welcome = yield* UndiciHttpClient.make({
        tls: { ca },
        proxy: { url: proxy.url.replace("//", "//me:secret@") }
      })
      assert.include(yield* text(welcome, `${url}/a`), '"/a"')
      const { message, reason } = yield* Effect.flip(
        text(yield* UndiciHttpClient.make({ tls: { ca }, proxy: { url: proxy.url } }), `${url}/a`)
      )
      assert.strictEqual(phaseOf(reason), "notSent")
      assert.include(message, "407")
    })
  )
})

describe("UndiciHttpClient: the pool", () => {
  const slow = (counts: { inFlight: number; most: number }) =>
    serveHttp((_, response) => {
      counts.most = Math.max(counts.most, ++counts.inFlight)
      setTimeout(() => {
        counts.inFlight--
        response.end("ok")
      }, 30)
    })

  it.live("has no more connections than it may, and the calls beyond them wait", () =>
    Effect.gen(function* () {
      const counts = { inFlight: 0, most: 0 }
      const { url } = yield* slow(counts)
      const client = yield* UndiciHttpClient.make({ connections: 3 })
      yield* Effect.forEach(Array.from({ length: 12 }), () => text(client, url), { concurrency: 12 })
      assert.strictEqual(counts.most, 3)
    })
  )

  it.live("closes the connections that nobody uses, down to those that it keeps", () =>
    Effect.gen(function* () {
      const { open, url } = yield* slow({ inFlight: 0, most: 0 })
      const client = yield* UndiciHttpClient.make({ keepAliveConnections: 2, keepAlive: "1 minute" })
      yield* Effect.forEach(Array.from({ length: 12 }), () => text(client, url), { concurrency: 12 })
      assert.strictEqual(open.size, 12)
      assert.isTrue(yield* eventually(() => open.size === 2))
      // The next request goes over one of those that are left.
      yield* text(client, url)
      assert.strictEqual(open.size, 2)
      // They, and new ones, still work.
      yield* Effect.forEach(Array.from({ length: 6 }), () => text(client, url), { concurrency: 6 })
      assert.isAtLeast(open.size, 2)
    })
  )

  it.live("never closes a connection that waits for a slow answer", () =>
    Effect.gen(function* () {
      let answered = 0
      const { url } = yield* serveHttp((_, response) => {
        setTimeout(() => response.end(String(++answered)), 2_500)
      })
      const client = yield* UndiciHttpClient.make({ keepAliveConnections: 0 })
      yield* Effect.forEach(Array.from({ length: 3 }), () => text(client, url), { concurrency: 3 })
      assert.strictEqual(answered, 3)
    })
  )

  it.live("goes on over one connection after a redirect whose body never ends", () =>
    Effect.gen(function* () {
      const { url } = yield* serveHttp((request, response) => {
        if (request.url === "/end") return void response.end("there")
        response.writeHead(302, { location: "/end" })
        const more = () => void (response.destroyed || response.write(Buffer.alloc(64 * 1024), more))
        more()
      })
      const client = Redirect.follow()(yield* UndiciHttpClient.make({ connections: 1 }))
      assert.strictEqual(yield* text(client, url), "there")
    })
  )
})

describe("UndiciHttpClient: scope", () => {
  it.live("closes the connection when the request's scope closes, and tells who still reads", () =>
    Effect.gen(function* () {
      const { open, url } = yield* serveHttp((_, response) => void response.write("begin"))
      const client = HttpClient.withScope(yield* UndiciHttpClient.make())
      const response = yield* Effect.scoped(client.get(url))
      assert.strictEqual(response.status, 200)
      assert.isTrue(yield* eventually(() => open.size === 0))
      const { message } = yield* Effect.flip(response.text)
      assert.include(message, "scope")
    })
  )

  it.live("holds the scope through a policy and leaves other requests in a scope alone", () =>
    Effect.gen(function* () {
      const { open, url } = yield* serveHttp((_, response) => void response.write("begin"))
      const client = yield* under(yield* UndiciHttpClient.make())
      yield* Effect.scoped(HttpClient.withScope(client).get(url))
      assert.isTrue(yield* eventually(() => open.size === 0))
      const kept = yield* Effect.scoped(client.get(url))
      const fiber = yield* Effect.forkChild(kept.text, { startImmediately: true })
      yield* Effect.sleep("50 millis")
      assert.strictEqual(open.size, 1)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* eventually(() => open.size === 0))
    })
  )
})

describe("UndiciHttpClient: a connection that breaks", () => {
  /** Answers the first request of each connection, and closes without a word at the second. */
  const stale = Effect.gen(function* () {
    const seen: Array<string> = []
    const server = yield* raw((socket) => {
      let requests = 0
      socket.on("data", (chunk) => {
        seen.push(chunk.toString().split(" ")[0] ?? "")
        if (++requests > 1) return void socket.destroy()
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
      })
    })
    return { ...server, seen }
  })

  it.live("stale-socket: sends again what may be sent again, once, and tells it", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* stale
      const client = yield* under(yield* UndiciHttpClient.make({ connections: 1 }))
      const recorder = new Attempt.Recorder()
      yield* text(client, url)
      yield* Effect.provideService(text(client, url), Attempt.Story, recorder)
      assert.deepStrictEqual(seen, ["GET", "GET", "GET"])
      assert.deepStrictEqual(
        recorder.attempts.map(({ outcome, phase }) => [outcome, phase]),
        [
          ["TransportError", "maybeSent"],
          ["ok", undefined]
        ]
      )
    })
  )

  it.live("stale-socket: sends a POST again only while no byte of a body has left", () =>
    Effect.gen(function* () {
      const requestsOf = (request: (url: string) => HttpClientRequest.HttpClientRequest) =>
        Effect.gen(function* () {
          const { seen, url } = yield* stale
          const client = yield* under(yield* UndiciHttpClient.make({ connections: 1 }))
          yield* text(client, url)
          yield* Effect.exit(Effect.flatMap(client.execute(request(url)), ({ text }) => text))
          return seen.filter((method) => method === "POST").length
        })
      assert.strictEqual(yield* requestsOf((url) => HttpClientRequest.post(url)), 2)
      const bodied = (url: string) => HttpClientRequest.bodyText(HttpClientRequest.post(url), "pay")
      assert.strictEqual(yield* requestsOf(bodied), 1)
      assert.strictEqual(
        yield* requestsOf((url) => HttpClientRequest.setHeader(bodied(url), "idempotency-key", "k")),
        2
      )
    })
  )

  it.live("slow-drip: bounds headers and a body that come a byte at a time", () =>
    Effect.gen(function* () {
      const drip = (first: string) =>
        raw((socket) => {
          socket.once("data", () => {
            socket.write(first)
            const timer = setInterval(() => void (socket.destroyed || socket.write("x")), 20)
            socket.once("close", () => clearInterval(timer))
          })
        })
      const options = { retry: { retries: 0 }, timeout: { attempt: "300 millis" } } as const
      const client = yield* under(yield* UndiciHttpClient.make(), options)
      for (const first of ["HTTP/1.1 200 OK\r\nx-slow: ", "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"]) {
        const { open, url } = yield* drip(first)
        const error = yield* Effect.flip(text(client, url))
        assert.strictEqual(ResilientHttpClient.refusal(error)?._tag, "AttemptTimeout")
        assert.isTrue(yield* eventually(() => open.size === 0))
      }
    })
  )

  it.live("bounds a stream that drips by the deadline", () =>
    Effect.gen(function* () {
      const { url } = yield* serveHttp((_, response) => {
        const timer = setInterval(() => response.write("x"), 20)
        response.once("close", () => clearInterval(timer))
      })
      const client = yield* under(yield* UndiciHttpClient.make(), { timeout: { total: "300 millis" } })
      const response = yield* client.get(url)
      const error = yield* Effect.flip(Stream.runDrain(response.stream))
      assert.strictEqual(ResilientHttpClient.refusal(error)?._tag, "DeadlineExceeded")
    })
  )
})

describe("UndiciHttpClient: bodies", () => {
  it.live("tells a body that fails from a connection that does, and does not send it again", () =>
    Effect.gen(function* () {
      let requests = 0
      const { url } = yield* serveHttp((request, response) => {
        requests++
        request.resume().once("end", () => response.end())
      })
      const client = yield* under(yield* UndiciHttpClient.make())
      const failing = Stream.concat(Stream.succeed(new Uint8Array(3)), Stream.fail(new Error("the disk is gone")))
      const error = yield* Effect.flip(
        client.execute(HttpClientRequest.bodyStream(HttpClientRequest.put(url), failing))
      )
      assert.strictEqual(error.reason._tag, "EncodeError")
      assert.include(error.message, "the disk is gone")
      assert.isAtMost(requests, 1)
    })
  )

  it.live("ends the stream of an upload that is interrupted", () =>
    Effect.gen(function* () {
      const { open, url } = yield* serveHttp((request) => void request.resume())
      const client = yield* UndiciHttpClient.make()
      const state = { sent: 0, isEnded: false }
      const endless = Stream.repeat(Stream.succeed(new Uint8Array(1024)), Schedule.spaced("1 millis")).pipe(
        Stream.tap(() => Effect.sync(() => state.sent++)),
        Stream.ensuring(Effect.sync(() => (state.isEnded = true)))
      )
      const uploading = client.execute(HttpClientRequest.bodyStream(HttpClientRequest.post(url), endless))
      const fiber = yield* Effect.forkChild(uploading, { startImmediately: true })
      assert.isTrue(yield* eventually(() => state.sent > 5))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* eventually(() => state.isEnded && open.size === 0))
    })
  )

  it.live("asks for compressed answers when told to, and streams them decoded", () =>
    Effect.gen(function* () {
      const body = Buffer.alloc(4 * 1024 * 1024, "abcdefgh")
      const asked: Array<string | undefined> = []
      const { url } = yield* serveHttp((request, response) => {
        asked.push(request.headers["accept-encoding"])
        response.writeHead(200, { "content-encoding": "gzip", "x-kept": "1" }).end(gzipSync(body))
      })
      yield* text(yield* UndiciHttpClient.make(), url)
      const client = yield* UndiciHttpClient.make({ compression: true })
      const response = yield* client.get(url)
      assert.deepStrictEqual(asked, [undefined, "gzip, deflate, br, zstd"])
      assert.strictEqual(response.headers["content-encoding"], undefined)
      assert.strictEqual(response.headers["x-kept"], "1")
      const chunks = yield* Stream.runCollect(response.stream)
      assert.isTrue(Buffer.concat(chunks).equals(body))
    })
  )

  it.live("counts a compressed body by what it becomes, and tells when it was cut off", () =>
    Effect.gen(function* () {
      const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024))
      const { url } = yield* serveHttp((request, response) => {
        response.writeHead(200, { "content-encoding": "gzip" })
        response.end(request.url === "/cut" ? bomb.subarray(0, bomb.length / 2) : bomb)
      })
      const client = yield* UndiciHttpClient.make()
      const limit = ByteSize.bytes(1024 * 1024)
      const limited = Effect.provideService(text(client, url), HttpIncomingMessage.MaxBodySize, limit)
      assert.instanceOf((yield* Effect.flip(limited)).reason.cause, ConnectionFailure.BodyTooLarge)
      const { message, reason } = yield* Effect.flip(text(client, `${url}/cut`))
      assert.strictEqual(reason._tag, "DecodeError")
      assert.include(message, "cut off")
    })
  )

  it.live("huge-body: holds no more than the limit of a body that is larger", () =>
    Effect.gen(function* () {
      // One piece for all: what grows is the client's.
      const piece = Buffer.alloc(1024 * 1024)
      const { open, url } = yield* serveHttp((_, response) => {
        const more = () => void (response.destroyed || response.write(piece, more))
        more()
      })
      const client = yield* UndiciHttpClient.make()
      const limit = 32 * 1024 * 1024
      const before = process.memoryUsage()
      const limited = Effect.provideService(text(client, url), HttpIncomingMessage.MaxBodySize, ByteSize.bytes(limit))
      assert.instanceOf((yield* Effect.flip(limited)).reason.cause, ConnectionFailure.BodyTooLarge)
      const after = process.memoryUsage()
      const growth = after.heapUsed - before.heapUsed + after.external - before.external
      assert.isBelow(growth, limit + 16 * 1024 * 1024)
      assert.isTrue(yield* eventually(() => open.size === 0))
    })
  )
})
