import { assert, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest, HttpIncomingMessage } from "effect/http"
import * as ByteSize from "effect/ByteSize"
import { ConnectionFailure, EventStream, UndiciHttpClient } from "holdfast/http"
import * as http from "node:http"
import type { AddressInfo } from "node:net"

/** A real server: echoes what it was sent, and misbehaves on request. */
class Server extends Context.Service<
  Server,
  { readonly url: string; readonly seen: { aborted: number; connections: number } }
>()("test/Server") {}

const serve = (handler: (request: http.IncomingMessage, response: http.ServerResponse, body: string) => void) =>
  Layer.effect(
    Server,
    Effect.acquireRelease(
      Effect.callback<{ readonly server: http.Server; readonly service: Server["Service"] }>((resume) => {
        const seen = { aborted: 0, connections: 0 }
        const server = http.createServer((request, response) => {
          const chunks: Array<Buffer> = []
          response.once("close", () => {
            if (!response.writableFinished) seen.aborted++
          })
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.once("end", () => handler(request, response, Buffer.concat(chunks).toString()))
        })
        server.on("connection", () => seen.connections++)
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ server, service: { url: `http://127.0.0.1:${port}`, seen } }))
        })
      }),
      ({ server }) =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    ).pipe(Effect.map(({ service }) => service))
  )

const echo = serve((request, response, body) => {
  const url = request.url ?? "/"
  if (url === "/big") return void response.end("x".repeat(300_000))
  if (url === "/events") return void response.end(`data: ${"x".repeat(200)}\n\n`.repeat(20_000))
  if (url === "/empty") return void response.writeHead(204).end()
  if (url === "/reset") return void request.socket.destroy()
  if (url === "/hang") return
  if (url === "/cut") {
    response.writeHead(200, { "content-length": "100" })
    response.write("half", () => request.socket.destroy())
    return
  }
  if (url === "/drip") {
    const timer = setInterval(() => response.write("tick\n"), 10)
    response.once("close", () => clearInterval(timer))
    return
  }
  response.writeHead(200, { "content-type": "application/json", "set-cookie": ["a=1", "b=2"] })
  response.end(JSON.stringify({ method: request.method, url, headers: request.headers, body }))
})

interface Echo {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: string
}

const send = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(HttpClient.execute(request), (response) => Effect.map(response.text, (text): Echo => JSON.parse(text)))

const eventually = (isSo: () => boolean) =>
  Effect.promise(async () => {
    const end = performance.now() + 5_000
    while (!isSo() && performance.now() < end) await new Promise((resolve) => setImmediate(resolve))
    return isSo()
  })

