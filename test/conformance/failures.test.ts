/** The failure table: each row, by its id, through both doors. Milliseconds are the bench's business. */
import { Effect } from "effect"
import { FallbackLlm, Llm } from "holdfast/llm"
import { describe, expect, it } from "vitest"
import { closedPort, doors, eventually, llmLayer, replying, row, useServer } from "./rows.ts"

useServer()

describe.each(doors)("through the $name", (door) => {
  it("stall-keepalive: comments are no content, and a stall is never a success", async () => {
    const { stats, url } = row("stall-keepalive")
    const { error, text } = await door.stream(url, { timeout: { idleContent: 150 } })
    expect(error?.reason).toMatchObject({ _tag: "StreamStalled", partial: "hello ", timeoutMillis: 150 })
    expect(text).toBe("hello ")
    expect(await eventually(stats, ({ closed }) => closed === 1)).toMatchObject({ requests: 1, closed: 1 })
  })

  it("stall-first: no content in time is retried, and then told", async () => {
    const { stats, url } = row("stall-first")
    const { error } = await door.stream(url, { timeout: { firstContent: 120 } })
    expect(error?.code).toBe("FirstContentTimeout")
    // A model's answer that timed out is asked for once more at the most.
    expect(error?.attempts.map(({ outcome }) => outcome)).toEqual(["FirstContentTimeout", "FirstContentTimeout"])
    expect(await eventually(stats, ({ closed }) => closed === 2)).toMatchObject({ requests: 2, closed: 2 })
  })

  it("stall-body: headers without a body end by the attempt timeout", async () => {
    const { stats, url } = row("stall-body")
    const { error } = await door.unary(url, { timeout: { attempt: 120 } })
    expect(error?.reason).toMatchObject({ _tag: "AttemptTimeout", timeoutMillis: 120 })
    expect(error?.attempts).toHaveLength(2)
    expect(await eventually(stats, ({ closed }) => closed === 2)).toMatchObject({ requests: 2, closed: 2 })
  })

  it("stall-body: a stream's headers without a body end by firstContent", async () => {
    const { stats, url } = row("stall-body")
    const { error } = await door.stream(url, { timeout: { firstContent: 120 } })
    expect(error?.reason).toMatchObject({ _tag: "FirstContentTimeout", timeoutMillis: 120 })
    expect(await eventually(stats, ({ closed }) => closed === 2)).toMatchObject({ requests: 2, closed: 2 })
  })

  it("slow-drip: a byte now and then is no answer, in the headers or in the body", async () => {
    for (const id of ["slow-drip-head", "slow-drip-body"]) {
      const unary = row(id)
      const answer = await door.unary(unary.url, { timeout: { attempt: 300 } })
      expect(answer.error?.attempts.map(({ outcome }) => outcome)).toEqual(["AttemptTimeout", "AttemptTimeout"])
      expect(await eventually(unary.stats, ({ open }) => open === 0)).toMatchObject({ requests: 2, open: 0 })
      const streamed = row(id)
      const stream = await door.stream(streamed.url, { timeout: { firstContent: 300 } })
      expect(stream.error?.code).toBe("FirstContentTimeout")
      expect(await eventually(streamed.stats, ({ open }) => open === 0)).toMatchObject({ requests: 2, open: 0 })
    }
  })

  it("cut-socket: what arrived is kept in the error, and nothing is sent again", async () => {
    const { stats, url } = row("cut-socket")
    const { error, text } = await door.stream(url)
    expect(error?.reason).toMatchObject({ _tag: "StreamCut", partial: "hello wor" })
    expect(error?.reason.cause).toBeInstanceOf(Error)
    expect(error?.phase).toBe("answered")
    expect(text).toBe("hello wor")
    expect((await stats()).requests).toBe(1)
  })

  it("cut-socket: a cut before the first content is retried", async () => {
    const { stats, url } = row("cut-before-content")
    const { attempts, text } = await door.stream(url)
    expect(text).toBe("hello world")
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["ConnectionLost", "ok"])
    expect((await stats()).requests).toBe(2)
  })

  it("end-early: an end without a finish marker is not an answer", async () => {
    const { stats, url } = row("end-early")
    const { error, text } = await door.stream(url)
    expect(error?.reason).toMatchObject({ _tag: "StreamTruncated", partial: "hello wor" })
    expect(text).toBe("hello wor")
    expect((await stats()).requests).toBe(1)
  })

  it("end-early: a missing [DONE] after finish_reason is an answer", async () => {
    const { url } = row("end-without-done")
    expect(await door.stream(url)).toMatchObject({ text: "hello world", finishReason: "stop", error: undefined })
  })

  it("slow-consumer: a consumer slower than idleContent loses nothing", async () => {
    const { url } = row("slow-consumer")
    let pauses = 0
    const { error, text } = await door.stream(url, { timeout: { idleContent: 60 } }, async () => {
      if (++pauses <= 2) await new Promise((resolve) => setTimeout(resolve, 300))
    })
    expect(error).toBeUndefined()
    expect(text).toBe(Array.from({ length: 200 }, (_, at) => `${at} `).join(""))
  })

  it("retry-after-long: a wait past maxRetryAfter fails now", async () => {
    const { stats, url } = row("retry-after-long")
    const { error } = await door.unary(url, { retry: { maxRetryAfter: "60 seconds" } })
    expect(error?.code).toBe("RateLimited")
    expect(error?.retryAfterMillis).toBe(61_000)
    expect(error?.attempts).toHaveLength(1)
    expect((await stats()).requests).toBe(1)
  })

  it("retry-after-deadline: a wait past the deadline fails now, and says so", async () => {
    const { stats, url } = row("retry-after-deadline")
    const { error } = await door.unary(url, { timeout: { total: "10 seconds" } })
    expect(error?.reason).toMatchObject({ _tag: "RateLimited", wouldExceedDeadline: true })
    expect(error?.retryAfterMillis).toBe(30_000)
    expect((await stats()).requests).toBe(1)
  })

  it("retry-after-forms: each form is the wait before the next send", async () => {
    const limit = { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30ms" }
    const info = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "0.03s" }
    const replies = [
      { headers: { "retry-after-ms": "30" } },
      { headers: { "retry-after": "0.03" } },
      { headers: limit },
      { body: JSON.stringify({ error: { message: "slow down", details: [info] } }) }
    ]
    for (const reply of replies) {
      const { stats, url } = replying({ status: 429, times: 1, ...reply })
      const { attempts, text } = await door.unary(url)
      expect(text).toBe("hello world")
      expect(attempts[1]).toMatchObject({ outcome: "ok", waitMillis: 30, waitCause: "retryAfter" })
      expect((await stats()).requests).toBe(2)
    }
  })

  it("retry-after-forms: the first of retry-after-ms, retry-after, RetryInfo and the reset wins", async () => {
    const info = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "3s" }
    const forms = [
      { headers: { "retry-after-ms": "1000" } },
      { headers: { "retry-after": "2" } },
      { body: JSON.stringify({ error: { message: "slow down", details: [info] } }) },
      { headers: { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s" } }
    ]
    const waits = [1000, 2000, 3000, 360_000]
    for (const [at, wait] of waits.entries()) {
      const all = forms.slice(at)
      const headers = Object.assign({}, ...all.map((form) => form.headers))
      const body = all.find((form) => form.body !== undefined)?.body
      const { stats, url } = replying({ status: 429, headers, ...(body === undefined ? {} : { body }) })
      const { error } = await door.unary(url, { retry: { maxRetryAfter: 1 } })
      expect(error?.code).toBe("RateLimited")
      expect(error?.retryAfterMillis).toBe(wait)
      expect((await stats()).requests).toBe(1)
    }
  })

  it("retry-after-forms: dates and instants count from now", async () => {
    const at = Math.ceil(Date.now() / 1000) * 1000 + 90_000
    const headers = [
      { "retry-after": new Date(at).toUTCString() },
      {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": new Date(at).toISOString()
      }
    ]
    for (const form of headers) {
      const { error } = await door.unary(replying({ status: 429, headers: form }).url, { retry: { maxRetryAfter: 1 } })
      expect(error?.retryAfterMillis).toBeGreaterThan(30_000)
      expect(error?.retryAfterMillis).toBeLessThanOrEqual(at - Date.now() + 10_000)
    }
  })

  it("retry-after-forms: a reset counts only on a 429 of a limit with nothing left", async () => {
    const reset = { "x-ratelimit-reset-requests": "6m0s" }
    for (const [status, remaining] of [
      [429, "5"],
      [503, "0"]
    ] as const) {
      const headers = { "x-ratelimit-remaining-requests": remaining, ...reset }
      const { attempts, text } = await door.unary(replying({ status, headers, times: 1 }).url)
      expect(text).toBe("hello world")
      expect(attempts[1]?.waitCause).toBe("backoff")
    }
  })

  it("retry-after-forms: x-should-retry: false stops, whatever the status", async () => {
    for (const status of [408, 409, 429, 500, 503, 529]) {
      const { stats, url } = replying({ status, headers: { "x-should-retry": "false", "retry-after-ms": "1" } })
      expect((await door.unary(url)).error).toMatchObject({ status, isRetryable: false })
      expect((await stats()).requests).toBe(1)
    }
  })

  it("overload: a provider without capacity is asked again, by any of its names", async () => {
    const body = JSON.stringify({ error: { message: "wait a moment", code: "slow_down" } })
    const replies = [529, 520, 521, 522, 523, 524].map((status) => replying({ status, times: 1 }))
    for (const { stats, url } of [...replies, replying({ status: 503, body, times: 1 }), row("no-capacity")]) {
      const { attempts, text } = await door.unary(url)
      expect(text).toBe("hello world")
      expect(attempts.map(({ outcome }) => outcome)).toEqual(["Overloaded", "ok"])
      expect((await stats()).requests).toBe(2)
    }
    for (const { stats, url } of [replying({ status: 529, times: 1 }), row("no-capacity")]) {
      const { attempts, text } = await door.stream(url)
      expect(text).toBe("hello world")
      expect(attempts.map(({ outcome }) => outcome)).toEqual(["Overloaded", "ok"])
      expect((await stats()).requests).toBe(2)
    }
  })

  it("post-refused: what was not sent is tried again", async () => {
    const url = `http://127.0.0.1:${await closedPort()}/v1`
    for (const call of [door.unary(url), door.stream(url)]) {
      const { error } = await call
      expect(error).toMatchObject({ code: "Unreachable", phase: "notSent" })
      expect(error?.attempts.map(({ phase }) => phase)).toEqual(["notSent", "notSent", "notSent"])
      expect(error?.cause).toBeInstanceOf(Error)
    }
  })

  it("post-reset: a completion is costly but safe, and asked for again", async () => {
    const { stats, url } = row("reset-once")
    const { attempts, text } = await door.unary(url)
    expect(text).toBe("hello world")
    expect(attempts.map(({ outcome, phase }) => [outcome, phase])).toEqual([
      ["ConnectionLost", "maybeSent"],
      ["ok", undefined]
    ])
    expect(await stats()).toMatchObject({ requests: 2, keys: [] })
  })

  it("post-reset: a call with a key sends the same key each time", async () => {
    const { stats, url } = row("reset")
    const { error } = await door.unary(url, { request: { idempotencyKey: "call-7" } })
    expect(error).toMatchObject({ code: "ConnectionLost", phase: "maybeSent" })
    expect(await stats()).toMatchObject({ requests: 3, keys: ["call-7", "call-7", "call-7"] })
  })

  it("amplification: three retries are three retries, whatever the failures", async () => {
    const { stats, url } = row("amplification")
    const { error } = await door.unary(url, { retry: { retries: 3 } })
    expect(error?.attempts.map(({ outcome }) => outcome)).toEqual([
      "ServerError",
      "ServerError",
      "ServerError",
      "ConnectionLost"
    ])
    expect((await stats()).requests).toBe(4)
  })

  it("exhausted: a server that is down for ever is an error with its story", async () => {
    const { stats, url } = row("exhausted")
    const { error } = await door.unary(url)
    expect(error).toMatchObject({ code: "ServerError", status: 503, phase: "rejected" })
    expect(error?.attempts).toHaveLength(3)
    expect(error?.attempts.every(({ outcome, phase }) => outcome === "ServerError" && phase === "rejected")).toBe(true)
    expect(error?.message).toMatch(/^llm openai http:.*v1: .*status 503.*; try later \(after 3 attempts\)$/)
    expect((await stats()).requests).toBe(3)
  })

  it("slow-close: an error's body that never ends holds nobody up", async () => {
    const { stats, url } = row("slow-close")
    const { attempts, text } = await door.unary(url, { maxConcurrency: 1 })
    expect(text).toBe("hello world")
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["ServerError", "ok"])
    expect(await eventually(stats, ({ closed }) => closed === 1)).toMatchObject({ requests: 2, closed: 1 })
  })

  it("keeps the usage that comes after a late finish", async () => {
    expect((await door.stream(row("late-usage").url)).usage).toMatchObject({ inputTokens: 3, outputTokens: 4 })
  })

  it("redirect-secret: a completion is not redirected, and no other origin hears of it", async () => {
    const { landed, stats, url } = row("redirect")
    const { error } = await door.unary(url)
    expect(error).toMatchObject({ code: "InvalidRequest", status: 307 })
    expect(error?.message).toContain("correct the base URL")
    expect((await stats()).requests).toBe(1)
    expect(await landed()).toMatchObject({ requests: 0, secrets: [] })
  })

  it("quota: an empty account is asked once, and whoever comes next may try another", async () => {
    const limit = { error: { message: "spend limit", code: "credit_balance_exhausted" } }
    const rows = [row("quota"), replying({ status: 402 }), replying({ status: 400, body: JSON.stringify(limit) })]
    for (const { stats, url } of rows) {
      const { error } = await door.unary(url)
      expect(error).toMatchObject({ code: "QuotaExhausted", isRetryable: false, phase: "rejected" })
      expect((await stats()).requests).toBe(1)
    }
    const { stats, url } = row("quota")
    expect((await door.stream(url)).error?.code).toBe("QuotaExhausted")
    expect((await stats()).requests).toBe(1)
  })

  it("error-in-stream: an error before any content is the reason its status would have been, and retried", async () => {
    const { stats, url } = row("error-in-stream")
    const { attempts, text } = await door.stream(url)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["RateLimited", "ok"])
    expect(text).toBe("hello world")
    expect((await stats()).requests).toBe(2)
  })

  it("error-in-stream: an error named by its event is read like any other", async () => {
    const { stats, url } = row("error-event")
    const { attempts, text } = await door.stream(url)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["Overloaded", "RateLimited", "ok"])
    expect(text).toBe("hello world")
    expect((await stats()).requests).toBe(3)
  })

  it("error-in-stream: an error after content ends the stream", async () => {
    const { stats, url } = row("error-late")
    const { error, text } = await door.stream(url)
    expect(error?.code).toBe("Overloaded")
    expect(text).toBe("hello ")
    expect((await stats()).requests).toBe(1)
  })

  it("garbage-json: what is not the protocol is retried and told with an excerpt that logs do not show", async () => {
    const { stats, url } = row("garbage-json")
    const { error } = await door.unary(url)
    expect(error?.code).toBe("InvalidResponse")
    expect(error?.reason._tag === "InvalidResponse" && error.reason.excerpt).toContain("502 Bad Gateway")
    expect(JSON.stringify(error)).not.toContain("Bad Gateway")
    expect((await stats()).requests).toBe(3)
    const streamed = row("garbage-json")
    expect((await door.stream(streamed.url)).error?.attempts.map(({ outcome }) => outcome)).toEqual([
      "InvalidResponse",
      "InvalidResponse",
      "InvalidResponse"
    ])
    expect((await streamed.stats()).requests).toBe(3)
  })

  it("garbage-json: after content nothing is sent again", async () => {
    const { stats, url } = row("garbage-late")
    const { error, text } = await door.stream(url)
    expect(error).toMatchObject({ code: "InvalidResponse", isRetryable: false })
    expect(text).toBe("hello ")
    expect((await stats()).requests).toBe(1)
  })

  it("unknown-fields: fields and values that nobody knows yet are accepted", async () => {
    const { url } = row("unknown-fields")
    const answer = await door.unary(url)
    expect(answer).toMatchObject({ text: "hello", finishReason: "other", usage: { inputTokens: 1 }, error: undefined })
    expect(answer.raw).toMatchObject({ choices: [{ finish_reason: "vibes", novelty: {} }], zzz: null })
    // Everything in one chunk, without an index or a `created`; then the usage in a chunk without choices.
    expect(await door.stream(url)).toMatchObject({
      text: "hello",
      finishReason: "other",
      usage: { inputTokens: 3, outputTokens: 4 },
      error: undefined
    })
  })

  it("utf8-split: characters and line ends cut anywhere give the exact text", async () => {
    const { url } = row("utf8-split")
    expect(await door.stream(url)).toMatchObject({ text: "naïve 🎉🚀 日本語", error: undefined })
    expect(await door.unary(url)).toMatchObject({ text: "naïve 🎉🚀 日本語", error: undefined })
  })

  it("reads an answer that a server did not stream", async () => {
    const { url } = row("not-streamed")
    expect(await door.stream(url)).toMatchObject({ text: "hello world", finishReason: "stop", error: undefined })
  })
})

it("quota: a fallback answers for an account that is empty", async () => {
  const empty = row("quota")
  const full = row("ok")
  const llm = FallbackLlm.layer([{ llm: llmLayer(empty.url) }, { llm: llmLayer(full.url) }])
  const { attempts, text } = await Effect.runPromise(Effect.provide(Llm.generateText("hi"), llm))
  expect(text).toBe("hello world")
  expect(attempts.map(({ outcome }) => outcome)).toEqual(["QuotaExhausted", "ok"])
  expect((await empty.stats()).requests).toBe(1)
  expect((await full.stats()).requests).toBe(1)
})
