/**
 * What every HttpClient does under our policy, whatever carries the bytes. One suite for every implementation: give it a
 * layer, and where the site of `test/http/site.ts` is found.
 */
import { assert, layer as testLayer } from "@effect/vitest"
import { Context, Effect, Fiber, type Layer, Ref, Schema, Stream } from "effect"
import * as ByteSize from "effect/ByteSize"
import {
  type Cookies,
  HttpBody,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse,
  HttpIncomingMessage,
  UrlParams
} from "effect/http"
import { ConnectionFailure, Redirect, ResilientHttpClient, Upload } from "holdfast/http"
import { Policy } from "holdfast/policy"
import type { Site } from "../http/site.ts"

/** Where the site is: under one origin, and the same one under another. */
export class Place extends Context.Service<
  Place,
  { readonly url: string; readonly otherUrl: string; readonly site: Site }
>()("test/Place") {}

export interface Abilities {
  /** Whether bodies travel over sockets: then leaving one closes something. */
  readonly hasSockets: boolean
  /** Whether a compressed body is decoded. */
  readonly decodes: boolean
}

/** The policy of every client in the suite; a contender may put it in force in its own way. */
export const policy = Policy.make({
  retry: { retries: 2, base: "1 millis" },
  timeout: { attempt: "400 millis", idleContent: "400 millis", total: "20 seconds" }
})

const Echo = Schema.Struct({
  method: Schema.String,
  path: Schema.String,
  headers: Schema.Record(Schema.String, Schema.String),
  body: Schema.String
})

const Measured = Schema.Struct({
  bytes: Schema.Number,
  isStreamed: Schema.Boolean,
  length: Schema.NullOr(Schema.String)
})

const send = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(HttpClient.execute(request), HttpClientResponse.schemaBodyJson(Echo))

/** Pages that count are asked for under a name of their own, so that one site serves every test. */
let asked = 0
const fresh = (page: string): string => `/${page}/${++asked}`

const megabyte = 1024 * 1024

