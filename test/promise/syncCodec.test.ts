/** Every error of ours crosses to another thread as what it was. */
import { inspect } from "node:util"
import { Duration } from "effect"
import { LlmError } from "holdfast/llm"
import { PolicyError } from "holdfast/policy"
import { SandboxError } from "holdfast/sandbox"
import { SyncError } from "holdfast/sync"
import { describe, expect, it } from "vitest"
import { type Known, receive, send } from "../../src/promise/internal/syncCodec.ts"

const usage = { inputTokens: 3, outputTokens: 2, cachedInputTokens: undefined }
const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED", errno: -111 })
const both = new AggregateError([refused, new RangeError("port")], "", { cause: new TypeError("x") })
const description = "the server's words"
const retryAfter = Duration.millis(1500.25)
const attempts = [
  {
    endpoint: "https://api.example.com",
    startMillis: 1,
    durationMillis: 2,
    outcome: "RateLimited",
    phase: "rejected",
    waitMillis: 0,
    waitCause: "none",
    queuedMillis: 0
  },
  {
    endpoint: "https://api.example.com",
    startMillis: 5,
    durationMillis: 2,
    outcome: "RateLimited",
    phase: "rejected",
    waitMillis: 3,
    waitCause: "retryAfter",
    queuedMillis: 0
  }
] as const

type Samples = { readonly [Tag in Known["_tag"]]: ReadonlyArray<Extract<Known, { readonly _tag: Tag }>> }

/** With everything that each can hold, and with the least. A reason that is new does not compile before it is in here. */
const samples: Samples = {
  RateLimited: [
    new LlmError.RateLimited({ description, status: 429, retryAfter, wouldExceedDeadline: true, retryable: false }),
    new LlmError.RateLimited({ description })
  ],
  Overloaded: [new LlmError.Overloaded({ description, status: 529, retryAfter: Duration.infinity })],
  QuotaExhausted: [new LlmError.QuotaExhausted({ description, status: 429 })],
  Unauthorized: [new LlmError.Unauthorized({ description, status: 401 }), new LlmError.Unauthorized({ description })],
  InvalidRequest: [new LlmError.InvalidRequest({ description, status: 400 })],
  ContextLengthExceeded: [new LlmError.ContextLengthExceeded({ description, status: 400 })],
  ContentFiltered: [new LlmError.ContentFiltered({ description, status: undefined })],
  ServerError: [new LlmError.ServerError({ description, status: 503, retryAfter, retryable: false })],
  Unreachable: [new LlmError.Unreachable({ description, cause: both }), new LlmError.Unreachable({ description })],
  ConnectionLost: [new LlmError.ConnectionLost({ description, cause: refused })],
  InvalidResponse: [
    new LlmError.InvalidResponse({ description, status: 200, delivered: true, excerpt: "<html>" }),
    new LlmError.InvalidResponse({ description })
  ],
  FirstContentTimeout: [new LlmError.FirstContentTimeout({ timeoutMillis: 5 })],
  StreamStalled: [new LlmError.StreamStalled({ timeoutMillis: 5, partial: "what came", usage })],
  StreamCut: [new LlmError.StreamCut({ description, partial: "what came", usage, cause: refused })],
  StreamTruncated: [new LlmError.StreamTruncated({ partial: "", delivered: true })],
  BodyTooLarge: [new LlmError.BodyTooLarge({ limitBytes: 64 })],
  ObjectMismatch: [new LlmError.ObjectMismatch({ issues: ["a: no", "b: no"], answers: 2, usage, text: "{}" })],
  RoundsExceeded: [new LlmError.RoundsExceeded({ maxRounds: 2, tools: ["search"], usage })],
  DeadlineExceeded: [
    new PolicyError.DeadlineExceeded({
      key: "k",
      totalMillis: 5,
      phase: "rejected",
      cause: new LlmError.RateLimited({ description, retryAfter })
    })
  ],
  AttemptTimeout: [new PolicyError.AttemptTimeout({ key: "k", timeoutMillis: 5 })],
  Shed: [new PolicyError.Shed({ key: "k", retryAfter, waiting: 3, closed: true })],
  Draining: [new PolicyError.Draining({ key: "k", isSent: true }), new PolicyError.Draining({ key: "k" })],
  CircuitOpen: [new PolicyError.CircuitOpen({ key: "k", retryAfter }), new PolicyError.CircuitOpen({ key: "k" })],
  BudgetExceeded: [
    new PolicyError.BudgetExceeded({ key: "k", budget: "b", unit: "USD", limit: 1, used: 0.5, wanted: 2 })
  ],
  Unavailable: [new SandboxError.Unavailable({ description, transient: true, cause: refused })],
  SessionLost: [new SandboxError.SessionLost({ why: "killed", description, cause: both })],
  LimitExceeded: [new SandboxError.LimitExceeded({ limit: "queue", description })],
  UnsupportedLanguage: [new SandboxError.UnsupportedLanguage({ language: "cobol", supported: ["python"] })],
  Unsupported: [new SandboxError.Unsupported({ operation: "runCommand", description })],
  FileFailed: [new SandboxError.FileFailed({ path: "/tmp/a", why: "notFound", description })],
  ExecutionFailed: [
    new SandboxError.ExecutionFailed({
      name: "ValueError",
      value: "too big",
      traceback: "Traceback…",
      exitCode: 1,
      stdout: "out",
      stderr: "err"
    })
  ],
  ExecutionTimeout: [new SandboxError.ExecutionTimeout({ timeoutMillis: 5, stdout: "out", stderr: "" })],
  LlmError: [
    new LlmError.LlmError({
      provider: "openai",
      reason: new LlmError.RateLimited({ description, status: 429, retryAfter }),
      attempts,
      requestId: "req_1",
      usage,
      cost: 0.25
    }),
    new LlmError.LlmError({
      provider: "openai",
      reason: new LlmError.Unreachable({ description, cause: both }),
      attempts: []
    })
  ],
  SandboxError: [
    new SandboxError.SandboxError({
      provider: "local",
      reason: new SandboxError.SessionLost({ why: "crashed", description, cause: refused }),
      attempts
    }),
    new SandboxError.SandboxError({
      provider: "local",
      reason: new PolicyError.Shed({ key: "k", retryAfter, waiting: 3 })
    })
  ],
  SyncError: [new SyncError({ code: "WorkerLost", description, cause: refused })]
}

