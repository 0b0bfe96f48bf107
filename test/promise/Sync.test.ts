/** `holdfast/sync`: real threads, real servers in another thread, the real sandbox. */
import { once } from "node:events"
import { inspect } from "node:util"
import { Worker } from "node:worker_threads"
import { type Llm, LlmError as Reasons } from "holdfast/llm"
import { createClient } from "holdfast/promise"
import { SandboxError as SandboxReasons } from "holdfast/sandbox"
import {
  createSyncClient,
  Draining,
  LlmError,
  SandboxError,
  type SyncClient,
  SyncError,
  type SyncOptions
} from "holdfast/sync"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { guests } from "../sandbox/processes.ts"
import type { Urls } from "./syncServer.ts"

const key = "sk-secret-0123456789"

let thread: Worker
let urls: Urls

beforeAll(async () => {
  thread = new Worker(new URL("syncServer.ts", import.meta.url), { execArgv: ["--conditions=holdfast-source"] })
  ;[urls] = await once(thread, "message")
})

afterAll(() => thread.terminate())

const options = (server: keyof Urls, more: SyncOptions = {}): SyncOptions => ({
  llm: { provider: "openai", apiKey: key, baseUrl: urls[server], model: "some-model" },
  retry: { retries: 1, base: 1 },
  ...more
})

const thrown = (f: () => unknown): unknown => {
  try {
    return f()
  } catch (error) {
    return error
  }
}

/** What does not differ from call to call. */
const stable = ({ attempts, raw, ...rest }: Llm.Answer) => ({
  ...rest,
  requestId: typeof rest.requestId,
  attempts: attempts.map(({ endpoint, outcome, waitCause }) => ({ endpoint, outcome, waitCause })),
  raw: Object.keys(Object(raw)).sort()
})

describe("createSyncClient", () => {
  it("answers a question, a conversation and a whole request, in the words of the promise client", async () => {
    using client = createSyncClient(options("replay"))
    await using promised = createClient(options("replay"))
    const answer = client.generateText("hello", { maxTokens: 200, headers: { "x-team": "a" } })
    expect(answer.text).toBe("you said hello")
    expect(answer.usage.outputTokens).toBeGreaterThan(0)
    expect(stable(answer)).toEqual(stable(await promised.generateText("hello", { maxTokens: 200 })))
    const messages = [
      { role: "system", content: "be kind" },
      { role: "user", content: "bye" }
    ] as const
    expect(client.generateText(messages).text).toBe("you said bye")
    expect(client.generateText({ messages, model: "other-model" }).model).toBe("other-model")
    expect(client.generateText([...messages, answer.message, { role: "user", content: "again" }]).text).toBe(
      "you said again"
    )
  })

  it("sends the bytes of a picture", () => {
    using client = createSyncClient(options("provider"))
    const content = [
      { type: "text", text: "image" },
      { type: "image", data: new Uint8Array([137, 80, 78, 71]), mediaType: "image/png" }
    ] as const
    expect(client.generateText([{ role: "user", content }]).finishReason).toBe("stop")
  })

  it("keeps the variables of runCode, and none of executeCode", () => {
    using client = createSyncClient({})
    expect(client.runCode("x = 20").outcome).toBe("ok")
    expect(client.runCode("x + 1").results[0]?.["text/plain"]).toBe("21")
    expect(client.runCode("var y = 2; y + 1", { language: "javascript" }).results[0]?.["text/plain"]).toBe("3")
    expect(client.runCode("y", { language: "javascript" }).results[0]?.["text/plain"]).toBe("2")
    expect(client.runCode("x").results[0]?.["text/plain"]).toBe("20")
    const { durationMs, stdout } = client.executeCode("console.log(typeof y)", "javascript")
    expect(stdout).toBe("undefined\n")
    expect(durationMs).toBeGreaterThanOrEqual(0)
  })

  it("tells a failing program as a value of runCode and as an error of executeCode", () => {
    using client = createSyncClient({})
    const code = "raise ValueError('too big')"
    expect(client.runCode(code)).toMatchObject({ outcome: "failed", error: { name: "ValueError", value: "too big" } })
    const error = thrown(() => client.executeCode(code))
    expect(error).toBeInstanceOf(SandboxError)
    expect(error).toMatchObject({ code: "ExecutionFailed", isRetryable: false, phase: "answered" })
    const reason = error instanceof SandboxError ? error.reason : undefined
    expect(reason).toBeInstanceOf(SandboxReasons.ExecutionFailed)
    expect(reason).toMatchObject({ name: "ValueError", traceback: expect.stringContaining("ValueError: too big") })
  })

  it("gives two clients threads and sessions of their own", () => {
    using a = createSyncClient({})
    using b = createSyncClient(options("replay"))
    a.runCode("x = 'a'", { language: "javascript" })
    b.runCode("x = 'b'", { language: "javascript" })
    expect(a.runCode("x", { language: "javascript" }).results[0]?.["text/plain"]).toContain("a")
    expect(b.generateText("hello").text).toBe("you said hello")
    a.close()
    expect(b.runCode("x", { language: "javascript" }).results[0]?.["text/plain"]).toContain("b")
  })

  it("says once that its session is lost, and goes on with a new one", () => {
    using client = createSyncClient({})
    const run = (code: string) => client.runCode(code, { language: "javascript" })
    const others = new Set(guests()) // those of the tests before, which may still be dying
    run("var x = 1")
    const own = guests().filter((pid) => !others.has(pid))
    expect(own).not.toHaveLength(0)
    for (const pid of own) process.kill(pid, "SIGKILL") // the guest and, where there is one, its wall
    const lost = thrown(() => run("x"))
    expect(lost).toMatchObject({ code: "SessionLost" })
    expect(lost).toBeInstanceOf(SandboxError)
    expect(run("typeof x").results[0]?.["text/plain"]).toContain("undefined")
  })
})

