/** The rows of the failure table that are about any request, through the promise client's `http`. */
import { type ClientOptions, createClient, HttpError } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { closedPort, eventually, row, useServer } from "./rows.ts"

useServer()

const make = (options: ClientOptions = {}) => createClient({ ...options, retry: { base: 1, ...options.retry } })

const failed = async (promise: Promise<unknown>): Promise<HttpError> => {
  const error = await promise.catch((reason: unknown) => reason)
  if (error instanceof HttpError) return error
  throw new Error(`no HttpError: ${String(error)}`)
}

const json = { n: 1 }

describe("get-reset", () => {
  it("sends a GET again, as long as there are retries", async () => {
    await using client = make()
    const once = row("reset-once")
    const { attempts, status } = await client.http.get(once.url)
    expect(status).toBe(200)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["TransportError", "ok"])
    expect((await once.stats()).requests).toBe(2)
    const always = row("reset")
    const error = await failed(client.http.get(always.url))
    expect(error).toMatchObject({ code: "ConnectionLost", phase: "maybeSent" })
    expect(error.message).toMatch(/^GET http:\S+: [^\n]+after 3 attempts/)
    expect((await always.stats()).requests).toBe(3)
  })
})

describe("post-reset", () => {
  it("sends a POST once, and a keyed one again under the same key", async () => {
    await using client = make()
    const plain = row("reset")
    expect(await failed(client.http.post(plain.url, { json }))).toMatchObject({
      code: "ConnectionLost",
      phase: "maybeSent"
    })
    expect((await plain.stats()).requests).toBe(1)
    const keyed = row("reset-once")
    expect((await client.http.post(keyed.url, { json, idempotencyKey: "order-7" })).status).toBe(200)
    expect(await keyed.stats()).toMatchObject({ requests: 2, keys: ["order-7", "order-7"] })
  })
})

describe("post-refused", () => {
  it("sends a POST again that never left", async () => {
    await using client = make()
    const error = await failed(client.http.post(`http://127.0.0.1:${await closedPort()}/`, { json }))
    expect(error).toMatchObject({ code: "Unreachable", phase: "notSent" })
    expect(error.attempts).toHaveLength(3)
    expect(error.cause).toBeDefined()
  })
})

describe("stale-socket", () => {
  it("sends a GET again on another connection, and a POST once that had left", async () => {
    for (const method of ["GET", "POST"] as const) {
      await using client = make({ http: { connections: 1 } })
      const { stats, url } = row("stale-socket")
      const options = method === "GET" ? {} : { json }
      await (await client.http.request(method, url, options)).text()
      const again = client.http.request(method, url, options)
      if (method === "GET") expect((await again).attempts).toHaveLength(2)
      else expect((await failed(again)).phase).toBe("maybeSent")
      expect((await stats()).requests).toBe(method === "GET" ? 3 : 2)
    }
  })
})

describe("redirect-secret", () => {
  it("follows a redirect to another origin without the secrets", async () => {
    const headers = {
      authorization: "Bearer sk-1",
      cookie: "session=sk-2",
      "api-key": "sk-3",
      "x-goog-api-key": "sk-4"
    }
    await using client = make()
    const { landed, stats, url } = row("redirect")
    expect((await client.http.post(url, { json, headers })).status).toBe(200)
    expect((await stats()).secrets).toHaveLength(4)
    expect(await landed()).toMatchObject({ requests: 1, secrets: [] })
  })
})

describe("huge-body", () => {
  it("ends a body at the limit, and closes its connection", async () => {
    await using client = make({ http: { maxBodyBytes: 2 ** 20 } })
    const { stats, url } = row("huge-body")
    const response = await client.http.get(url)
    expect(await failed(response.text())).toMatchObject({ code: "BodyTooLarge", isRetryable: false })
    const seen = await eventually(stats, ({ closed }) => closed === 1)
    expect(seen).toMatchObject({ requests: 1, closed: 1, open: 0 })
    expect(seen.written).toBeLessThan(32 * 2 ** 20)
  })
})

describe("slow-drip", () => {
  it("bounds headers and body by the attempt timeout", async () => {
    await using client = make({ timeout: { attempt: 200 } })
    const head = row("slow-drip-head")
    await expect(client.http.get(head.url)).rejects.toMatchObject({ code: "AttemptTimeout" })
    expect(await eventually(head.stats, ({ open }) => open === 0)).toMatchObject({ requests: 3, open: 0 })
    const body = row("slow-drip-body")
    const response = await client.http.get(body.url)
    await expect(response.text()).rejects.toMatchObject({ code: "AttemptTimeout" })
    expect(await eventually(body.stats, ({ open }) => open === 0)).toMatchObject({ requests: 1, open: 0 })
  })
})

describe("exhausted", () => {
  it("gives the last answer as it is, after all retries", async () => {
    await using client = make()
    const { stats, url } = row("exhausted")
    const { attempts, ok, status } = await client.http.get(url)
    expect({ ok, status, attempts: attempts.length }).toEqual({ ok: false, status: 503, attempts: 3 })
    expect((await stats()).requests).toBe(3)
  })
})
