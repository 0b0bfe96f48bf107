/** The rows of the failure table that are about one request: what may be sent again, what is too large, where keys go. */
import { Context, Effect, Layer, Scope } from "effect"
import { HttpClient, type HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { ConnectionFailure, Redirect, ResilientHttpClient, UndiciHttpClient } from "holdfast/http"
import { Attempt, Policy } from "holdfast/policy"
import { describe, expect, it } from "vitest"
import { closedPort, doors, eventually, openDoors, row, useServer } from "./rows.ts"

useServer()

interface Sent {
  readonly response: HttpClientResponse.HttpClientResponse | undefined
  readonly error: HttpClientError.HttpClientError | undefined
  readonly attempts: ReadonlyArray<Attempt.Attempt>
}

type Send = (request: HttpClientRequest.HttpClientRequest) => Promise<Sent>

/** A client under a policy, for as many requests as a test wants. */
const withHttp = (
  use: (send: Send, http: HttpClient.HttpClient) => Promise<void>,
  options: Policy.Options & { readonly connections?: number } = {}
): Promise<void> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const policy = Policy.make({ ...options, retry: { base: 1, ...options.retry } })
        const layer = ResilientHttpClient.layer(policy).pipe(
          Layer.provide(UndiciHttpClient.layer({ connections: options.connections }))
        )
        const context = yield* Layer.buildWithScope(layer, yield* Scope.Scope)
        const http = Context.get(context, HttpClient.HttpClient)
        const send: Send = (request) => {
          const recorder = new Attempt.Recorder()
          const { attempts } = recorder
          const sent = Effect.match(http.execute(request), {
            onFailure: (error) => ({ response: undefined, error, attempts }),
            onSuccess: (response) => ({ response, error: undefined, attempts })
          })
          return Effect.runPromise(Effect.provideService(sent, Attempt.Story, recorder))
        }
        yield* Effect.promise(() => use(send, http))
      })
    )
  )

const get = (url: string) => HttpClientRequest.get(url)
const post = (url: string) => HttpClientRequest.bodyText(HttpClientRequest.post(url), '{"n":1}', "application/json")
const keyed = (url: string) => HttpClientRequest.setHeader(post(url), "idempotency-key", "order-7")

const readBody = async ({ response }: Sent): Promise<void> => {
  await Effect.runPromise(response?.text ?? Effect.void)
}

const failureOf = ({ error }: Sent): ConnectionFailure.ConnectionFailure => {
  const cause = error?.reason.cause
  if (cause instanceof ConnectionFailure.ConnectionFailure) return cause
  throw new Error(`no connection failed: ${String(cause)}`)
}

describe("get-reset", () => {
  it("sends a GET again, as long as there are retries", () =>
    withHttp(async (send) => {
      const once = row("reset-once")
      const sent = await send(get(once.url))
      expect(sent.response?.status).toBe(200)
      expect(sent.attempts.map(({ outcome, phase }) => [outcome, phase])).toEqual([
        ["TransportError", "maybeSent"],
        ["ok", undefined]
      ])
      expect((await once.stats()).requests).toBe(2)
      const always = row("reset")
      expect(failureOf(await send(get(always.url))).phase).toBe("maybeSent")
      expect((await always.stats()).requests).toBe(3)
    }))
})

describe("post-reset", () => {
  it("sends a POST once: nobody knows whether it was done", () =>
    withHttp(async (send) => {
      const { stats, url } = row("reset")
      const sent = await send(post(url))
      expect(failureOf(sent)).toMatchObject({ code: "ECONNRESET", phase: "maybeSent" })
      expect(sent.attempts).toHaveLength(1)
      expect((await stats()).requests).toBe(1)
    }))

  it("sends a keyed POST again, under the same key", () =>
    withHttp(async (send) => {
      const { stats, url } = row("reset-once")
      expect((await send(keyed(url))).response?.status).toBe(200)
      expect(await stats()).toMatchObject({ requests: 2, keys: ["order-7", "order-7"] })
    }))

  it("sends any POST again where the policy says that it may", () =>
    withHttp(
      async (send) => {
        const { stats, url } = row("reset-once")
        expect((await send(post(url))).response?.status).toBe(200)
        expect((await stats()).requests).toBe(2)
      },
      { retry: { resend: "always" } }
    ))

  it("sends once what a call declares unsafe, whatever its method", async () => {
    const { stats, url } = row("reset")
    const program = Effect.gen(function* () {
      const held = yield* Policy.open(Policy.make({ retry: { base: 1 } }))
      const http = yield* HttpClient.HttpClient
      const call = { key: "orders", safety: "unsafe", classify: ResilientHttpClient.classify } as const
      return yield* Effect.flip(held.apply(call)(http.get(url)))
    })
    await Effect.runPromise(Effect.scoped(Effect.provide(program, UndiciHttpClient.layer())))
    expect((await stats()).requests).toBe(1)
  })
})

