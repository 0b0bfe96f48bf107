var __addDisposableResource =
  (this && this.__addDisposableResource) ||
  function (env, value, async) {
    if (value !== null && value !== void 0) {
      if (typeof value !== "object" && typeof value !== "function") throw new TypeError("Object expected.")
      var dispose, inner
      if (async) {
        if (!Symbol.asyncDispose) throw new TypeError("Symbol.asyncDispose is not defined.")
        dispose = value[Symbol.asyncDispose]
      }
      if (dispose === void 0) {
        if (!Symbol.dispose) throw new TypeError("Symbol.dispose is not defined.")
        dispose = value[Symbol.dispose]
        if (async) inner = dispose
      }
      if (typeof dispose !== "function") throw new TypeError("Object not disposable.")
      if (inner)
        dispose = function () {
          try {
            inner.call(this)
          } catch (e) {
            return Promise.reject(e)
          }
        }
      env.stack.push({ value: value, dispose: dispose, async: async })
    } else if (async) {
      env.stack.push({ async: true })
    }
    return value
  }
var __disposeResources =
  (this && this.__disposeResources) ||
  (function (SuppressedError) {
    return function (env) {
      function fail(e) {
        env.error = env.hasError ? new SuppressedError(e, env.error, "An error was suppressed during disposal.") : e
        env.hasError = true
      }
      var r,
        s = 0
      function next() {
        while ((r = env.stack.pop())) {
          try {
            if (!r.async && s === 1) return ((s = 0), env.stack.push(r), Promise.resolve().then(next))
            if (r.dispose) {
              var result = r.dispose.call(r.value)
              if (r.async)
                return (
                  (s |= 2),
                  Promise.resolve(result).then(next, function (e) {
                    fail(e)
                    return next()
                  })
                )
            } else s |= 1
          } catch (e) {
            fail(e)
          }
        }
        if (s === 1) return env.hasError ? Promise.reject(env.error) : Promise.resolve()
        if (env.hasError) throw env.error
      }
      return next()
    }
  })(
    typeof SuppressedError === "function"
      ? SuppressedError
      : function (error, suppressed, message) {
          var e = new Error(message)
          return ((e.name = "SuppressedError"), (e.error = error), (e.suppressed = suppressed), e)
        }
  )
