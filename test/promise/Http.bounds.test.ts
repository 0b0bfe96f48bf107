/** What `client.http` keeps to itself, and says of what goes wrong, on real sockets. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type RequestListener } from "node:http"
import * as net from "node:net"
import { inspect } from "node:util"
import { type ClientOptions, createClient, DeadlineExceeded, HttpError, type HttpProgress } from "holdfast/promise"
import { describe, expect, it } from "vitest"

interface Site extends AsyncDisposable {
  readonly url: string
  readonly seen: Array<IncomingMessage>
}

const urlOf = (server: net.Server): string => {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`
}

const serve = async (listener: RequestListener): Promise<Site> => {
  const seen: Array<IncomingMessage> = []
  const server = createServer((request, response) => {
    seen.push(request)
    listener(request, response)
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  return {
    url: urlOf(server),
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), "close")
    }
  }
}

const make = (options: ClientOptions = {}) => createClient({ ...options, retry: { base: 1, ...options.retry } })

const caught = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    return await promise
  } catch (error) {
    return error
  }
}

/** All that a person or a log can see of an error. */
const shown = (error: unknown): string => {
  const told = error instanceof Error ? [error.message, String(error), error.stack] : []
  return [...told, inspect(error, { depth: 20, showHidden: true }), JSON.stringify(error)].join("\n")
}

const secrets = /hunter2|aHVudGVy|SECRET/

describe("client.http keeps secrets", () => {
  it("out of errors: those of the URL, of its query and of headers", async () => {
    await using site = await serve((_, response) => void response.end("no json"))
    await using client = make({ retry: { retries: 0 } })
    const headers = { "api-key": "SECRET", "x-goog-api-key": "SECRET" }
    const silent = net.createServer()
    await once(silent.listen(0, "127.0.0.1"), "listening")
    const late = urlOf(silent).replace("//", "//me:hunter2@")
    const known = site.url.replace("//", "//me:hunter2@")
    const query = "/x?api_key=SECRET&key=SECRET&a=b"
    const errors = [
      await caught((await client.http.get(known + query, { headers })).json()),
      await caught(client.http.get(`http://me:hunter2@127.0.0.1:1${query}`, { headers })),
      await caught(client.http.get(`http://me:hunter2@ho st${query}`, { headers })),
      await caught(client.http.get(`http://me:hunter2@127.0.0.1:1?api_key=SECRET`, { headers })),
      await caught(client.http.get(late, { headers, timeout: 20 }))
    ]
    silent.close()
    for (const error of errors) expect(shown(error)).not.toMatch(secrets)
    expect(errors.map((error) => error instanceof Error && "code" in error && error.code)).toEqual([
      "InvalidResponse",
      "Unreachable",
      "InvalidUrl",
      "Unreachable",
      "DeadlineExceeded"
    ])
    expect(errors[4]).toBeInstanceOf(DeadlineExceeded)
    expect(errors[0]).toMatchObject({ message: expect.stringContaining("&a=b: the body is not JSON") })
  })

  it("out of responses and stories, while the user and the password of a URL reach its server", async () => {
    await using site = await serve((request, response) => void response.end(request.headers.authorization))
    await using client = make()
    const response = await client.http.get(site.url.replace("//", "//me:hunter%322@"))
    expect(await response.text()).toBe(`Basic ${Buffer.from("me:hunter22").toString("base64")}`)
    expect(response.url).toBe(`${site.url}/`)
    expect(response.attempts).toMatchObject([{ endpoint: site.url }])
    const own = await client.http.get(site.url.replace("//", "//me:hunter2@"), {
      headers: { authorization: "Bearer a" }
    })
    expect(await own.text()).toBe("Bearer a")
  })

  it("and its default headers from another origin that a redirect leads to", async () => {
    await using other = await serve((_, response) => void response.end())
    await using site = await serve((_, response) => void response.writeHead(307, { location: other.url }).end())
    await using client = make({ http: { baseUrl: site.url, headers: { "X-Mine": "SECRET" } } })
    await client.http.post("/", { json: 1, headers: { "x-call": "c" } })
    expect(site.seen[0]?.headers).toMatchObject({ "x-mine": "SECRET", "x-call": "c" })
    expect(other.seen[0]?.headers).toMatchObject({ "x-call": "c" })
    expect(other.seen[0]?.headers).not.toHaveProperty("x-mine")
  })
})

