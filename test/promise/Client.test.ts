import { Effect, Exit, Scope } from "effect"
import { type Client, createClient, Draining, LlmError, SandboxError } from "holdfast/promise"
import { ReplayServer } from "holdfast/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { guests } from "../sandbox/processes.ts"

const scope = Scope.makeUnsafe()
let server: ReplayServer.ReplayServer

beforeAll(async () => {
  const answer = ({ messages }: ReplayServer.Request): string => `you said ${messages.at(-1)?.content}`
  server = await Effect.runPromise(Scope.provide(ReplayServer.make({ answer }), scope))
})

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const make = (options = {}): Client =>
  createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: server.url, model: "some-model" }, ...options })

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe("createClient", () => {
  it("answers a question, a conversation and a whole request", async () => {
    await using client = make()
    const answer = await client.generateText("hello", { maxTokens: 200 })
    expect(answer).toMatchObject({ text: "you said hello", finishReason: "stop" })
    expect(answer.usage.outputTokens).toBeGreaterThan(0)
    expect(answer.attempts).toHaveLength(1)
    const messages = [
      { role: "system", content: "be kind" },
      { role: "user", content: "bye" }
    ] as const
    expect((await client.generateText(messages)).text).toBe("you said bye")
    expect((await client.generateText({ messages, model: "other-model" })).model).toBe("other-model")
  })

  it("streams an answer and ends with how it ended", async () => {
    await using client = make()
    let text = ""
    let last = ""
    for await (const event of client.streamText("hello")) {
      if (event.type === "text") text += event.text
      last = event.type
    }
    expect(text).toBe("you said hello")
    expect(last).toBe("finish")
  })

  it("answers several `next` that do not wait for each other, in order", async () => {
    await using client = make()
    const events = client.streamText("hello")
    const first = await Promise.all([events.next(), events.next(), events.next()])
    const rest = await Array.fromAsync(events)
    const all = [...first.flatMap((result) => (result.done === true ? [] : [result.value])), ...rest]
    expect(all.map((event) => (event.type === "text" ? event.text : "")).join("")).toBe("you said hello")
  })

  it("gives the results of a map in order, failures as values", async () => {
    await using client = make()
    const results = await client.map(
      ["a", "b", "c"],
      async (item, { index }) => {
        if (item === "b") throw new Error("not b")
        return `${index} ${(await client.generateText(item)).text}`
      },
      { concurrency: 2 }
    )
    expect(results).toEqual([
      { status: "fulfilled", value: "0 you said a" },
      { status: "rejected", reason: new Error("not b") },
      { status: "fulfilled", value: "2 you said c" }
    ])
  })

  it("begins nothing more of a map when its signal is aborted", async () => {
    await using client = make()
    const controller = new AbortController()
    const begun: Array<number> = []
    const results = await client.map(
      [0, 1, 2, 3],
      async (item, { signal }) => {
        begun.push(item)
        if (item === 1) controller.abort(new Error("enough"))
        signal.throwIfAborted()
        return item
      },
      { concurrency: 1, signal: controller.signal }
    )
    expect(begun).toEqual([0, 1])
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "rejected"])
  })

  it("bounds a call by its own timeout", async () => {
    await using client = make()
    const error = await settled(client.generateText("hello", { timeout: 0 }))
    expect(error).toBeInstanceOf(LlmError)
    expect(error).toMatchObject({ code: "DeadlineExceeded" })
  })

  it("refuses calls when it is closed, and closes as often as it is asked to", async () => {
    const client = make()
    await client.generateText("hello")
    expect(await client.close()).toEqual({ finished: 0, interrupted: 0 })
    await client.close()
    expect(await settled(client.generateText("hello"))).toBeInstanceOf(Draining)
    expect(await settled(client.streamText("hello").next())).toBeInstanceOf(Draining)
    expect(await settled(client.createSession())).toBeInstanceOf(Draining)
  })

  it("stays open when it is told to close within nonsense", async () => {
    await using client = make()
    // @ts-expect-error: not a time
    expect(await settled(client.close({ grace: "bogus" }))).toBeInstanceOf(TypeError)
    expect((await client.generateText("hello")).text).toBe("you said hello")
  })

  it("lets a call's own options win over those of a request, unless they have no value", async () => {
    await using client = make()
    const request = { messages: [{ role: "user", content: "hello" }], model: "one-model" } as const
    expect((await client.generateText(request, { model: "other-model" })).model).toBe("other-model")
    expect((await client.generateText(request, { model: undefined })).model).toBe("one-model")
  })

  it("rejects the first `next` of a stream whose question is none", async () => {
    await using client = make()
    // @ts-expect-error: no question
    expect(await settled(client.streamText(undefined).next())).toMatchObject({
      message: expect.stringMatching(/^input: /)
    })
  })

  it("ends a `next` that waits when the loop is left, without an error", async () => {
    await using client = make()
    const events = client.streamText("hello")
    const waiting = events.next()
    await events.return?.()
    expect(await waiting).toMatchObject({ done: true })
  })

  it("says which option is wrong, and how to put it right", () => {
    const wrong = (options: object): string => {
      try {
        make(options)
        return "accepted"
      } catch (error) {
        return error instanceof TypeError ? error.message : "another error"
      }
    }
    expect(wrong({ timeout: { total: "soon" } })).toMatch(/^timeout\.total: "soon" is not a time; give milliseconds/)
    expect(wrong({ timeout: { attempt: -5 } })).toMatch(/^timeout\.attempt: -5 is not a time/)
    expect(wrong({ retry: { base: "10 fortnights" } })).toMatch(/^retry\.base: "10 fortnights" is not a time/)
    expect(wrong({ retry: { retries: -1 } })).toMatch(/^retry\.retries: -1/)
    expect(wrong({ maxConcurrency: 0 })).toMatch(/^maxConcurrency: 0/)
    expect(wrong({ llm: { provider: "nobody", model: "m" } })).toMatch(/^llm\.provider: "nobody"/)
    expect(wrong({ llm: { provider: "openai", model: "m", baseUrl: "nowhere" } })).toMatch(/^llm\.baseUrl: "nowhere"/)
    expect(wrong({ llm: { provider: "openai" } })).toMatch(/^llm\.model/)
    expect(wrong({ concurrency: 20 })).toMatch(/^createClient\.concurrency: there is no such option; .*maxConcurrency/)
    expect(wrong({ sandbox: { provider: "cloud" } })).toBe(
      'sandbox.provider: "cloud" is not one of "local", "process", "e2b", "rest"'
    )
    expect(wrong({ sandbox: { provider: "local", sessions: 1 } })).toMatch(
      /^sandbox\.sessions: there is no such option/
    )
    expect(wrong({ sandbox: { provider: "local", maxSessions: 0 } })).toMatch(/^sandbox\.maxSessions: 0/)
    expect(wrong({ timeout: { total: "10s", attempt: "1m", idleContent: 5 } })).toBe("accepted")
  })

  it("says what is missing when there is no model and no key", async () => {
    await using none = createClient({})
    expect(await settled(none.generateText("hello"))).toMatchObject({ message: expect.stringContaining("llm: {") })
    expect(await settled(none.streamText("hello").next())).toMatchObject({ message: expect.stringContaining("llm: {") })
    delete process.env.DEEPSEEK_API_KEY
    await using keyless = createClient({ llm: { provider: "deepseek", model: "m" } })
    const error = await settled(keyless.generateText("hello"))
    expect(error).toBeInstanceOf(LlmError)
    expect(error).toMatchObject({ code: "Unauthorized", message: expect.stringContaining("DEEPSEEK_API_KEY") })
  })
})

