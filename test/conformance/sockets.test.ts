/** The rows of the failure table that are about what is left: sockets, listeners, slots. */
import { getEventListeners } from "node:events"
import { Effect, Fiber, Layer, Stream } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { createClient, Draining } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { clientOptions, eventually, everyOpenDoor, llmLayer, openDoors, type Options, row, useServer } from "./rows.ts"

useServer()

const reason = new Error("the caller's own reason")

const resources = (name: string): number => process.getActiveResourcesInfo().filter((one) => one === name).length

/** What this process holds of the system. The next `expectNoMore` compares. */
const held = () => ({ sockets: resources("TCPSocketWrap"), timers: resources("Timeout") })

/** Waits for the system, which closes a socket some turns after it was told to. */
const expectNoMore = async (before: ReturnType<typeof held>, stats: () => Promise<unknown>): Promise<void> => {
  const isGone = (now = held()): boolean => now.sockets <= before.sockets && now.timers <= before.timers
  for (const until = performance.now() + 5_000; !isGone() && performance.now() < until;) await stats()
  expect(held().sockets).toBeLessThanOrEqual(before.sockets)
  expect(held().timers).toBeLessThanOrEqual(before.timers)
}

const abortable = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(reason) }
}

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

describe.each(openDoors)("late-end through the $name", ({ open }) => {
  it("ends the stream at [DONE] and keeps the connection", async () => {
    const { stats, url } = row("late-end")
    // With one connection at the most, the next stream waits for the tail instead of opening another.
    const client = await open(url, { maxConcurrency: 1 })
    for (let at = 0; at < 3; at++) {
      let last = ""
      for await (const event of client.stream()) last = event.type
      expect(last).toBe("finish")
      // The caller has its end while the server has not even said its own.
      expect((await stats()).open).toBe(1)
    }
    await eventually(stats, ({ open: answering }) => answering === 0)
    expect(await stats()).toMatchObject({ requests: 3, connections: 1, closed: 0 })
    await client.close()
  })
})

describe.each(everyOpenDoor)("late-end through the $name", ({ open }) => {
  it.each(["late-end-long", "late-tail"])("gives up a connection in the end: %s", async (id) => {
    const { stats, url } = row(id)
    const client = await open(url)
    let last = ""
    for await (const event of client.stream()) last = event.type
    expect(last).toBe("finish")
    const seen = await eventually(stats, ({ closed }) => closed === 1)
    expect(seen).toMatchObject({ requests: 1, closed: 1, open: 0 })
    // Of 16 MiB no more was sent than the buffers of two sockets hold.
    expect(seen.written).toBeLessThan(12 * 2 ** 20)
    await client.close()
  })
})

