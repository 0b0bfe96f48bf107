/** What `client.http` keeps to itself, and says of what goes wrong, on real sockets. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type RequestListener } from "node:http"
import * as net from "node:net"
import { inspect } from "node:util"
import { type ClientOptions, createClient, DeadlineExceeded } from "holdfast/promise"
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