describe("the errors of a sync client", () => {
  it("are those of the promise client, reasons and attempts included", async () => {
    const limited = options("provider", { retry: { retries: 1, base: 1, maxRetryAfter: "1ms" } })
    using client = createSyncClient(limited)
    await using promised = createClient(limited)
    for (const said of ["error-429-rate_limit_exceeded", "error-500", "error-401-invalid_api_key", "nonsense"]) {
      const error = thrown(() => client.generateText(said))
      const expected: unknown = await promised.generateText(said).catch((error: unknown) => error)
      if (!(error instanceof LlmError) || !(expected instanceof LlmError)) throw error
      expect(error.reason.constructor).toBe(expected.reason.constructor)
      expect(error.message).toBe(expected.message)
      expect(error.attempts).toHaveLength(expected.attempts.length)
      for (const name of ["code", "status", "isRetryable", "phase", "retryAfterMillis", "provider"] as const)
        expect(error[name], `${said}: ${name}`).toEqual(expected[name])
      expect(error.requestId).toMatch(/^req_/)
    }
  })

  it("keep the network's own error as their cause, and begin their stack where the call is", () => {
    using client = createSyncClient({
      llm: { provider: "openai", baseUrl: "http://127.0.0.1:1/v1", model: "m" },
      retry: { retries: 0 }
    })
    const callHere = () => client.generateText("?")
    const error = thrown(callHere)
    if (!(error instanceof LlmError)) throw error
    expect(error.reason).toBeInstanceOf(Reasons.Unreachable)
    expect(error.cause).toBeInstanceOf(Error)
    expect(error.cause).toMatchObject({ code: "ECONNREFUSED" })
    expect(error.stack?.split("\n")[1]).toContain("callHere")
  })

  it("hide what came in `excerpt`, and hold the key nowhere", () => {
    using client = createSyncClient(options("page", { retry: { retries: 0 } }))
    const error = thrown(() => client.generateText("?"))
    const reason = error instanceof LlmError ? error.reason : undefined
    if (reason?._tag !== "InvalidResponse") throw error
    expect(reason).toBeInstanceOf(Reasons.InvalidResponse)
    expect(reason.excerpt).toContain("<h1>Welcome")
    expect(Object.keys(reason)).not.toContain("excerpt")
    const printed = [JSON.stringify(error), inspect(error, { depth: Infinity, showHidden: true }), reason.excerpt]
    expect(printed.join("\n")).not.toContain(key)
  })

  it("are typed when the time of a call is over", () => {
    using client = createSyncClient(options("silent"))
    const late = thrown(() => client.generateText("?", { timeout: "50ms" }))
    if (!(late instanceof LlmError) || late.reason._tag !== "DeadlineExceeded") throw late
    expect(late.reason.totalMillis).toBe(50)
    const killed = thrown(() => client.executeCode("for (;;) {}", "javascript", { timeout: 50 }))
    if (!(killed instanceof SandboxError) || killed.reason._tag !== "ExecutionTimeout") throw killed
    expect(killed.reason).toMatchObject({ timeoutMillis: 50 })
    expect(client.runCode("for (;;) {}", { language: "javascript", timeout: 50 })).toMatchObject({
      outcome: "timedOut"
    })
  })

  it("say that a call was longer than maxBlock, after which the client works on", () => {
    using client = createSyncClient(options("silent", { maxBlock: "2 seconds" }))
    const error = thrown(() => client.generateText("?", { timeout: "Infinity" }))
    expect(error).toBeInstanceOf(SyncError)
    expect(error).toMatchObject({ code: "TooLong", phase: "maybeSent", isRetryable: false })
    expect(String(error)).toContain("stopped after 2000 ms")
    expect(thrown(() => client.generateText("?", { timeout: 20 }))).toMatchObject({ code: "DeadlineExceeded" })
  })
})