describe.each(everyOpenDoor)("slow-consumer through the $name", ({ open }) => {
  /** Waits until the server writes no more. */
  const standstill = async (stats: () => Promise<{ readonly written: number }>): Promise<number> => {
    for (let last = -1; ;) {
      const { written } = await stats()
      if (written === last) return written
      last = written
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  }

  it("holds the server back instead of keeping what nobody has read", async () => {
    const { stats, url } = row("flood")
    const client = await open(url)
    const before = process.memoryUsage().arrayBuffers
    let characters = 0
    let texts = 0
    for await (const event of client.stream()) {
      if (event.type !== "text") continue
      characters += event.text.length
      if (++texts !== 1000) continue
      expect(await standstill(stats)).toBeLessThan(24 * 2 ** 20)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 2 ** 20)
    }
    expect((await stats()).written).toBeGreaterThan(47 * 2 ** 20)
    // Nothing is lost: each event has ten characters.
    expect(characters).toBe(texts * 10)
    expect(texts).toBeGreaterThan(400_000)
    await client.close()
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

  const ask = Effect.asVoid(Llm.generateText("hi"))
  const readAll = Stream.runDrain(Llm.streamText("hi"))
  const slow: Options = { retry: { minDelay: "1 hour" }, timeout: { total: "3 hours" } }
  interface Place {
    readonly place: string
    readonly id: string
    readonly call: Effect.Effect<void, unknown, Llm.Llm>
    /** How many of its requests the server sees closed. */
    readonly closes: number
    readonly options?: Options
  }
  // Where the call is when its fiber is interrupted.
  const places: ReadonlyArray<Place> = [
    { place: "before the headers", id: "hang", call: ask, closes: 1 },
    { place: "in the body", id: "stall-body", call: ask, closes: 1 },
    { place: "during a backoff", id: "exhausted", call: ask, closes: 0, options: slow },
    { place: "before a stream's headers", id: "hang", call: readAll, closes: 1 },
    { place: "before a stream's first content", id: "stall-first", call: readAll, closes: 1 },
    { place: "between two events", id: "break-early", call: readAll, closes: 1 }
  ]
  it.each(places)("leaves nothing of a fiber that is interrupted $place", async ({ call, closes, id, options }) => {
    const { stats, url } = row(id)
    await stats()
    const before = held()
    const program = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(call)
      yield* Effect.promise(() => eventually(stats, ({ requests }) => requests === 1))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(fiber)
      const seen = yield* Effect.promise(() => eventually(stats, ({ closed, open }) => closed === closes && open === 0))
      expect(seen).toMatchObject({ requests: 1, closed: closes, open: 0 })
      // The slot is back: the next call is sent.
      const next = yield* Effect.forkChild(call)
      const again = yield* Effect.promise(() => eventually(stats, ({ requests }) => requests === 2))
      expect(again.requests).toBe(2)
      yield* Fiber.interrupt(next)
    })
    await Effect.runPromise(Effect.provide(program, llmLayer(url, { ...options, maxConcurrency: 1 })))
    await expectNoMore(before, stats)
  })

  it("leaves the queue when a fiber in it is interrupted, and who stands behind it is served", async () => {
    const { stats, url } = row("hang")
    const program = Effect.gen(function* () {
      const holding = yield* Effect.forkChild(ask)
      yield* Effect.promise(() => eventually(stats, ({ requests }) => requests === 1))
      const queued = yield* Effect.forkChild(ask, { startImmediately: true })
      const behind = yield* Effect.forkChild(ask, { startImmediately: true })
      yield* Fiber.interrupt(queued)
      yield* Fiber.interrupt(holding)
      const seen = yield* Effect.promise(() => eventually(stats, ({ closed, requests }) => requests + closed === 3))
      expect(seen).toMatchObject({ requests: 2, closed: 1, open: 1 })
      yield* Fiber.interrupt(behind)
    })
    await Effect.runPromise(Effect.provide(program, llmLayer(url, { maxConcurrency: 1 })))
    expect(await eventually(stats, ({ closed }) => closed === 2)).toMatchObject({ requests: 2, closed: 2, open: 0 })
  })

  it("takes no place in a rate limit for a call that was aborted in the queue", async () => {
    const { stats, url } = row("hang")
    await using client = createClient({
      ...clientOptions(url),
      maxConcurrency: 1,
      rateLimit: { requestsPerMinute: 2 }
    })
    const [first, queued, next, last] = [abortable(), abortable(), abortable(), abortable()]
    const calls = [first, queued].map(({ signal }) => settled(client.generateText("hi", { signal })))
    await eventually(stats, ({ requests }) => requests === 1)
    queued.abort()
    first.abort()
    expect(await Promise.all(calls)).toEqual([reason, reason])
    // Of two requests in a minute one was sent: there is another, and no third.
    const second = settled(client.generateText("hi", { signal: next.signal }))
    expect((await eventually(stats, ({ requests }) => requests === 2)).requests).toBe(2)
    next.abort()
    const third = settled(client.generateText("hi", { signal: last.signal }))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect((await stats()).requests).toBe(2)
    last.abort()
    expect(await Promise.all([second, third])).toEqual([reason, reason])
  })

  it("leaves no socket, timer or listener of a client whose calls were all aborted", async () => {
    const { stats, url } = row("hang")
    await stats()
    const before = held()
    const { abort, signal } = abortable()
    {
      await using client = createClient({ ...clientOptions(url), maxConcurrency: 4 })
      const calls = Array.from({ length: 10 }, () => settled(client.generateText("hi", { signal })))
      await eventually(stats, ({ requests }) => requests === 4)
      abort()
      expect(new Set(await Promise.all(calls))).toEqual(new Set([reason]))
    }
    expect(getEventListeners(signal, "abort")).toHaveLength(0)
    const seen = await eventually(stats, ({ alive, closed }) => alive === 0 && closed === 4)
    expect(seen).toMatchObject({ requests: 4, closed: 4, open: 0, alive: 0 })
    await expectNoMore(before, stats)
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

  it("drains an open policy: new calls are refused, and the report says who finished", async () => {
    const { stats, url } = row("hang")
    const program = Effect.gen(function* () {
      const policy = yield* Policy.open(Policy.defaults)
      const llm = OpenAiLlm.layer({ baseUrl: url, model: "m", policy }).pipe(Layer.provide(UndiciHttpClient.layer()))
      const call = Effect.flip(Llm.generateText("hi"))
      const all = Effect.gen(function* () {
        const finishing = yield* Effect.forkChild(call)
        const hanging = yield* Effect.forkChild(call)
        const streaming = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Llm.streamText("hi"))))
        yield* Effect.promise(() => eventually(stats, ({ requests }) => requests === 3))
        const draining = yield* Effect.forkChild(policy.drain("300 millis"), { startImmediately: true })
        yield* Fiber.interrupt(finishing)
        expect(yield* call).toMatchObject({ code: "Draining", phase: "notSent" })
        expect(yield* Fiber.join(draining)).toEqual({ finished: 1, interrupted: 2 })
        expect((yield* Fiber.join(hanging)).code).toBe("Draining")
        expect((yield* Fiber.join(streaming)).code).toBe("Draining")
      })
      yield* Effect.provide(all, llm)
    })
    await Effect.runPromise(Effect.scoped(program))
    const seen = await eventually(stats, ({ closed }) => closed === 3)
    expect(seen).toMatchObject({ requests: 3, closed: 3, open: 0 })
  })
})