/** As it goes: sent, cloned as between threads, received. */
const cross = (value: unknown): unknown => receive(structuredClone(send(value)))

/** All that can be known of a value: its class, its own properties with the hidden ones, what its getters say. */
const factsOf = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return { duration: Duration.toMillis(value) }
  if (Array.isArray(value)) return value.map(factsOf)
  if (!(value instanceof Error)) return value
  const { stack: _, ...own } = Object.getOwnPropertyDescriptors(value)
  return {
    prototype: Object.getPrototypeOf(value),
    own: Object.fromEntries(
      Object.entries(own).map(([name, { enumerable, value }]) => [name, [enumerable, factsOf(value)]])
    ),
    said: ["isRetryable", "phase", "code", "status", "retryAfterMillis", "fallback", "message", "name", "stack"].map(
      (name): unknown => Reflect.get(value, name)
    ),
    retryAfter: factsOf(Reflect.get(value, "retryAfter")),
    printed: [String(value), inspect(value, { sorted: true }), JSON.parse(JSON.stringify(value))]
  }
}

describe("an error that crosses", () => {
  it.each(Object.entries(samples))("is what it was: %s", (tag, errors) => {
    for (const error of errors) {
      const crossed = cross(error)
      expect(crossed).toBeInstanceOf(Error)
      expect(crossed).not.toBe(error)
      expect(Reflect.get(Object(crossed), "_tag")).toBe(tag)
      expect(factsOf(crossed)).toEqual(factsOf(error))
    }
  })

  it("keeps out of sight what was out of sight", () => {
    const [invalid] = samples.InvalidResponse
    const [mismatch] = samples.ObjectMismatch
    const crossed = [cross(invalid), cross(mismatch)]
    expect(crossed).toEqual([expect.objectContaining({ excerpt: "<html>" }), expect.objectContaining({ text: "{}" })])
    expect(crossed.map((error) => JSON.stringify(error) + inspect(error)).join()).not.toMatch(/<html>|\{\}/)
  })

  it("has one cause with its reason", () => {
    const crossed = cross(samples.LlmError[1])
    const reason: unknown = crossed instanceof LlmError.LlmError ? crossed.reason : undefined
    expect(reason).toBeInstanceOf(LlmError.Unreachable)
    expect(crossed instanceof Error && crossed.cause).toBe(Reflect.get(Object(reason), "cause"))
  })

  it.each([
    new TypeError("maxConcurrency: 0 is not a number of at least 1"),
    new RangeError("x", { cause: "a text" }),
    new SyntaxError("x"),
    new ReferenceError("x"),
    both,
    refused
  ])("is of its class in the language: %s", (error) => {
    expect(factsOf(cross(error))).toEqual(factsOf(error))
  })

  it("of a class that nobody knows is an Error with its name", () => {
    class Foreign extends Error {
      override readonly name = "Foreign"
      readonly code = "E_FOREIGN"
    }
    const crossed = cross(new Foreign("far away"))
    expect(String(crossed)).toBe("Foreign: far away")
    expect(crossed).toMatchObject({ code: "E_FOREIGN" })
  })

  it("leaves behind what has a class or does something: a socket, a request, a function", () => {
    const error = Object.assign(new Error("x"), {
      request: new Request("http://127.0.0.1", { headers: { authorization: "Bearer secret" } }),
      onRetry: () => {},
      address: { port: 1, host: "h" }
    })
    const crossed = cross(error)
    expect(crossed).toMatchObject({ address: { port: 1, host: "h" } })
    expect(inspect(crossed, { depth: Infinity, showHidden: true })).not.toContain("secret")
  })

  it("ends where its causes turn in a circle, or never end", () => {
    const circle = new Error("a")
    circle.cause = new Error("b", { cause: circle })
    expect(cross(circle)).toMatchObject({ message: "a", cause: { message: "b" } })
    let chain = new Error("0")
    for (let n = 1; n < 10_000; n++) chain = new Error(String(n), { cause: chain })
    expect(cross(chain)).toMatchObject({ message: "9999", cause: { message: "9998" } })
  })

  it.each([["a text"], [undefined], [null], [{ a: [1, { b: "c" }] }], [7n]])("may be no error at all: %s", (value) => {
    expect(cross(value)).toEqual(value)
  })
})
