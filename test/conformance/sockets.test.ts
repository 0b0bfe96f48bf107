/** The rows of the failure table that are about what is left: sockets, listeners, slots. */
import { getEventListeners } from "node:events"
import { Effect, Fiber, Stream } from "effect"
import { Llm } from "holdfast/llm"
import { createClient, Draining } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { clientOptions, eventually, llmLayer, row, useServer } from "./rows.ts"

useServer()

const reason = new Error("the caller's own reason")

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe("a complete stream", () => {
  it("leaves no timer, whether it came at once or in pieces", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
    await using client = createClient(clientOptions(row("ok").url))
    await using slow = createClient(clientOptions(row("late-end").url))
    await client.generateText("hi")
    const before = timers()
    for (const one of [client, slow]) for await (const event of one.streamText("hi")) expect(event.type).not.toBe("")
    await slow.close()
    await client.close()
    expect(timers()).toBeLessThanOrEqual(before)
  })
})

describe("late-end", () => {
  it("ends the stream at [DONE] and keeps the connection", async () => {
    const { stats, url } = row("late-end")
    await using client = createClient(clientOptions(url))
    for (let at = 0; at < 3; at++) {
      let isFinished = false
      for await (const event of client.streamText("hi")) isFinished = event.type === "finish"
      expect(isFinished).toBe(true)
      // The caller has its end while the server has not even said its own.
      expect((await stats()).open).toBe(1)
      await eventually(stats, ({ open }) => open === 0)
    }
    // The client may begin again before it has read that end; then there are two connections, never one a stream.
    const seen = await stats()
    expect(seen).toMatchObject({ requests: 3, closed: 0 })
    expect(seen.connections).toBeLessThan(3)
  })
})

describe("abort-waiting", () => {
  it("aborts before the headers, rejects with the signal's reason and gives the slot back", async () => {
    const { stats, url } = row("hang")
    await using client = createClient({ ...clientOptions(url), maxConcurrency: 1 })
    const controller = new AbortController()
    const call = settled(client.generateText("hi", { signal: controller.signal }))
    await eventually(stats, ({ requests }) => requests === 1)
    controller.abort(reason)
    expect(await call).toBe(reason)
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
    const next = new AbortController()
    const second = settled(client.generateText("hi", { signal: next.signal }))
    expect((await eventually(stats, ({ requests }) => requests === 2)).requests).toBe(2)
    next.abort(reason)
    expect(await second).toBe(reason)
  })

  it("aborts in the body", async () => {
    const { stats, url } = row("stall-body")
    await using client = createClient(clientOptions(url))
    const controller = new AbortController()
    const call = settled(client.generateText("hi", { signal: controller.signal }))
    await eventually(stats, ({ requests }) => requests === 1)
    controller.abort(reason)
    expect(await call).toBe(reason)
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
  })

  it("aborts in the queue, and who stands behind it is served", async () => {
    const { stats, url } = row("hang")
    await using client = createClient({ ...clientOptions(url), maxConcurrency: 1 })
    const first = new AbortController()
    const holding = settled(client.generateText("hi", { signal: first.signal }))
    await eventually(stats, ({ requests }) => requests === 1)
    const queued = new AbortController()
    const behind = new AbortController()
    const waiting = settled(client.generateText("hi", { signal: queued.signal }))
    const third = settled(client.generateText("hi", { signal: behind.signal }))
    queued.abort(reason)
    expect(await waiting).toBe(reason)
    first.abort(reason)
    expect(await holding).toBe(reason)
    expect((await eventually(stats, ({ requests }) => requests === 2)).requests).toBe(2)
    behind.abort(reason)
    expect(await third).toBe(reason)
  })

  it("aborts during a backoff, and nothing is sent after it", async () => {
    const { stats, url } = row("exhausted")
    await using client = createClient({
      ...clientOptions(url),
      retry: { base: "1 hour", maxDelay: "1 hour", jitter: "none" },
      timeout: { total: "3 hours" }
    })
    const controller = new AbortController()
    const call = settled(client.generateText("hi", { signal: controller.signal }))
    await eventually(stats, ({ requests }) => requests === 1)
    controller.abort(reason)
    expect(await call).toBe(reason)
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
    expect((await stats()).requests).toBe(1)
  })

  it("aborts between two events of a stream, while the consumer is busy", async () => {
    const { stats, url } = row("break-early")
    await using client = createClient(clientOptions(url))
    const controller = new AbortController()
    const events = client.streamText("hi", { signal: controller.signal })
    await events.next()
    controller.abort(reason)
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
    expect(await settled(events.next())).toBe(reason)
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
  })

  it("rejects at once when the signal is aborted already", async () => {
    const { stats, url } = row("ok")
    await using client = createClient(clientOptions(url))
    const signal = AbortSignal.abort(reason)
    expect(await settled(client.generateText("hi", { signal }))).toBe(reason)
    expect(await settled(client.streamText("hi", { signal }).next())).toBe(reason)
    expect((await stats()).requests).toBe(0)
  })

  it("closes the request of an interrupted fiber", async () => {
    const { stats, url } = row("hang")
    await Effect.runPromise(
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Llm.generateText("hi"))
        yield* Effect.promise(() => eventually(stats, ({ requests }) => requests === 1))
        yield* Fiber.interrupt(fiber)
        const seen = yield* Effect.promise(() => eventually(stats, ({ closed }) => closed === 1))
        expect(seen.closed).toBe(1)
      }).pipe(Effect.provide(llmLayer(url)))
    )
  })
})

