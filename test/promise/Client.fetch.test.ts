/** `createClient({ fetch })`: what differs from the client's own connections, and what does not. Servers are real. */
import { getEventListeners, once } from "node:events"
import { createServer, type IncomingMessage, type RequestListener } from "node:http"
import { type ClientOptions, createClient, Draining, HttpError, type HttpProgress, LlmError } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { clientOptions, closedPort, eventually, row, useServer } from "../conformance/rows.ts"

useServer()

const serve = async (listener: RequestListener) => {
  const seen: Array<IncomingMessage> = []
  const server = createServer((request, response) => {
    seen.push(request)
    request.resume().once("end", () => listener(request, response))
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  const port = typeof address === "object" ? address?.port : address
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    /** The same server, as another origin. */
    otherUrl: `http://localhost:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), "close")
    }
  }
}

const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

const make = (options: ClientOptions = {}) => createClient({ fetch, ...options, retry: { base: 1, ...options.retry } })

/** A browser does not tell a program where a redirect leads. */
const asInBrowser: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  if (init?.redirect !== "manual" || response.status < 300 || response.status > 399) return response
  await response.body?.cancel()
  return Response.error()
}

const reason = new Error("the caller's own reason")

describe("an abort over fetch", () => {
  it.each([
    ["before the headers", "hang"],
    ["in the body", "stall-body"]
  ])("closes the connection %s, and rejects with the signal's reason", async (_, id) => {
    const { stats, url } = row(id)
    await using client = createClient({ ...clientOptions(url), fetch, maxConcurrency: 1 })
    for (let at = 1; at <= 2; at++) {
      const { signal, ...controller } = abortable()
      const call = caught(client.generateText("hi", { signal }))
      await eventually(stats, ({ requests }) => requests === at)
      controller.abort()
      expect(await call).toBe(reason)
      expect(getEventListeners(signal, "abort")).toHaveLength(0)
      expect((await eventually(stats, ({ closed }) => closed === at)).closed).toBe(at)
    }
  })

  it("closes the connection between two events, while the consumer is busy", async () => {
    const { stats, url } = row("break-early")
    await using client = createClient({ ...clientOptions(url), fetch })
    const { abort, signal } = abortable()
    const events = client.streamText("hi", { signal })
    await events.next()
    abort()
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
    expect(await caught(events.next())).toBe(reason)
    expect(getEventListeners(signal, "abort")).toHaveLength(0)
  })
})

const abortable = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(reason) }
}

describe("a stream over fetch", () => {
  it("closes the connection when a loop is left", async () => {
    const { stats, url } = row("break-early")
    await using client = createClient({ ...clientOptions(url), fetch, maxConcurrency: 1 })
    for (let at = 1; at <= 3; at++) {
      for await (const event of client.streamText("hi")) {
        expect(event).toMatchObject({ type: "text" })
        break
      }
      expect((await eventually(stats, ({ closed }) => closed === at)).closed).toBe(at)
    }
  })

  it("is closed by the client's close, and says so", async () => {
    const { stats, url } = row("break-early")
    const client = createClient({ ...clientOptions(url), fetch })
    const events = client.streamText("hi")
    await events.next()
    expect(await client.close()).toEqual({ finished: 0, interrupted: 1 })
    expect(await caught(events.next())).toBeInstanceOf(Draining)
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
  })
})

describe("client.http over fetch", () => {
  it("waits as long as the server asks before it tries again", async () => {
    await using site = await serve((_, response) => {
      const isFirst = site.seen.length === 1
      response.writeHead(isFirst ? 429 : 200, isFirst ? { "retry-after": "3600" } : {}).end()
    })
    await using client = make({ retry: { maxRetryAfter: "2h" }, timeout: { total: "1h" } })
    const response = await client.http.get(site.url)
    expect(response).toMatchObject({ status: 429, attempts: { length: 1 } })
    await using impatient = make({ retry: { maxRetryAfter: "2h" }, timeout: { total: "2h" } })
    site.seen.length = 0
    const { abort, signal } = abortable()
    const waiting = caught(impatient.http.get(site.url, { signal }))
    await expect.poll(() => site.seen.length).toBe(1)
    abort()
    expect(await waiting).toBe(reason)
    expect(site.seen).toHaveLength(1)
  })

  it("sends user and password of a URL as Basic credentials, which fetch itself refuses", async () => {
    await using site = await serve((_, response) => void response.end("ok"))
    await using client = make()
    const response = await client.http.get(site.url.replace("//", "//me:p%40ss@"))
    expect(site.seen[0]?.headers.authorization).toBe(`Basic ${btoa("me:p@ss")}`)
    expect(response.url).not.toContain("me")
  })

  it("says once what is wrong with a request that cannot be sent", async () => {
    await using site = await serve((_, response) => void response.end())
    await using client = make()
    const fails = (): never => {
      throw new Error("mine")
    }
    const attempts = [
      [/fetch sends no body with GET/, () => client.http.request("GET", site.url, { json: 1 })],
      [/invalid/i, () => client.http.get(site.url, { headers: { "x-a": "a\nb" } })],
      [
        /expect header not supported/,
        () => client.http.put(site.url, { headers: { expect: "100-continue" }, body: "x" })
      ],
      [/^PUT .*: the request's body failed: mine$/, () => client.http.put(site.url, { body: fails })]
    ] as const
    for (const [said, call] of attempts) {
      const error = await caught(call())
      expect(error).toBeInstanceOf(HttpError)
      expect(error).toMatchObject({
        code: "InvalidRequest",
        message: expect.stringMatching(said),
        attempts: { length: 1 }
      })
    }
    expect(site.seen).toHaveLength(0)
  })

  it("tells a connection that was refused from one that broke", async () => {
    await using client = make({ retry: { retries: 0 } })
    const refused = await caught(client.http.get(`http://127.0.0.1:${await closedPort()}`))
    expect(refused).toMatchObject({ code: "Unreachable", phase: "notSent" })
    await using site = await serve((_, response) => {
      response.writeHead(200, { "content-length": "100" }).write("half")
      setImmediate(() => response.destroy())
    })
    const response = await client.http.get(site.url)
    expect(await caught(response.text())).toMatchObject({ code: "ConnectionLost", phase: "answered" })
  })

  it("says that an origin may not be allowed, where fetch says no more than that it failed", async () => {
    const failing = async (): Promise<Response> => {
      throw new TypeError("Failed to fetch")
    }
    await using client = make({ fetch: failing, retry: { retries: 1 } })
    const error = await caught(client.http.get("http://localhost/"))
    expect(error).toMatchObject({ code: "ConnectionLost", attempts: { length: 2 } })
    expect(error).toMatchObject({ message: expect.stringMatching(/Failed to fetch; .*\(CORS\)/) })
  })

  it("tells the progress of an upload", async () => {
    await using site = await serve((_, response) => void response.end())
    await using client = make()
    const told: Array<HttpProgress> = []
    const form = new FormData()
    form.set("file", new Blob([new Uint8Array(300_000)]), "x.bin")
    await client.http.post(site.url, { multipart: form, onProgress: (progress) => void told.push(progress) })
    expect(site.seen[0]?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/)
    await client.http.post(site.url, { body: new Blob(["a,b"]), headers: { "content-type": "text/csv" } })
    expect(site.seen[1]?.headers["content-type"]).toBe("text/csv")
    const last = told.at(-1)
    expect(last?.sentBytes).toBe(last?.totalBytes)
    expect(last?.sentBytes).toBeGreaterThan(300_000)
  })

  it("refuses what is set about connections, and takes no fetch that is none", () => {
    for (const http of [{ connections: 1 }, { http2: false }, { tls: {} }, { proxy: { url: "http://p" } }])
      expect(() => make({ http })).toThrow(/^http\.\w+: `fetch` makes the connections/)
    expect(() => make({ http: { compression: false } })).toThrow(/^http\.compression: /)
    const wrong: object = { fetch: "fetch" }
    expect(() => createClient(wrong)).toThrow(/^fetch: /)
  })
})

