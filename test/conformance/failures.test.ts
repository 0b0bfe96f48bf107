/** The failure table: each row, by its id, through both doors. Milliseconds are the bench's business. */
import { describe, expect, it } from "vitest"
import { doors, eventually, row, useServer } from "./rows.ts"

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

  it("cut-socket: what arrived is kept in the error, and nothing is sent again", async () => {
    const { stats, url } = row("cut-socket")
    const { error, text } = await door.stream(url)
    expect(error?.reason).toMatchObject({ _tag: "StreamCut", partial: "hello wor" })
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
    expect((await stats()).requests).toBe(1)
  })

  it("retry-after-deadline: a wait past the deadline fails now, and says so", async () => {
    const { stats, url } = row("retry-after-deadline")
    const { error } = await door.unary(url, { timeout: { total: "10 seconds" } })
    expect(error?.reason).toMatchObject({ _tag: "RateLimited", wouldExceedDeadline: true })
    expect(error?.retryAfterMillis).toBe(30_000)
    expect((await stats()).requests).toBe(1)
  })

  it("retry-after-forms: retry-after-ms is the least wait", async () => {
    const { stats, url } = row("retry-after-ms")
    const { attempts, text } = await door.unary(url)
    expect(text).toBe("hello world")
    expect(attempts[1]).toMatchObject({ outcome: "ok", waitMillis: 30, waitCause: "retryAfter" })
    expect((await stats()).requests).toBe(2)
  })

  it("amplification: three retries are three retries, whatever the failures", async () => {
    const { stats, url } = row("amplification")
    const { error } = await door.unary(url, { retry: { retries: 3 } })
    expect(error?.attempts.map(({ outcome }) => outcome)).toEqual([
      "Overloaded",
      "Overloaded",
      "Overloaded",
      "ConnectionLost"
    ])
    expect((await stats()).requests).toBe(4)
  })

  it("exhausted: a server that is down for ever is an error with its story", async () => {
    const { stats, url } = row("exhausted")
    const { error } = await door.unary(url)
    expect(error?.status).toBe(503)
    expect(error?.attempts).toHaveLength(3)
    expect(error?.message).toMatch(/^llm openai http:.*v1: .*; try later or another model \(after 3 attempts\)$/)
    expect((await stats()).requests).toBe(3)
  })

  it("slow-close: an error's body that never ends holds nobody up", async () => {
    const { stats, url } = row("slow-close")
    const { attempts, text } = await door.unary(url, { maxConcurrency: 1 })
    expect(text).toBe("hello world")
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["Overloaded", "ok"])
    expect(await eventually(stats, ({ closed }) => closed === 1)).toMatchObject({ requests: 2, closed: 1 })
  })

  it("keeps the usage that comes after a late finish", async () => {
    expect((await door.stream(row("late-usage").url)).usage).toMatchObject({ inputTokens: 3, outputTokens: 4 })
  })

  it("does not ask a server again that redirects", async () => {
    const { stats, url } = row("redirect")
    const { error } = await door.unary(url)
    expect(error).toMatchObject({ code: "InvalidRequest", status: 307 })
    expect(error?.message).toContain("correct the base URL")
    expect((await stats()).requests).toBe(1)
  })

  it("quota: an empty account is asked once", async () => {
    const { stats, url } = row("quota")
    expect((await door.unary(url)).error?.code).toBe("QuotaExhausted")
    expect((await stats()).requests).toBe(1)
  })

  it("error-in-stream: an error before any content is the reason its status would have been, and retried", async () => {
    const { stats, url } = row("error-in-stream")
    const { attempts, text } = await door.stream(url)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["RateLimited", "ok"])
    expect(text).toBe("hello world")
    expect((await stats()).requests).toBe(2)
  })

  it("garbage-json: what is not the protocol is retried and told with an excerpt that logs do not show", async () => {
    const { stats, url } = row("garbage-json")
    const { error } = await door.unary(url)
    expect(error?.code).toBe("InvalidResponse")
    expect(error?.reason._tag === "InvalidResponse" && error.reason.excerpt).toContain("502 Bad Gateway")
    expect(JSON.stringify(error)).not.toContain("Bad Gateway")
    expect((await stats()).requests).toBe(3)
    expect((await door.stream(row("garbage-json").url)).error?.code).toBe("InvalidResponse")
  })

  it("unknown-fields: fields and values that nobody knows yet are accepted", async () => {
    const { url } = row("unknown-fields")
    expect(await door.unary(url)).toMatchObject({ text: "hello", finishReason: "other", error: undefined })
    expect(await door.stream(url)).toMatchObject({ text: "hello", finishReason: "other", error: undefined })
  })

  it("utf8-split: characters and line ends cut anywhere give the exact text", async () => {
    const { url } = row("utf8-split")
    expect(await door.stream(url)).toMatchObject({ text: "naïve 🎉🚀 日本語", error: undefined })
  })

  it("reads an answer that a server did not stream", async () => {
    const { url } = row("not-streamed")
    expect(await door.stream(url)).toMatchObject({ text: "hello world", finishReason: "stop", error: undefined })
  })
})
