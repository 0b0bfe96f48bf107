/** `client.http` as plain programs use it, on real servers; and the HttpClient contract through it. */
import { Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Cookies, HttpClient, HttpClientError, HttpClientResponse, HttpIncomingMessage } from "effect/http"
import {
  AttemptTimeout,
  type ClientOptions,
  createClient,
  DeadlineExceeded,
  Draining,
  type Http,
  HttpError,
  type HttpProgress
} from "holdfast/promise"
import * as Undici from "undici"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { contract, Place } from "../contract/HttpClient.ts"
import { makeCertificate, type Running, serve, serveProxy } from "../http/servers.ts"
import { makeSite } from "../http/site.ts"

const certificate = makeCertificate()
const tls = { ca: certificate.cert }
const site = makeSite({ canCompress: true })
const scope = Scope.makeUnsafe()
let server: Running
let proxy: { readonly url: string; readonly seen: { readonly tunnels: ReadonlyArray<string> } }

beforeAll(async () => {
  const start = Effect.all([serve(site, { certificate }), serveProxy("me:secret")])
  ;[server, proxy] = await Effect.runPromise(Scope.provide(start, scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const make = (options: ClientOptions = {}) =>
  createClient({
    ...options,
    http: { baseUrl: server.url, tls, ...options.http },
    retry: { base: 1, ...options.retry }
  })

const caught = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    return await promise
  } catch (error) {
    return error
  }
}

const pieces = async function* (): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < 4; n++) yield new Uint8Array(64 * 1024)
}