const rejected = (call: (client: SyncClient) => unknown): string => {
  using client = createSyncClient({})
  return String(thrown(() => call(client)))
}

const untyped: (options: object) => SyncClient = createSyncClient

describe("what cannot cross", () => {
  it("is refused with its name before a thread is started", () => {
    const aborted: object = { signal: AbortSignal.abort() }
    const of = (options: object): string => String(thrown(() => untyped(options)))
    expect(of({ retry: { onRetry: () => {} } })).toBe(
      "TypeError: retry.onRetry: a function cannot cross to the thread of a sync client; leave it out, or use createClient of holdfast/promise"
    )
    expect(of({ logger: { error: () => {} } })).toContain("logger.error: a function cannot cross")
    expect(of({ llm: { provider: "openai", model: "m", baseUrl: new URL(urls.replay) } })).toContain(
      "llm.baseUrl: an object of the class URL"
    )
    expect(rejected((client) => client.generateText("?", aborted))).toContain(
      "options.signal: an AbortSignal cannot cross"
    )
    expect(rejected((client) => client.runCode("1", aborted))).toContain("options.signal: an AbortSignal")
    expect(
      rejected((client) => client.generateText({ messages: [{ role: "user", content: "?" }], extra: { n: [() => 1] } }))
    ).toContain("input.extra.n[0]: a function")
  })

  it("is told apart from what is wrong, which the first call throws in the promise client's words", () => {
    const wrong = { maxConcurrency: 0 }
    using client = createSyncClient(wrong)
    const error = thrown(() => client.generateText("?"))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toBe(String(thrown(() => createClient(wrong))))
    expect(String(thrown(() => createSyncClient({ maxBlock: -1 })))).toContain("TypeError: maxBlock: -1 is not a time")
    expect(String(thrown(() => Reflect.apply(createSyncClient, undefined, [])))).toBe(
      "TypeError: createSyncClient: give an object of options"
    )
    using bare = createSyncClient({})
    expect(thrown(() => bare.generateText("?"))).toBeInstanceOf(TypeError)
  })
})

describe("close", () => {
  it("ends the session with its guest, and calls after it throw Draining", () => {
    const client = createSyncClient({})
    client.runCode("1", { language: "javascript" })
    expect(guests().length).toBeGreaterThan(0)
    client.close()
    client.close()
    expect(guests()).toEqual([])
    for (const call of [() => client.runCode("1"), () => client.executeCode("1"), () => client.generateText("?")])
      expect(thrown(call)).toBeInstanceOf(Draining)
  })

  it("starts nothing for a client that was never used", () => {
    const client = createSyncClient({})
    client.close()
    expect(thrown(() => client.generateText("?"))).toBeInstanceOf(Draining)
  })
})
