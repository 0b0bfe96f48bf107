import { once } from "node:events"
import { createServer } from "node:http"
import { connect } from "node:net"
import { type Client, type ClosedBySignal, closeOnSignals, createClient, type SignalOptions } from "holdfast/promise"
import { describe, expect, it } from "vitest"
import { type Server, serve, text } from "./server.ts"

/** A process whose signals the test gives, and whose exit it sees. */
const makeHost = () => {
  const listeners = new Set<(signal: "SIGINT" | "SIGTERM") => void>()
  const { promise: exited, resolve } = Promise.withResolvers<number>()
  const host: NonNullable<SignalOptions["host"]> = {
    onSignal: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exit: resolve
  }
  const send = (signal: "SIGINT" | "SIGTERM"): void => listeners.forEach((listener) => listener(signal))
  return { host, send, exited, listeners }
}

const make = (server: Server): Client =>
  createClient({ llm: { provider: "openai", baseUrl: server.url, model: "some-model" } })

describe("closeOnSignals", () => {
  it("lets calls finish, tells what the client saw, then exits with the signal's code", async () => {
    let release = (): void => {}
    await using server = await serve((response, n) => {
      release = () => text("late")(response, n)
    })
    const client = make(server)
    const { exited, host, send } = makeHost()
    const order: Array<string> = []
    let seen: ClosedBySignal | undefined
    const onClosed = async (closed: ClosedBySignal): Promise<void> => {
      seen = closed
      await new Promise((resolve) => setImmediate(resolve))
      order.push("closed")
    }
    using _listening = closeOnSignals(client, { grace: "1 minute", onClosed, host })
    const answer = client.generateText("?").then(({ text }) => order.push(text))
    await server.requested(1)
    send("SIGTERM")
    await expect(client.generateText("?")).rejects.toMatchObject({ code: "Draining" })
    release()
    expect(await exited).toBe(143)
    await answer
    expect(order).toEqual(["late", "closed"])
    expect(seen).toEqual({ signal: "SIGTERM", exitCode: 143, report: { finished: 1, interrupted: 0 } })
  })

  it("closes a server with the client: answers are sent, and nobody is left connected", async () => {
    let release = (): void => {}
    await using model = await serve((response, n) => {
      release = () => text("late")(response, n)
    })
    const client = make(model)
    const { exited, host, send } = makeHost()
    const web = createServer(async (_, response) => {
      const { text } = await client.generateText("?")
      // Its end is not yet sent when the client has closed.
      response.write(text)
      setImmediate(() => response.end("."))
    }).listen(0, "127.0.0.1")
    await once(web, "listening")
    const address = web.address()
    const port = typeof address === "object" ? address?.port : undefined
    // Opened in advance: nothing is ever asked on it.
    const idle = connect(Number(port), "127.0.0.1")
    await once(idle, "connect")
    using _listening = closeOnSignals(client, { server: web, grace: "1 minute", host })
    const answer = fetch(`http://127.0.0.1:${port}`).then((response) => response.text())
    await model.requested(1)
    send("SIGTERM")
    expect(web.listening).toBe(false)
    const closed = once(web, "close")
    release()
    expect(await answer).toBe("late.")
    expect(await exited).toBe(143)
    await closed
    idle.destroy()
  })

  it("interrupts what is left at the end of the grace", async () => {
    await using server = await serve(() => {})
    const client = make(server)
    const { exited, host, send } = makeHost()
    using _listening = closeOnSignals(client, { grace: "100ms", host })
    const answer = client.generateText("?").catch((error: unknown) => error)
    await server.requested(1)
    send("SIGINT")
    expect(await answer).toMatchObject({ code: "Draining" })
    expect(await exited).toBe(130)
  })

  it("exits with the grace when the hook or the close hangs, and at once at a second signal", async () => {
    const never = new Promise<never>(() => {})
    for (const { client, onClosed } of [
      { client: { close: () => never }, onClosed: () => {} },
      { client: createClient({}), onClosed: () => never }
    ]) {
      const { exited, host, send } = makeHost()
      using _listening = closeOnSignals(client, { grace: 50, onClosed, host })
      send("SIGTERM")
      expect(await exited).toBe(143)
    }
    const { exited, host, send } = makeHost()
    using _listening = closeOnSignals({ close: () => never }, { grace: "1h", samePress: 0, host })
    send("SIGINT")
    send("SIGTERM")
    expect(await exited).toBe(130)
  })

  it("exits when the hook fails, and listens no longer when it is disposed of", async () => {
    const { exited, host, listeners, send } = makeHost()
    const onClosed = (): never => {
      throw new Error("no")
    }
    const server = createServer()
    {
      using _listening = closeOnSignals(createClient({}), { server, onClosed, host })
      send("SIGTERM")
      expect(await exited).toBe(143)
      expect(listeners.size).toBe(1)
    }
    expect(listeners.size).toBe(0)
    expect(server.listenerCount("request")).toBe(0)
    expect(() => closeOnSignals(createClient({}), { grace: -1 })).toThrow(/^closeOnSignals\.grace: -1 is not a time/)
  })
})