layer(Layer.merge(echo, UndiciHttpClient.layer({ connections: 1 })), { excludeTestServices: true })(
  "UndiciHttpClient",
  (it) => {
    it.effect("sends method, query, headers and every kind of body", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        const get = yield* send(HttpClientRequest.get(`${url}/path?a=1`, { urlParams: { b: "x y" } }))
        assert.strictEqual(get.url, "/path?a=1&b=x+y")
        const post = HttpClientRequest.post(`${url}/post`)
        const json = yield* send(HttpClientRequest.bodyJsonUnsafe(post, { hello: "wörld" }))
        assert.deepStrictEqual(JSON.parse(json.body), { hello: "wörld" })
        assert.strictEqual(json.headers["content-type"], "application/json")
        const raw = yield* send(HttpClientRequest.setBody(post, HttpBody.raw("plain", { contentType: "text/plain" })))
        assert.strictEqual(raw.body, "plain")
        const stream = Stream.fromIterable([new TextEncoder().encode("ab"), new TextEncoder().encode("cd")])
        assert.strictEqual((yield* send(HttpClientRequest.bodyStream(post, stream))).body, "abcd")
        const form = new FormData()
        form.append("file", new Blob(["content"]), "name.txt")
        const multipart = yield* send(HttpClientRequest.bodyFormData(post, form))
        assert.match(multipart.headers["content-type"] ?? "", /^multipart\/form-data; boundary=/)
        assert.include(multipart.body, 'filename="name.txt"')
      })
    )

    it.effect("reads text, JSON, bytes, streams, headers and cookies", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        const response = yield* HttpClient.get(`${url}/json`)
        assert.strictEqual(response.headers["content-type"], "application/json")
        assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
        const json = yield* response.json
        assert.propertyVal(json, "url", "/json")
        assert.strictEqual(JSON.stringify(json), yield* response.text)
        const big = yield* HttpClient.get(`${url}/big`)
        assert.strictEqual((yield* big.arrayBuffer).byteLength, 300_000)
        const chunks = yield* Effect.flatMap(HttpClient.get(`${url}/big`), ({ stream }) => Stream.runCollect(stream))
        assert.strictEqual(
          chunks.reduce((sum, chunk) => sum + chunk.length, 0),
          300_000
        )
        assert.strictEqual(yield* Effect.flatMap(HttpClient.get(`${url}/empty`), ({ text }) => text), "")
      })
    )

    it.effect("keeps its connection from call to call", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* Server
        yield* send(HttpClientRequest.get(url))
        const before = seen.connections
        for (let n = 0; n < 20; n++) yield* send(HttpClientRequest.get(url))
        assert.strictEqual(seen.connections, before)
      })
    )

    it.effect("says how far a request came", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        const phaseOf = (target: string) =>
          Effect.map(Effect.flip(Effect.flatMap(HttpClient.get(target), ({ text }) => text)), ({ reason }) => {
            const { cause } = reason
            return cause instanceof ConnectionFailure.ConnectionFailure ? `${reason._tag} ${cause.phase}` : reason._tag
          })
        assert.strictEqual(yield* phaseOf("http://127.0.0.1:1/"), "TransportError notSent")
        assert.strictEqual(yield* phaseOf("http://host.invalid/"), "TransportError notSent")
        assert.strictEqual(yield* phaseOf(`${url}/reset`), "TransportError maybeSent")
        assert.strictEqual(yield* phaseOf(`${url}/cut`), "DecodeError maybeSent")
        assert.strictEqual(yield* phaseOf("nonsense"), "InvalidUrlError")
        assert.strictEqual(yield* phaseOf("ftp://127.0.0.1/"), "InvalidUrlError")
      })
    )

    it.effect("stops a body at the limit and closes its connection", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* Server
        const before = seen.aborted
        const read = Effect.flatMap(HttpClient.get(`${url}/drip`), ({ text }) => text)
        const limited = Effect.provideService(read, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(20))
        const { reason } = yield* Effect.flip(limited)
        assert.instanceOf(reason.cause, ConnectionFailure.BodyTooLarge)
        assert.isTrue(yield* eventually(() => seen.aborted === before + 1))
      })
    )

    it.effect("closes the connection of a request that is interrupted, before the headers and in the body", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* Server
        for (const path of ["/hang", "/drip"]) {
          const before = seen.aborted
          const fiber = yield* Effect.forkChild(Effect.flatMap(HttpClient.get(url + path), ({ text }) => text))
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
          yield* Fiber.interrupt(fiber)
          assert.isTrue(yield* eventually(() => seen.aborted === before + 1))
        }
      })
    )

    it.effect("closes the connection of a stream that is left", () =>
      Effect.gen(function* () {
        const { seen, url } = yield* Server
        const before = seen.aborted
        const response = yield* HttpClient.get(`${url}/drip`)
        yield* Stream.runDrain(Stream.take(response.stream, 2))
        assert.isTrue(yield* eventually(() => seen.aborted === before + 1))
        // With one connection, the next call shows that nothing is stuck.
        assert.strictEqual((yield* send(HttpClientRequest.get(`${url}/next`))).url, "/next")
      })
    )

    it.effect("keeps secrets out of what a response prints", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        const request = HttpClientRequest.get(url).pipe(
          HttpClientRequest.setHeader("authorization", "Bearer sk-secret")
        )
        const response = yield* HttpClient.execute(request)
        yield* response.text
        assert.notInclude(JSON.stringify(response), "sk-secret")
        assert.notInclude(String(response), "sk-secret")
      })
    )

    it.effect("loses no event when the reader is slower than the socket", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        const response = yield* HttpClient.get(`${url}/events`)
        let events = 0
        yield* Stream.runForEachArray(EventStream.sse(response), (batch) =>
          Effect.andThen(
            Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
            Effect.sync(() => (events += batch.length))
          )
        )
        assert.strictEqual(events, 20_000)
      })
    )

    it.effect("loses nothing when the reader is slower than the socket", () =>
      Effect.gen(function* () {
        const { url } = yield* Server
        const response = yield* HttpClient.get(`${url}/big`)
        let bytes = 0
        yield* Stream.runForEach(response.stream, (chunk) =>
          Effect.andThen(
            Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
            Effect.sync(() => (bytes += chunk.length))
          )
        )
        assert.strictEqual(bytes, 300_000)
      })
    )
  }
)
