/** Clients over layers: what the layer has is asked, the rest is the options'. */
import { Effect, Layer } from "effect"
import { Embedder, Llm, LlmError } from "holdfast/llm"
import { SandboxError } from "holdfast/promise"
import { fromLayer } from "holdfast/promise/effect"
import { TestEmbedder, TestLlm, TestSandbox, VirtualTime } from "holdfast/testing"
import { describe, expect, it } from "vitest"

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe("fromLayer", () => {
  it("asks the layer's model, by every method that asks one", async () => {
    const { layer, requests } = TestLlm.make("hi")
    await using client = fromLayer(layer)
    expect((await client.generateText("hello")).text).toBe("hi")
    expect(await client.streamText("hello").text()).toBe("hi")
    const source = { jsonSchema: {}, decode: (value: unknown) => value }
    expect(await settled(client.generateObject(source, "hello", { maxAnswers: 1 }))).toMatchObject({
      code: "ObjectMismatch"
    })
    expect((await client.runTools([], "hello")).text).toBe("hi")
    expect(requests).toHaveLength(4)
  })

  it("asks each service of a layer that has several, and builds it once", async () => {
    let built = 0
    let closed = 0
    const counted = Layer.effectDiscard(
      Effect.acquireRelease(
        Effect.sync(() => built++),
        () => Effect.sync(() => closed++)
      )
    )
    const layer = Layer.mergeAll(TestLlm.layer("hi"), TestSandbox.layer("42\n"), TestEmbedder.layer(), counted)
    {
      await using client = fromLayer(layer)
      expect(built).toBe(0)
      expect((await client.generateText("hello")).text).toBe("hi")
      expect((await client.executeCode("print(6 * 7)")).stdout).toBe("42\n")
      const session = await client.createSession()
      expect((await session.runCode("1")).stdout).toBe("42\n")
      expect(await client.embed("a")).toEqual(TestEmbedder.vectorOf("a"))
      expect(built).toBe(1)
    }
    expect(closed).toBe(1)
  })

  it("says what is missing where neither the layer nor the options have it", async () => {
    await using client = fromLayer(TestSandbox.layer("1"))
    expect(await settled(client.generateText("hello"))).toMatchObject({ message: expect.stringContaining("llm: {") })
    expect(await settled(client.embed("a"))).toMatchObject({ message: expect.stringContaining("embedder: {") })
  })

  it("takes the options for what the layer does not have", async () => {
    const { baseUrl } = { baseUrl: "http://127.0.0.1:9/v1" }
    await using client = fromLayer(TestSandbox.layer("1"), {
      llm: { provider: "openai", baseUrl, model: "m" },
      retry: { retries: 0 }
    })
    expect(await settled(client.generateText("hello"))).toMatchObject({ code: "Unreachable" })
    // @ts-expect-error: a layer that no method would ask
    expect(() => fromLayer(Layer.empty, { maxConcurrency: 0 })).toThrow(/^maxConcurrency/)
  })

  it("rejects with the services' own errors", async () => {
    const overloaded = TestLlm.failure(new LlmError.Overloaded({ description: "busy" }))
    const raised = TestSandbox.raised("ValueError", "no")
    await using client = fromLayer(Layer.merge(TestLlm.layer(Effect.fail(overloaded)), TestSandbox.layer(raised)))
    expect(await settled(client.generateText("hello"))).toBe(overloaded)
    expect(await settled(client.streamText("hello").result())).toBe(overloaded)
    expect(await settled(client.executeCode("raise"))).toBeInstanceOf(SandboxError)
  })

  it("rejects with what the layer could not be built for", async () => {
    const broken = Layer.effect(Llm.Llm, Effect.fail(new Error("no disk")))
    await using client = fromLayer(broken)
    expect(await settled(client.generateText("hello"))).toEqual(new Error("no disk"))
  })

  it("ends a call at its timeout and at its client's deadline, though a double knows no times", async () => {
    const time = VirtualTime.make()
    await using client = fromLayer(time.provide(TestLlm.layer(Effect.never)))
    const late = { code: "DeadlineExceeded" }
    expect(await time.run(() => settled(client.generateText("hello", { timeout: "2 minutes" })))).toMatchObject(late)
    expect(time.elapsed()).toBeGreaterThanOrEqual(120_000)
    expect(await time.run(() => settled(client.streamText("a", { timeout: 500 }).result()))).toMatchObject(late)
    const soon = client.with({ deadline: new Date(time.now() + 60_000) })
    expect(await time.run(() => settled(soon.generateText("hello")))).toMatchObject(late)
  })

  it("ends a call for vectors at its timeout, too", async () => {
    const time = VirtualTime.make()
    await using client = fromLayer(time.provide(TestEmbedder.layer(Effect.never)))
    const late = { code: "DeadlineExceeded", inputs: 2, finished: 0 }
    expect(await time.run(() => settled(client.embedMany(["a", "b"], { timeout: "2 minutes" })))).toMatchObject(late)
    expect(time.elapsed()).toBeGreaterThanOrEqual(120_000)
    const soon = client.with({ timeout: "1 minute" })
    expect(await time.run(() => settled(soon.embed("a")))).toMatchObject({ code: "DeadlineExceeded" })
  })

  it("ends a run at its timeout, and at its client's deadline, though its double never replies", async () => {
    await using client = fromLayer(TestSandbox.layer(Effect.never))
    const run = (options: { readonly timeout?: number }) => settled(client.executeCode("1", "python", options))
    expect(await run({ timeout: 100 })).toMatchObject({ code: "ExecutionTimeout" })
    const soon = client.with({ deadline: new Date(Date.now() + 100) })
    expect(await settled(soon.executeCode("1"))).toMatchObject({ code: "DeadlineExceeded" })
  })

  it("puts a logger around the layer's services", async () => {
    const lines: Array<string> = []
    const note = (line: string) => void lines.push(line)
    const client = fromLayer(TestLlm.layer([]), { logger: { debug: note, info: note, warn: note, error: note } })
    await settled(client.generateText("hello"))
    await client.close()
    expect(lines).toEqual(["generateText failed: InvalidRequest", "closed: 0 finished, 0 interrupted"])
  })

  it("gives no chat of the openai package's shape", async () => {
    await using client = fromLayer(TestLlm.layer("hi"))
    const asked = client.chat.completions.create({ model: "m", messages: [] })
    expect(await Promise.resolve(asked).catch((error: unknown) => error)).toMatchObject({
      message: expect.stringContaining("client.chat is for llm.provider")
    })
  })

  it("stands for any layer of the service", async () => {
    const own = Layer.succeed(Embedder.Embedder, {
      embed: () =>
        Effect.succeed({ vectors: [[1, 2]], usage: { inputTokens: 1, outputTokens: 0 }, model: "m", attempts: [] })
    })
    await using client = fromLayer(own)
    expect(await client.embed("a")).toEqual([1, 2])
  })
})