describe("client.http", () => {
  it("gets with base URL, query and headers, and reads the answer as often as it is asked", async () => {
    await using client = make({ http: { headers: { "x-default": "d" } } })
    const response = await client.http.get("/things", { query: { q: "x y", ids: [1, 2] }, headers: { "x-own": "o" } })
    expect(response).toMatchObject({ status: 200, ok: true, url: `${server.url}/things?q=x+y&ids=1&ids=2` })
    expect(response.headers["content-type"]).toBe("application/json")
    const seen = await response.json()
    expect(seen).toMatchObject({ method: "GET", path: "/things?q=x+y&ids=1&ids=2" })
    expect(seen).toMatchObject({ headers: { "x-default": "d", "x-own": "o" } })
    expect(JSON.parse(await response.text())).toEqual(seen)
    expect(new TextDecoder().decode(await response.bytes())).toBe(await response.text())
    expect(response.attempts).toMatchObject([{ outcome: "ok", endpoint: server.url }])
  })

  it("posts JSON, forms, texts, bytes and streams", async () => {
    await using client = make()
    const echo = async (options: Parameters<Http["post"]>[1]) => (await client.http.post("/echo", options)).json()
    expect(await echo({ json: { a: [1] } })).toMatchObject({ body: '{"a":[1]}', method: "POST" })
    expect(await echo({ form: { a: "1 2", b: 3 } })).toMatchObject({ body: "a=1+2&b=3" })
    expect(await echo({ body: "text", headers: { "content-type": "text/csv" } })).toMatchObject({
      body: "text",
      headers: { "content-type": "text/csv" }
    })
    expect(await echo({ body: new TextEncoder().encode("bytes") })).toMatchObject({ body: "bytes" })
    expect(await echo({ body: new Blob(["blob"]) })).toMatchObject({ body: "blob", headers: { "content-length": "4" } })
    const uploaded = await (await client.http.put("/upload", { body: pieces })).json()
    expect(uploaded).toMatchObject({ bytes: 4 * 64 * 1024, isStreamed: true })
  })

  it("streams a multipart form and tells how far it is", async () => {
    await using client = make()
    const seen: Array<HttpProgress> = []
    const response = await client.http.post("/form", {
      multipart: [
        ["title", "t"],
        ["file", { filename: "zeros.bin", content: pieces, sizeBytes: 4 * 64 * 1024 }]
      ],
      onProgress: (progress) => void seen.push(progress)
    })
    expect(await response.json()).toMatchObject([
      ["title", "t"],
      ["file", "zeros.bin", "application/octet-stream", "\0".repeat(4 * 64 * 1024)]
    ])
    const last = seen.at(-1)
    expect(last?.sentBytes).toBe(last?.totalBytes)
    expect(seen.length).toBeGreaterThan(4)
  })

  it("streams an answer, and closes what is left", async () => {
    await using client = make()
    let bytes = 0
    for await (const chunk of (await client.http.get("/bytes?chunks=32")).stream()) bytes += chunk.length
    expect(bytes).toBe(32 * 64 * 1024)
    for await (const chunk of (await client.http.get("/endless/promise")).stream()) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await expect.poll(() => site.left.get("/endless/promise"), { timeout: 5_000 }).toBe(1)
  })

  it("tries again, gives the last answer whatever its status, and tells the story", async () => {
    await using client = make()
    const busy = await client.http.get("/busy-once/promise")
    expect(busy.attempts.map(({ outcome }) => outcome)).toEqual(["Status503", "ok"])
    expect(await busy.text()).toBe("at last")
    const keyed = await client.http.post("/reset-once/promise", { body: "pay", idempotencyKey: "k" })
    expect(keyed.attempts).toHaveLength(2)
    const error = await caught(client.http.post("/reset-once/promise-2", { body: "pay" }))
    expect(error).toBeInstanceOf(HttpError)
    expect(error).toMatchObject({ code: "ConnectionLost", phase: "maybeSent", method: "POST" })
    const missing = await client.http.get("/go?status=404")
    expect(missing).toMatchObject({ status: 404, ok: false })
  })

  it("rejects with what the policy refused, and with its own words otherwise", async () => {
    await using client = make({ retry: { retries: 1 }, timeout: { attempt: 200 } })
    const silent = await client.http.get("/silent")
    expect(await caught(silent.text())).toBeInstanceOf(AttemptTimeout)
    const late = await client.http.get("/silent", { timeout: 100 })
    expect(await caught(late.text())).toBeInstanceOf(DeadlineExceeded)
    const refused = await caught(client.http.get("http://user:pass@127.0.0.1:1/x?api_key=secret&a=1"))
    expect(refused).toBeInstanceOf(HttpError)
    expect(refused).toMatchObject({ code: "Unreachable", phase: "notSent", attempts: [{}, {}] })
    expect(String(refused)).toMatch(
      /^HttpError: GET http:.*127\.0\.0\.1:1\/x.*: connection refused, ECONNREFUSED, after 2 attempts$/
    )
    expect(String(refused)).not.toContain("pass@")
    expect(await caught(client.http.get("ftp://127.0.0.1/"))).toMatchObject({ code: "InvalidUrl" })
    const large = await client.http.get("/endless/large", { maxBodyBytes: 1024 })
    expect(await caught(large.bytes())).toMatchObject({ code: "BodyTooLarge" })
    expect(await caught((await client.http.get("/me")).json())).toMatchObject({ code: "InvalidResponse" })
  })

  it("sends a body that can be read once, once", async () => {
    await using client = make()
    const error = await caught(client.http.put("/reset-once/once", { body: pieces() }))
    expect(error).toMatchObject({ code: "InvalidRequest" })
    expect(String(error)).toContain("give a function")
    const again = await client.http.put("/reset-once/anew", { body: pieces })
    expect(again.attempts).toHaveLength(2)
  })

  it("keeps cookies when it is told to, and each client's for itself", async () => {
    await using keeping = make({ http: { cookies: true } })
    expect(await (await keeping.http.get("/login")).text()).toBe("session=abc; theme=dark")
    expect(await (await keeping.http.get("/me")).text()).toBe("session=abc; theme=dark")
    await using other = make()
    expect(await (await other.http.get("/login")).text()).toBe("nobody")
  })

  it("takes its default headers to the base URL's origin only", async () => {
    await using client = make({ http: { headers: { authorization: "Bearer secret" } } })
    const elsewhere = server.url.replace("127.0.0.1", "localhost")
    const headersOf = async (url: string): Promise<unknown> => (await client.http.get(url)).json()
    expect(await headersOf("/echo")).toMatchObject({ headers: { authorization: "Bearer secret" } })
    expect(await headersOf(`${server.url}/echo`)).toMatchObject({ headers: { authorization: "Bearer secret" } })
    for (const url of [`${elsewhere}/echo`, `/go?to=${encodeURIComponent(`${elsewhere}/echo`)}`]) {
      expect(await headersOf(url)).not.toHaveProperty("headers.authorization")
    }
    expect((await client.http.get("/go?to=/echo", { redirects: 0 })).status).toBe(307)
  })

  it("asks for compressed answers and goes through a proxy", async () => {
    await using client = make({ http: { proxy: { url: proxy.url.replace("//", "//me:secret@") } } })
    expect(await (await client.http.get("/echo")).json()).toMatchObject({
      headers: { "accept-encoding": "gzip, deflate, br, zstd" }
    })
    expect(await (await client.http.get("/gzip")).json()).toEqual({ page: "compressed" })
    expect(proxy.seen.tunnels).toEqual([server.url.slice("https://".length)])
  })

  it("rejects with the signal's reason, in a request and in a body", async () => {
    await using client = make()
    const reason = new Error("enough")
    const aborted = AbortSignal.abort(reason)
    expect(await caught(client.http.get("/echo", { signal: aborted }))).toBe(reason)
    const controller = new AbortController()
    const response = await client.http.get("/silent", { signal: controller.signal })
    const reading = caught(response.text())
    controller.abort(reason)
    expect(await reading).toBe(reason)
  })

  it("takes defaults by `with`, and ends with its client", async () => {
    const client = make()
    const tenant = client.with({ timeout: "10 seconds" }).http.with({ headers: { "x-tenant": "t" }, query: { v: 1 } })
    expect(await (await tenant.get("/echo", { query: { w: 2 } })).json()).toMatchObject({
      path: "/echo?v=1&w=2",
      headers: { "x-tenant": "t" }
    })
    await client.close()
    expect(await caught(tenant.get("/echo"))).toBeInstanceOf(Draining)
  })

  it("names the option that is wrong", async () => {
    expect(() => createClient({ http: { baseUrl: "nowhere" } })).toThrow(/^http\.baseUrl: /)
    expect(() => createClient({ http: { connections: 0 } })).toThrow(/^http\.connections: 0 /)
    expect(() => createClient({ http: Object.assign({ redirects: 1 }, { redirect: 3 }) })).toThrow(
      /^http\.redirect: .*redirects/
    )
    await using client = make()
    expect(await caught(client.http.post("/echo", { json: 1, body: "1" }))).toMatchObject({
      message: "json and body: a request has one body; give one of them"
    })
  })
})

