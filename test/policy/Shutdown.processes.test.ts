/** `Shutdown.run` in processes of their own, with real signals and a real server. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const file = fileURLToPath(new URL("shutdownProgram.ts", import.meta.url))

/** Starts the program with a grace that is never reached, if not said otherwise. */
const start = (what: string, url = "", graceSeconds = 60) => {
  const child = spawn(process.execPath, ["--conditions=holdfast-source", file, what, String(graceSeconds), url])
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  const ready = once(child.stderr, "data")
  const ended = once(child, "close").then(([code]): { readonly code: unknown; readonly output: string } => ({
    code,
    output
  }))
  const says = async (text: string): Promise<void> => {
    while (!output.includes(text)) await once(child.stdout, "data")
  }
  return { child, ended, ready, says }
}

/** A server that leaves its answers to the test. */
const server = createServer()
const requested = async (): Promise<ServerResponse> => {
  const [, response] = await once(server, "request")
  return response
}
let url = ""

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/`
})
afterAll(() => server.close())

describe.concurrent("Shutdown.run", { timeout: 60_000 }, () => {
  it("ends a program that is done with 0", async () => {
    assert.deepStrictEqual(await start("clean").ended, { code: 0, output: "done\n" })
  })

  it("ends a program that failed with 1, and says why", async () => {
    const { code, output } = await start("fails").ended
    assert.strictEqual(code, 1)
    assert.include(output, "it went wrong")
  })

  it("runs finalizers and ends with 130 after SIGINT", async () => {
    const { child, ended, ready } = start("finalizes")
    await ready
    child.kill("SIGINT")
    const { code, output } = await ended
    assert.match(output, /^finalized\n/)
    assert.strictEqual(code, 130)
  })

  it("ends with the grace, and 143, when a finalizer hangs", async () => {
    const { child, ended, ready } = start("hangs", "", 2)
    await ready
    const from = performance.now()
    child.kill("SIGTERM")
    const { code, output } = await ended
    assert.include(output, "the grace ended before the finalizers did")
    assert.strictEqual(code, 143)
    assert.isAtLeast(performance.now() - from, 1900)
  })

  it("ends at once at a second signal", async () => {
    const { child, ended, ready, says } = start("hangs")
    await ready
    child.kill("SIGTERM")
    await says("finalizing")
    const from = performance.now()
    child.kill("SIGTERM")
    const { code } = await ended
    assert.strictEqual(code, 143)
    assert.isBelow(performance.now() - from, 30_000)
  })
})

describe("Shutdown.run with calls in flight", { timeout: 60_000 }, () => {
  it("lets them finish after SIGTERM, reports, and ends with 143", async () => {
    const { child, ended, says } = start("call", url)
    const response = await requested()
    child.kill("SIGTERM")
    await says("signalled")
    response.end("late")
    const { code, output } = await ended
    assert.include(output, "answered 200\n")
    assert.include(output, "stopped by SIGTERM: 1 call finished, 0 interrupted")
    assert.strictEqual(code, 143)
  })

  it("leaves them at once after a second SIGTERM", async () => {
    const { child, ended, says } = start("call", url)
    const response = await requested()
    child.kill("SIGTERM")
    await says("signalled")
    child.kill("SIGTERM")
    const { code, output } = await ended
    response.destroy()
    assert.notInclude(output, "answered")
    assert.strictEqual(code, 143)
  })
})