describe("a redirect that a browser hides", () => {
  const redirecting =
    (to: () => string): RequestListener =>
    (request, response) => {
      if (request.url === "/there") response.end(JSON.stringify(request.headers))
      else response.writeHead(307, { location: to() }).end()
    }

  it("is left to the browser for a GET without a secret", async () => {
    await using site = await serve(redirecting(() => "/there"))
    await using client = make({ fetch: asInBrowser })
    const response = await client.http.get(site.url, { headers: { "x-plain": "p" } })
    expect(response).toMatchObject({ status: 200, url: `${site.url}/there` })
    expect(await response.json()).toMatchObject({ "x-plain": "p" })
  })

  it("is followed with no secret, no header that stays, no body and no word of the caller's", async () => {
    await using site = await serve(redirecting(() => `${site.otherUrl}/there`))
    await using client = make({
      fetch: asInBrowser,
      http: { baseUrl: site.url, headers: { "x-mine": "secret" } }
    })
    await using bare = make({ fetch: asInBrowser })
    const calls = [
      () => client.http.get("/here"),
      () => bare.http.get(`${site.url}/here`, { headers: { "x-api-key": "secret" } }),
      () => bare.http.post(`${site.url}/here`, { json: 1 }),
      () => bare.http.get(`${site.url}/here`, { redirects: 0 })
    ]
    for (const call of calls) {
      const error = await caught(call())
      expect(error).toMatchObject({ code: "InvalidResponse", isRetryable: false, attempts: { length: 1 } })
      expect(error).toMatchObject({ message: expect.stringContaining("give the URL that it leads to") })
    }
    expect(site.seen.map(({ url }) => url)).toEqual(["/here", "/here", "/here", "/here"])
  })

  it("of a model's server is told, and brings the key nowhere", async () => {
    await using site = await serve(redirecting(() => `${site.otherUrl}/there`))
    await using client = make({
      fetch: asInBrowser,
      llm: { provider: "openai", apiKey: "sk-secret", baseUrl: site.url, model: "m" }
    })
    const error = await caught(client.generateText("hi"))
    expect(error).toBeInstanceOf(LlmError)
    expect(error).toMatchObject({ code: "InvalidRequest", message: expect.stringContaining("the server redirects") })
    expect(site.seen).toHaveLength(1)
  })
})