/** `client.http` as Effect's client, so that it runs the contract. */
const asEffect = (http: Http): HttpClient.HttpClient =>
  HttpClient.make((request, url, signal, fiber) => {
    const limit = fiber.getRef(HttpIncomingMessage.MaxBodySize)
    const failed = (cause: unknown) => {
      const inner = cause instanceof HttpError ? cause.cause : cause
      return new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: inner })
      })
    }
    const { body } = request
    const given =
      body._tag === "Stream"
        ? { body: () => Stream.toAsyncIterable(Stream.orDie(body.stream)) }
        : body._tag === "FormData"
          ? { multipart: body.formData }
          : body._tag === "Uint8Array"
            ? { body: body.body }
            : body._tag === "Raw" && typeof body.body === "string"
              ? { body: body.body }
              : {}
    const maxBodyBytes = limit === undefined ? undefined : Number(limit)
    const options = { ...given, headers: { ...request.headers }, redirects: 0, maxBodyBytes, signal }
    const method = request.method as Parameters<Http["request"]>[0]
    return Effect.map(
      Effect.tryPromise({ try: () => http.request(method, url, options), catch: failed }),
      (response): HttpClientResponse.HttpClientResponse => {
        const read = <A>(body: () => Promise<A>) => Effect.tryPromise({ try: body, catch: failed })
        const web = new Response(null, { status: response.status, headers: response.headers })
        return Object.create(HttpClientResponse.fromWeb(request, web), {
          text: { get: () => read(response.text) },
          json: { get: () => read(response.json) },
          arrayBuffer: { get: () => Effect.map(read(response.bytes), (bytes) => bytes.buffer) },
          stream: { get: () => Stream.fromAsyncIterable(response.stream(), failed) },
          cookies: { value: Cookies.fromSetCookie(response.setCookie) },
          url: { value: response.url }
        }) as HttpClientResponse.HttpClientResponse
      }
    )
  })

const throughClient = (options: ClientOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const site = makeSite({ canCompress: true })
      const { url } = yield* serve(site, { certificate })
      const open = Effect.sync(() =>
        createClient({
          ...options,
          retry: { retries: 2, base: 1 },
          timeout: { attempt: 400, idleContent: 400, total: "20 seconds" }
        })
      )
      const client = yield* Effect.acquireRelease(open, (client) => Effect.promise(() => client.close()))
      return Context.make(Place, { url, otherUrl: url.replace("127.0.0.1", "localhost"), site }).pipe(
        Context.add(HttpClient.HttpClient, asEffect(client.http))
      )
    })
  )

contract("client.http", throughClient({ http: { tls } }), { hasSockets: true, decodes: true })

// Node's own fetch, trusting the server's certificate; its undici speaks to ours by the older of the two interfaces.
const dispatcher = new Undici.Dispatcher1Wrapper(new Undici.Agent({ connect: tls, allowH2: false }))
const trusting: typeof fetch = (input, init) => fetch(input, { ...init, dispatcher } as RequestInit)

contract("client.http over fetch", throughClient({ fetch: trusting }), { hasSockets: true, decodes: true })