describe("post-refused", () => {
  it("sends a POST again that never left", () =>
    withHttp(async (send) => {
      const sent = await send(post(`http://127.0.0.1:${await closedPort()}/`))
      expect(failureOf(sent)).toMatchObject({ code: "ECONNREFUSED", phase: "notSent" })
      expect(sent.attempts.map(({ phase }) => phase)).toEqual(["notSent", "notSent", "notSent"])
    }))
})

describe("stale-socket", () => {
  // One connection at the most, so that the second request takes the one that was used.
  const one = { connections: 1 }

  it.each([
    ["a GET", get],
    ["a keyed POST", keyed]
  ])("sends %s again on another connection, and counts it", (_name, request) =>
    withHttp(async (send) => {
      const { stats, url } = row("stale-socket")
      await readBody(await send(request(url)))
      const again = await send(request(url))
      expect(again.response?.status).toBe(200)
      expect(again.attempts.map(({ outcome }) => outcome)).toEqual(["TransportError", "ok"])
      expect(await stats()).toMatchObject({ requests: 3, connections: 2 })
    }, one)
  )

  it("sends a POST once that had left", () =>
    withHttp(async (send) => {
      const { stats, url } = row("stale-socket")
      await readBody(await send(post(url)))
      expect(failureOf(await send(post(url))).phase).toBe("maybeSent")
      expect((await stats()).requests).toBe(2)
    }, one))

  it.each(openDoors)("asks a model again through the $name", async ({ open }) => {
    const { stats, url } = row("stale-socket")
    const client = await open(url, { maxConcurrency: 1 })
    await client.ask()
    const { attempts, text } = await client.ask()
    expect(text).toBe("hello world")
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["ConnectionLost", "ok"])
    expect(await stats()).toMatchObject({ requests: 3, connections: 2 })
    await client.close()
  })

  it.each(openDoors)("writes to no socket that is known to be closed, through the $name", async ({ open }) => {
    const { stats, url } = row("idle-close")
    const client = await open(url, { maxConcurrency: 1 })
    for (let at = 1; at <= 3; at++) {
      expect((await client.ask()).attempts).toHaveLength(1)
      expect(await eventually(stats, ({ alive }) => alive === 0)).toMatchObject({ requests: at, alive: 0 })
    }
    await client.close()
  })
})

describe("redirect-secret", () => {
  const authorization = { authorization: "Bearer sk-1", cookie: "session=sk-2", "proxy-authorization": "sk-3" }
  const keys = { "api-key": "sk-4", "x-api-key": "sk-5", "x-goog-api-key": "sk-6" }

  it.each([
    ["Effect's own", HttpClient.followRedirects, authorization],
    ["ours", Redirect.follow(), { ...authorization, ...keys }]
  ])("drops the secrets on the way to another origin: %s", (_name, follow, secrets) =>
    withHttp(async (_send, http) => {
      const { landed, stats, url } = row("redirect")
      const request = HttpClientRequest.setHeaders(post(url), secrets)
      const { status } = await Effect.runPromise(follow(http).execute(request))
      expect(status).toBe(200)
      expect((await stats()).secrets).toHaveLength(Object.keys(secrets).length)
      expect(await landed()).toMatchObject({ requests: 1, secrets: [] })
    })
  )

  it("follows no redirect by itself", () =>
    withHttp(async (send) => {
      const { landed, url } = row("redirect")
      expect((await send(get(url))).response?.status).toBe(307)
      expect((await landed()).requests).toBe(0)
    }))
})

const mebibyte = 2 ** 20

/** The most memory in use while `run` runs, above what was in use before, in bytes. */
const growth = async (run: () => Promise<void>): Promise<number> => {
  const used = (): number => {
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    return arrayBuffers + heapUsed
  }
  const before = used()
  let most = before
  const timer = setInterval(() => (most = Math.max(most, used())), 2)
  await run().finally(() => clearInterval(timer))
  return most - before
}