const eventually = (isSo: () => boolean) =>
  Effect.promise(async () => {
    const end = performance.now() + 5_000
    while (!isSo() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
    return isSo()
  })

/** Runs the suite. The layer has the policy above in force, and follows no redirect by itself. */
export const contract = (name: string, layer: Layer.Layer<HttpClient.HttpClient | Place>, abilities: Abilities): void =>
  testLayer(layer, { excludeTestServices: true })(`HttpClient: ${name}`, (it) => {
    it.effect("sends method, base URL, query, headers and JSON, in a program written for the stock client", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const api = (yield* HttpClient.HttpClient).pipe(
          HttpClient.mapRequest((request) =>
            request.pipe(HttpClientRequest.prependUrl(url), HttpClientRequest.setHeader("x-tenant", "a"))
          ),
          HttpClient.filterStatusOk
        )
        const got = yield* Effect.flatMap(
          api.get("/things", { urlParams: { q: "x y", page: 2 } }),
          HttpClientResponse.schemaBodyJson(Echo)
        )
        assert.strictEqual(got.method, "GET")
        assert.strictEqual(got.path, "/things?q=x+y&page=2")
        assert.strictEqual(got.headers["x-tenant"], "a")
        const put = HttpClientRequest.put("/things/1").pipe(HttpClientRequest.bodyJsonUnsafe({ name: "wörld" }))
        const sent = yield* Effect.flatMap(api.execute(put), HttpClientResponse.schemaBodyJson(Echo))
        assert.deepStrictEqual([sent.method, JSON.parse(sent.body)], ["PUT", { name: "wörld" }])
        assert.strictEqual(sent.headers["content-type"], "application/json")
      })
    )

    it.effect("sends a form", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const form = HttpClientRequest.post(`${url}/echo`).pipe(
          HttpClientRequest.bodyUrlParams(UrlParams.fromInput({ a: "1 2", b: "ä" }))
        )
        const got = yield* send(form)
        assert.strictEqual(got.body, "a=1+2&b=%C3%A4")
        assert.match(got.headers["content-type"] ?? "", /^application\/x-www-form-urlencoded/)
      })
    )

    it.effect("streams a multipart form with files, and tells its progress", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const piece = new Uint8Array(64 * 1024).fill(120)
        const body = yield* Upload.multipart([
          ["title", 'a "title"\nin two lines'],
          ["small", { filename: "one.txt", content: new Blob(["one"], { type: "text/plain" }) }],
          ['odd"name', { filename: 'two "2".bin', content: Stream.take(Stream.forever(Stream.succeed(piece)), 4) }]
        ])
        const seen: Array<Upload.Progress> = []
        const told = Upload.withProgress(body, (progress) => Effect.sync(() => void seen.push(progress)))
        const response = yield* HttpClient.execute(
          HttpClientRequest.setBody(HttpClientRequest.post(`${url}/form`), told)
        )
        assert.deepStrictEqual(yield* response.json, [
          ["title", 'a "title"\nin two lines'],
          ["small", "one.txt", "text/plain", "one"],
          ['odd"name', 'two "2".bin', "application/octet-stream", "x".repeat(4 * piece.length)]
        ])
        assert.isAbove(seen.length, 4)
        const sent = seen.map(({ sentBytes }) => sentBytes)
        assert.deepStrictEqual(
          sent,
          [...sent].sort((a, b) => a - b)
        )
        assert.isAbove(sent.at(-1) ?? 0, 4 * piece.length)
      })
    )

    it.effect("streams a body up, a piece at a time", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const pieces = Stream.take(Stream.forever(Stream.succeed(new Uint8Array(64 * 1024))), 32)
        const request = HttpClientRequest.bodyStream(HttpClientRequest.post(`${url}/upload`), pieces)
        const response = yield* HttpClient.execute(request)
        const { bytes, isStreamed } = yield* HttpClientResponse.schemaBodyJson(Measured)(response)
        assert.deepStrictEqual({ bytes, isStreamed }, { bytes: 2 * megabyte, isStreamed: true })
      })
    )

    it.effect("streams a body down, and reads bodies whole", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const streamed = yield* HttpClient.get(`${url}/bytes?chunks=32`)
        const sizes = yield* Stream.runFold(
          streamed.stream,
          () => ({ bytes: 0, chunks: 0 }),
          ({ bytes, chunks }, chunk) => ({ bytes: bytes + chunk.length, chunks: chunks + 1 })
        )
        assert.strictEqual(sizes.bytes, 2 * megabyte)
        assert.isAbove(sizes.chunks, 1)
        const whole = yield* Effect.flatMap(HttpClient.get(`${url}/bytes?chunks=3`), ({ arrayBuffer }) => arrayBuffer)
        assert.strictEqual(whole.byteLength, 3 * 64 * 1024)
        const empty = yield* HttpClient.get(`${url}/empty`)
        assert.deepStrictEqual([empty.status, yield* empty.text, yield* empty.json], [204, "", null])
        const head = yield* HttpClient.head(`${url}/bytes?chunks=3`)
        assert.deepStrictEqual([head.status, yield* head.text], [200, ""])
        const twice = yield* HttpClient.get(`${url}/echo`)
        assert.strictEqual(yield* twice.text, JSON.stringify(yield* twice.json))
      })
    )

    it.effect.skipIf(!abilities.decodes)("decodes a compressed body", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const response = yield* HttpClient.get(`${url}/gzip`, { headers: { "accept-encoding": "gzip" } })
        assert.deepStrictEqual(yield* response.json, { page: "compressed" })
      })
    )

    it.effect("keeps cookies from hop to hop and from call to call", () =>
      Effect.gen(function* () {
        const { otherUrl, url } = yield* Place
        const cookies = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
        const client = Redirect.follow({ cookies })(yield* HttpClient.HttpClient)
        const read = (path: string) => Effect.flatMap(client.get(path), ({ text }) => text)
        assert.strictEqual(yield* read(`${url}/login`), "session=abc; theme=dark")
        assert.strictEqual(yield* read(`${url}/me`), "session=abc; theme=dark")
        assert.strictEqual(yield* read(`${otherUrl}/me`), "nobody")
      })
    )

    it.effect("follows redirects, and takes no secret to another origin", () =>
      Effect.gen(function* () {
        const { otherUrl, url } = yield* Place
        const client = Redirect.follow({ max: 3 })(yield* HttpClient.HttpClient)
        const secrets = { authorization: "Bearer s", "x-api-key": "s", "x-goog-api-key": "s", cookie: "s=s" }
        const headersAt = (path: string) =>
          Effect.map(
            Effect.flatMap(
              client.get(path, { headers: { ...secrets, "x-plain": "p" } }),
              HttpClientResponse.schemaBodyJson(Echo)
            ),
            ({ headers }) => Object.keys({ ...secrets, "x-plain": "" }).filter((name) => headers[name] !== undefined)
          )
        const go = (to: string) => `/go?to=${encodeURIComponent(to)}`
        assert.deepStrictEqual(yield* headersAt(url + go("/echo")), [...Object.keys(secrets), "x-plain"])
        assert.deepStrictEqual(yield* headersAt(url + go(`${otherUrl}/echo`)), ["x-plain"])
        // Sent back to where it came from by somebody else, it is a stranger.
        assert.deepStrictEqual(yield* headersAt(url + go(`${otherUrl}${go(`${url}/echo`)}`)), ["x-plain"])
        const post = HttpClientRequest.post(`${url}${go("/echo")}&status=303`).pipe(
          HttpClientRequest.bodyJsonUnsafe({ a: 1 })
        )
        const seeOther = yield* Effect.flatMap(client.execute(post), HttpClientResponse.schemaBodyJson(Echo))
        assert.deepStrictEqual([seeOther.method, seeOther.body], ["GET", ""])
        const loop = yield* client.get(url + go(go(go(go("/echo")))))
        assert.strictEqual(loop.status, 307)
      })
    )

    it.effect("tries again what may be tried again, and nothing else", () =>
      Effect.gen(function* () {
        const { site, url } = yield* Place
        const read = (request: HttpClientRequest.HttpClientRequest) =>
          Effect.flatMap(HttpClient.execute(request), ({ text }) => text)
        const busy = fresh("busy-once")
        assert.strictEqual(yield* read(HttpClientRequest.get(url + busy)), "at last")
        const reset = fresh("reset-once")
        assert.strictEqual(yield* read(HttpClientRequest.get(url + reset)), "at last")
        const posted = fresh("reset-once")
        const post = HttpClientRequest.bodyText(HttpClientRequest.post(url + posted), "pay")
        const error = yield* Effect.flip(read(post))
        assert.strictEqual(error._tag === "HttpClientError" && error.reason._tag, "TransportError")
        const keyed = fresh("reset-once")
        const safe = HttpClientRequest.post(url + keyed, { headers: { "idempotency-key": "k" } })
        assert.strictEqual(yield* read(HttpClientRequest.bodyText(safe, "pay")), "at last")
        const counts = [busy, reset, posted, keyed].map((path) => site.requests.get(path))
        assert.deepStrictEqual(counts, [2, 2, 1, 2])
      })
    )

    it.effect("stops a body at the limit", () =>
      Effect.gen(function* () {
        const { site, url } = yield* Place
        const path = fresh("endless")
        const limited = Effect.provideService(
          Effect.flatMap(HttpClient.get(url + path), ({ text }) => text),
          HttpIncomingMessage.MaxBodySize,
          ByteSize.bytes(megabyte)
        )
        const { reason } = yield* Effect.flip(limited)
        assert.instanceOf(reason.cause, ConnectionFailure.BodyTooLarge)
        if (abilities.hasSockets) assert.isTrue(yield* eventually(() => site.left.get(path) === 1))
      })
    )

    it.effect("ends a body that does not come, read whole and as a stream", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const whole = yield* Effect.flip(Effect.flatMap(HttpClient.get(`${url}/silent`), ({ text }) => text))
        assert.strictEqual(ResilientHttpClient.refusal(whole)?._tag, "AttemptTimeout")
        const response = yield* HttpClient.get(`${url}/silent`)
        const { reason } = yield* Effect.flip(Stream.runDrain(response.stream))
        assert.instanceOf(reason.cause, ConnectionFailure.BodyStalled)
      })
    )

    it.effect("closes what is left or interrupted", () =>
      Effect.gen(function* () {
        const { site, url } = yield* Place
        const broken = fresh("endless")
        yield* Stream.runDrain(Stream.take((yield* HttpClient.get(url + broken)).stream, 2))
        const interrupted = fresh("endless")
        const { stream } = yield* HttpClient.get(url + interrupted)
        let isBegun = false
        const reading = Stream.runForEach(stream, () => Effect.sync(() => (isBegun = true)))
        const fiber = yield* Effect.forkChild(reading, { startImmediately: true })
        assert.isTrue(yield* eventually(() => isBegun))
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* eventually(() => site.left.get(broken) === 1 && site.left.get(interrupted) === 1))
      })
    )

    it.effect("reads what it sends: raw bytes and texts", () =>
      Effect.gen(function* () {
        const { url } = yield* Place
        const post = HttpClientRequest.post(`${url}/echo`)
        assert.strictEqual((yield* send(HttpClientRequest.bodyText(post, "plain"))).body, "plain")
        const bytes = new TextEncoder().encode("bytes")
        assert.strictEqual((yield* send(HttpClientRequest.bodyUint8Array(post, bytes))).body, "bytes")
        const form = new FormData()
        form.append("file", new Blob(["content"]), "name.txt")
        const multipart = yield* send(HttpClientRequest.setBody(post, HttpBody.formData(form)))
        assert.include(multipart.body, 'filename="name.txt"')
      })
    )
  })