describe("sessions", { timeout: 60_000 }, () => {
  it("keep their variables, stream their output, and end with their client", async () => {
    const before = guests()
    {
      await using client = make()
      const session = await client.createSession({ userId: "u-1", language: "python" })
      expect(session.userId).toBe("u-1")
      await session.runCode("x = 6 * 7")
      const run = await session.runCode("import sys\nprint(x)\nprint('err', file=sys.stderr)\nx")
      expect(run).toMatchObject({ outcome: "ok", stdout: "42\n", stderr: "err\n", exitCode: 0, sessionState: "kept" })
      expect(run.results[0]?.["text/plain"]).toBe("42")
      expect(run.durationMs).toBeGreaterThanOrEqual(0)
      const failing = await session.runCode("1/0")
      expect(failing).toMatchObject({ outcome: "failed", error: { name: "ZeroDivisionError" } })
      const types: Array<string> = []
      for await (const event of session.streamCode("print('a')\nprint('b')")) types.push(event.type)
      expect(types[0]).toBe("stdout")
      expect(types.at(-1)).toBe("done")
      expect(guests().length).toBeGreaterThan(before.length)
    }
    expect(guests()).toEqual(before)
  })

  it("reject what fails or takes too long when code is executed in a session of its own", async () => {
    await using client = make()
    expect(await client.executeCode("print(1)")).toMatchObject({ stdout: "1\n", outcome: "ok" })
    expect((await client.executeCode("console.log(1 + 1)", "javascript")).stdout).toBe("2\n")
    const failed = await settled(client.executeCode("raise ValueError('no')"))
    expect(failed).toBeInstanceOf(SandboxError)
    expect(failed).toMatchObject({ code: "ExecutionFailed", reason: { name: "ValueError", value: "no" } })
    const late = await settled(client.executeCode("while True: pass", "python", { timeout: 300 }))
    expect(late).toMatchObject({ code: "ExecutionTimeout", reason: { timeoutMillis: 300 } })
  })

  it("interrupt their code when the signal is aborted, and stay usable", async () => {
    await using client = make()
    const session = await client.createSession()
    const controller = new AbortController()
    const reason = new Error("enough")
    const events = session.streamCode("print('on')\nwhile True: pass", { signal: controller.signal })
    expect(await events.next()).toMatchObject({ value: { type: "stdout" } })
    controller.abort(reason)
    expect(await settled(events.next())).toBe(reason)
    expect((await session.runCode("1 + 1")).results[0]?.["text/plain"]).toBe("2")
  })
})