describe.each(doors)("huge-body through the $name", (door) => {
  it("ends an answer at the limit, and keeps no more than that", async () => {
    const { stats, url } = row("huge-body")
    const grown = await growth(async () => {
      const { error } = await door.unary(url)
      expect(error?.reason).toMatchObject({ _tag: "BodyTooLarge", limitBytes: 64 * mebibyte })
      expect(error).toMatchObject({ isRetryable: false, phase: "answered" })
    })
    // `fetch` has a queue of its own between the socket and its reader.
    expect(grown).toBeLessThan((door.name.includes("fetch") ? 112 : 80) * mebibyte)
    const seen = await eventually(stats, ({ closed }) => closed === 1)
    expect(seen).toMatchObject({ requests: 1, closed: 1, open: 0 })
    expect(seen.written).toBeLessThan(96 * mebibyte)
  })

  it("ends a stream at an event that is too long", async () => {
    const { stats, url } = row("huge-body")
    const grown = await growth(async () => {
      const { error } = await door.stream(url)
      expect(error?.reason).toMatchObject({ _tag: "BodyTooLarge", limitBytes: 10 * mebibyte })
    })
    // `fetch` has a queue of its own between the socket and its reader.
    expect(grown).toBeLessThan((door.name.includes("fetch") ? 112 : 80) * mebibyte)
    expect(await eventually(stats, ({ closed }) => closed === 1)).toMatchObject({ requests: 1, closed: 1, open: 0 })
  })

  it("reads no more of an error than its words", async () => {
    const { stats, url } = row("huge-error")
    const { attempts, text } = await door.unary(url)
    expect(text).toBe("hello world")
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["ServerError", "ok"])
    const seen = await eventually(stats, ({ closed }) => closed === 1)
    expect(seen).toMatchObject({ requests: 2, closed: 1, open: 0 })
    expect(seen.written).toBeLessThan(16 * mebibyte)
  })
})

describe("slow-drip", () => {
  it("bounds the headers of any request by the attempt timeout", () =>
    withHttp(
      async (send) => {
        const { stats, url } = row("slow-drip-head")
        const { attempts, error } = await send(get(url))
        expect(ResilientHttpClient.refusal(error)?._tag).toBe("AttemptTimeout")
        expect(attempts).toHaveLength(3)
        expect(await eventually(stats, ({ open }) => open === 0)).toMatchObject({ requests: 3, open: 0 })
      },
      { timeout: { attempt: "200 millis" } }
    ))

  it("bounds the body of any request by the attempt timeout", () =>
    withHttp(
      async (send) => {
        const { stats, url } = row("slow-drip-body")
        const { response } = await send(get(url))
        const error = await Effect.runPromise(Effect.flip(response?.text ?? Effect.die("no response")))
        expect(ResilientHttpClient.refusal(error)?._tag).toBe("AttemptTimeout")
        expect(await eventually(stats, ({ open }) => open === 0)).toMatchObject({ requests: 1, closed: 1, open: 0 })
      },
      { timeout: { attempt: "200 millis" } }
    ))
})

describe("dead-server", () => {
  const calls = 1_000

  // What the budget's defaults leave: a tenth of the calls, and its floor of 250.
  const most = calls * 1.1 + 250

  it.each(openDoors)("is not asked three times as much, through the $name", async ({ open }) => {
    const { stats, url } = row("server-error")
    const client = await open(url, { maxConcurrency: 50 })
    const settled = await Promise.allSettled(Array.from({ length: calls }, () => client.ask()))
    expect(settled.filter(({ status }) => status === "rejected")).toHaveLength(calls)
    const { requests } = await stats()
    expect(requests).toBeGreaterThan(calls)
    expect(requests).toBeLessThanOrEqual(most)
    await client.close()
  })

  it("is asked no more by a plain HTTP client either", () =>
    withHttp(async (send) => {
      const { stats, url } = row("server-error")
      const ends = await Promise.all(Array.from({ length: calls }, () => send(get(url))))
      expect(ends.every(({ response }) => response?.status === 500)).toBe(true)
      const { requests } = await stats()
      expect(requests).toBeGreaterThan(calls)
      expect(requests).toBeLessThanOrEqual(most)
    }))
})