/** The rows of the failure table that are about what is left: sockets, listeners, slots. */
import { getEventListeners } from "node:events"
import { Effect, Fiber, Stream } from "effect"
import { Llm } from "holdfast/llm"
import { createClient, Draining } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { clientOptions, eventually, llmLayer, row, useServer } from "./rows.js"
useServer()
const reason = new Error("the caller's own reason")
const settled = (promise) => promise.catch((error) => error)
describe("late-end", () => {
  it("ends the stream at [DONE] and keeps the connection", async () => {
    const env_1 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("late-end")
      const client = __addDisposableResource(env_1, createClient(clientOptions(url)), true)
      for (let at = 0; at < 5; at++) {
        let isFinished = false
        for await (const event of client.streamText("hi")) isFinished = event.type === "finish"
        expect(isFinished).toBe(true)
        // The caller has its end while the server has not even said its own.
        expect((await stats()).open).toBe(1)
        await eventually(stats, ({ open }) => open === 0)
      }
      // The client may begin again before it has read that end; then there are two connections, never one a stream.
      const seen = await stats()
      expect(seen).toMatchObject({ requests: 5, closed: 0 })
      expect(seen.connections).toBeLessThan(4)
    } catch (e_1) {
      env_1.error = e_1
      env_1.hasError = true
    } finally {
      const result_1 = __disposeResources(env_1)
      if (result_1) await result_1
    }
  })
})
describe("abort-waiting", () => {
  it("aborts before the headers, rejects with the signal's reason and gives the slot back", async () => {
    const env_2 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("hang")
      const client = __addDisposableResource(env_2, createClient({ ...clientOptions(url), maxConcurrency: 1 }), true)
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
    } catch (e_2) {
      env_2.error = e_2
      env_2.hasError = true
    } finally {
      const result_2 = __disposeResources(env_2)
      if (result_2) await result_2
    }
  })
  it("aborts in the body", async () => {
    const env_3 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("stall-body")
      const client = __addDisposableResource(env_3, createClient(clientOptions(url)), true)
      const controller = new AbortController()
      const call = settled(client.generateText("hi", { signal: controller.signal }))
      await eventually(stats, ({ requests }) => requests === 1)
      controller.abort(reason)
      expect(await call).toBe(reason)
      expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
      expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
    } catch (e_3) {
      env_3.error = e_3
      env_3.hasError = true
    } finally {
      const result_3 = __disposeResources(env_3)
      if (result_3) await result_3
    }
  })
  it("aborts in the queue, and who stands behind it is served", async () => {
    const env_4 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("hang")
      const client = __addDisposableResource(env_4, createClient({ ...clientOptions(url), maxConcurrency: 1 }), true)
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
    } catch (e_4) {
      env_4.error = e_4
      env_4.hasError = true
    } finally {
      const result_4 = __disposeResources(env_4)
      if (result_4) await result_4
    }
  })
  it("aborts during a backoff, and nothing is sent after it", async () => {
    const env_5 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("exhausted")
      const client = __addDisposableResource(
        env_5,
        createClient({
          ...clientOptions(url),
          retry: { base: "1 hour", maxDelay: "1 hour", jitter: "none" },
          timeout: { total: "3 hours" }
        }),
        true
      )
      const controller = new AbortController()
      const call = settled(client.generateText("hi", { signal: controller.signal }))
      await eventually(stats, ({ requests }) => requests === 1)
      controller.abort(reason)
      expect(await call).toBe(reason)
      expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
      expect((await stats()).requests).toBe(1)
    } catch (e_5) {
      env_5.error = e_5
      env_5.hasError = true
    } finally {
      const result_5 = __disposeResources(env_5)
      if (result_5) await result_5
    }
  })
  it("aborts between two events of a stream, while the consumer is busy", async () => {
    const env_6 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("break-early")
      const client = __addDisposableResource(env_6, createClient(clientOptions(url)), true)
      const controller = new AbortController()
      const events = client.streamText("hi", { signal: controller.signal })
      await events.next()
      controller.abort(reason)
      expect((await eventually(stats, ({ closed }) => closed === 1)).closed).toBe(1)
      expect(await settled(events.next())).toBe(reason)
      expect(getEventListeners(controller.signal, "abort")).toHaveLength(0)
    } catch (e_6) {
      env_6.error = e_6
      env_6.hasError = true
    } finally {
      const result_6 = __disposeResources(env_6)
      if (result_6) await result_6
    }
  })
  it("rejects at once when the signal is aborted already", async () => {
    const env_7 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("ok")
      const client = __addDisposableResource(env_7, createClient(clientOptions(url)), true)
      const signal = AbortSignal.abort(reason)
      expect(await settled(client.generateText("hi", { signal }))).toBe(reason)
      expect(await settled(client.streamText("hi", { signal }).next())).toBe(reason)
      expect((await stats()).requests).toBe(0)
    } catch (e_7) {
      env_7.error = e_7
      env_7.hasError = true
    } finally {
      const result_7 = __disposeResources(env_7)
      if (result_7) await result_7
    }
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
    const env_8 = { stack: [], error: void 0, hasError: false }
    try {
      const { stats, url } = row("break-early")
      const client = __addDisposableResource(env_8, createClient({ ...clientOptions(url), maxConcurrency: 1 }), true)
      for (let at = 1; at <= 3; at++) {
        for await (const event of client.streamText("hi")) {
          expect(event).toMatchObject({ type: "text" })
          break
        }
        expect((await eventually(stats, ({ closed }) => closed === at)).closed).toBe(at)
      }
    } catch (e_8) {
      env_8.error = e_8
      env_8.hasError = true
    } finally {
      const result_8 = __disposeResources(env_8)
      if (result_8) await result_8
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