describe("client.http tells no secret", () => {
  it("to `onRetry`, and in a deadline's last failure", async () => {
    const told: Array<unknown> = []
    await using client = make({ retry: { retries: 1, base: 1, onRetry: (event) => void told.push(event.error) } })
    const headers = { "x-goog-api-key": "SECRET" }
    const refused = "http://me:hunter2@127.0.0.1:1/?api_key=SECRET"
    expect(await caught(client.http.get(refused, { headers }))).toMatchObject({ code: "Unreachable" })
    await using hasty = make({ retry: { minDelay: "1h", onRetry: (event) => void told.push(event.error) } })
    const late = await caught(hasty.http.get(refused, { headers, timeout: "1s" }))
    expect(late).toBeInstanceOf(DeadlineExceeded)
    expect(late).toMatchObject({ message: expect.stringContaining("connection refused") })
    await using patient = make({
      retry: { retries: 1, retryIf: () => true, onRetry: (event) => void told.push(event) }
    })
    await using site = await serve((_, response) => void response.writeHead(503).end())
    await patient.http.get(site.url, { headers })
    expect(told).toHaveLength(2)
    expect(told[1]).toMatchObject({ error: { status: 503 } })
    for (const error of [...told, late]) expect(shown(error)).not.toMatch(secrets)
  })

  it("and prints its errors with what happened and what to do", async () => {
    const client = make({ retry: { retries: 0 } })
    const refused = inspect(await caught(client.http.get("http://127.0.0.1:1/")))
    expect(refused).toMatch(/^HttpError \[Unreachable\]: GET http:\/\/127\.0\.0\.1:1\/: connection refused/)
    await client.close()
    const draining = inspect(await caught(client.http.get("http://127.0.0.1:1/")))
    expect(draining).toMatch(/^Draining \[Draining\]: client: the client is closing and takes no new calls/)
  })
})

describe("client.http says what is wrong", () => {
  it("with a request that cannot be sent, once and by its name", async () => {
    await using site = await serve((request, response) => void request.resume().on("end", () => response.end("ok")))
    await using client = make()
    const file = (bytes: number) => ({
      filename: "a",
      sizeBytes: 10,
      content: async function* () {
        yield new Uint8Array(bytes)
      }
    })
    const { url } = site
    const bodyThrows = (): never => {
      throw new Error("mine")
    }
    const attempts = {
      InvalidUrl: ["/x", { json: 1 }],
      "expect header not supported": [url, { headers: { expect: "100-continue" } }],
      "length does not match": [url, { multipart: [["f", file(5)]] }],
      "content-length": [url, { multipart: [["f", file(50)]] }],
      "the request's body failed: mine": [url, { body: bodyThrows }]
    } as const
    for (const [said, [to, options]] of Object.entries(attempts)) {
      const error = await caught(client.http.put(to, options))
      expect(error).toBeInstanceOf(HttpError)
      expect(error).toMatchObject({ code: expect.stringMatching(/^Invalid(Request|Url)$/), attempts: { length: 1 } })
      if (said !== "InvalidUrl") expect(error).toMatchObject({ message: expect.stringContaining(said) })
      else expect(error).toMatchObject({ message: expect.stringMatching(/http\.baseUrl/) })
    }
  })

  it("with a body or a setting of the wrong kind, in one line, before anything is sent", async () => {
    await using site = await serve((_, response) => void response.end())
    await using client = make()
    const circle: { self?: unknown } = {}
    circle.self = circle
    for (const json of [circle, 1n, () => 1]) {
      expect(await caught(client.http.post(site.url, { json }))).toMatchObject({
        name: "TypeError",
        message: expect.stringMatching(/^json: .*; give plain values/)
      })
    }
    const options: object = { body: 5 }
    expect(await caught(client.http.post(site.url, options))).toMatchObject({
      message: "body: a number is no body; give a text, bytes, a Blob or an async iterable"
    })
    const wrong: object = { priority: "first" }
    expect(await caught(client.http.get(site.url, wrong))).toMatchObject({
      message: expect.stringMatching(/^priority: /)
    })
    expect(site.seen).toHaveLength(0)
  })

  it("and takes bounds that are infinite or no whole numbers", async () => {
    await using site = await serve((_, response) => void response.end("ok"))
    for (const options of [{ maxConcurrency: Infinity }, { http: { connections: Infinity, maxBodyBytes: Infinity } }]) {
      await using client = make(options)
      expect(await (await client.http.get(site.url, { maxBodyBytes: 2.5 })).text()).toBe("ok")
    }
  })
})