describe("break-early", () => {
  it("closes the connection when a loop is left", async () => {
    const { stats, url } = row("break-early")
    await using client = createClient({ ...clientOptions(url), maxConcurrency: 1 })
    for (let at = 1; at <= 3; at++) {
      for await (const event of client.streamText("hi")) {
        expect(event).toMatchObject({ type: "text" })
        break
      }
      expect((await eventually(stats, ({ closed }) => closed === at)).closed).toBe(at)
    }
  })

  it("closes the connection when a Stream is left", async () => {
    const { stats, url } = row("break-early")
    const first = Llm.streamText("hi").pipe(Stream.take(1), Stream.runCollect)
    const events = await Effect.runPromise(Effect.provide(first, llmLayer(url)))
    expect(events).toHaveLength(1)
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
  })
})

describe("dispose-busy", () => {
  it("closes an open stream that nobody reads, and tells who comes back to it", async () => {
    const { stats, url } = row("break-early")
    const client = createClient(clientOptions(url))
    const controller = new AbortController()
    const events = client.streamText("hi", { signal: controller.signal })
    await events.next()
    expect(await client.close()).toEqual({ finished: 0, interrupted: 1 })
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
    expect(await settled(events.next())).toBeInstanceOf(Draining)
    expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
  })

  it("lets a stream that is being read come to its end within the grace", async () => {
    const { url } = row("late-usage")
    const client = createClient(clientOptions(url))
    const events = client.streamText("hi")
    await events.next()
    const closing = client.close({ grace: "20 seconds" })
    const types: Array<string> = []
    for await (const { type } of events) types.push(type)
    expect(types.at(-1)).toBe("finish")
    expect(await closing).toEqual({ finished: 1, interrupted: 0 })
  })

  it("lets calls finish within the grace, refuses new ones and interrupts the rest", async () => {
    const { stats, url } = row("hang")
    const client = createClient(clientOptions(url))
    const controller = new AbortController()
    const finishing = settled(client.generateText("hi", { signal: controller.signal }))
    const hanging = settled(client.generateText("hi"))
    const streaming = settled(client.streamText("hi").next())
    await eventually(stats, ({ requests }) => requests === 3)
    const closing = client.close({ grace: 200 })
    controller.abort(reason)
    expect(await settled(client.generateText("hi"))).toBeInstanceOf(Draining)
    expect(await closing).toEqual({ finished: 1, interrupted: 2 })
    expect(await finishing).toBe(reason)
    expect(await hanging).toBeInstanceOf(Draining)
    expect(await streaming).toBeInstanceOf(Draining)
    expect((await eventually(stats, ({ closed }) => closed === 3)).closed).toBe(3)
    expect(await client.close()).toEqual({ finished: 1, interrupted: 2 })
  })
})