describe("client.http goes on", () => {
  it("when `onProgress` throws, and tells the progress of a FormData too, anew for each send", async () => {
    await using site = await serve((request, response) => {
      const status = site.seen.length === 1 ? 503 : 200
      request.resume().on("end", () => void response.writeHead(status).end())
    })
    await using client = make()
    const form = new FormData()
    form.set("a", "b")
    form.set("file", new Blob([new Uint8Array(1000)], { type: "image/png" }), "x.png")
    const told: Array<HttpProgress> = []
    const onProgress = (progress: HttpProgress): never => {
      told.push(progress)
      throw new Error("mine")
    }
    expect((await client.http.post(site.url, { multipart: form, onProgress })).status).toBe(200)
    const total = Number(site.seen[0]?.headers["content-length"])
    expect(total).toBeGreaterThan(1000)
    expect(told.filter(({ sentBytes, totalBytes }) => sentBytes === total && totalBytes === total)).toHaveLength(2)
  })

  it("with a body that is asked for twice at once", async () => {
    let finish = (): void => {}
    await using site = await serve((_, response) => {
      response.write('{"a"')
      finish = () => void response.end(":1}")
    })
    await using client = make()
    const response = await client.http.get(site.url)
    const reading = Promise.all([response.text(), response.json()])
    finish()
    expect(await reading).toEqual(['{"a":1}', { a: 1 }])
  })
})

describe("client.http stays within bounds", () => {
  it("with cookies that are named anew at each answer", async () => {
    let n = 0
    await using site = await serve((_, response) => {
      response.setHeader(
        "set-cookie",
        Array.from({ length: 40 }, () => `c${n++}=v`)
      )
      response.end()
    })
    await using client = make({ http: { baseUrl: site.url, cookies: true } })
    for (let call = 0; call < 3; call++) await client.http.get("/")
    await client.http.get("/")
    const sent = site.seen.at(-1)?.headers.cookie?.split("; ") ?? []
    expect(sent).toHaveLength(50)
    expect(new Set(sent)).toEqual(new Set(Array.from({ length: 50 }, (_, at) => `c${119 - at}=v`)))
  })

  it("with a body that is over its limit, and says what to raise", async () => {
    await using site = await serve((_, response) => void response.end("x".repeat(1000)))
    await using client = make({ http: { maxBodyBytes: 10 } })
    const error = await caught((await client.http.get(site.url)).text())
    expect(error).toMatchObject({
      code: "BodyTooLarge",
      message: `GET ${site.url}: the body is over the limit of 10 bytes; raise maxBodyBytes, or read it as a stream`
    })
  })
})

describe("a client that closes", () => {
  it("lets a call read its answer within the grace, and nothing after it", async () => {
    let finish = (): void => {}
    await using site = await serve((_, response) => {
      response.write("an ")
      finish = () => void response.end("answer")
    })
    const client = make()
    const call = (async () => {
      const response = await client.http.get(site.url)
      const reading = response.text()
      finish()
      return [await reading, response] as const
    })()
    const closing = client.close({ grace: "10 seconds" })
    const [text, response] = await call
    expect(text).toBe("an answer")
    expect(await caught(client.http.get(site.url))).toMatchObject({ code: "Draining" })
    await closing
    expect(await caught(response.text())).toMatchObject({ code: "Draining" })
    expect(await caught(response.stream().next())).toMatchObject({ code: "Draining" })
  })

  it("leaves no connection that was still being made", async () => {
    const server = net.createServer()
    await once(server.listen(0, "127.0.0.1"), "listening")
    const client = make()
    const call = caught(client.http.get(urlOf(server).replace("http:", "https:")))
    const [socket]: Array<net.Socket> = await once(server, "connection")
    const ended = once(socket?.on("error", () => undefined).resume() ?? server, "close")
    await client.close()
    expect(await call).toMatchObject({ code: "Draining" })
    await ended
    server.close()
  }, 5000)
})
