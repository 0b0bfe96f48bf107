/** Scripts with a sync client in processes of their own: how they end, and what they leave behind. */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { exists } from "../sandbox/processes.ts"
import { type Answer, inTurn, serve, text } from "./server.ts"

const file = fileURLToPath(new URL("syncProgram.ts", import.meta.url))

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["--conditions=holdfast-source", ...args])
  const closed = once(child, "close")
  let output = ""
  let errors = ""
  child.stdout.on("data", (chunk) => (output += String(chunk)))
  child.stderr.on("data", (chunk) => (errors += String(chunk)))
  /** Waits until it has said this since the last time; the test's own timeout is the bound. */
  const said = async (what: RegExp): Promise<string> => {
    while (!what.test(output)) {
      if (child.exitCode !== null) throw new Error(`it ended before it said ${what}: ${output} ${errors}`)
      await Promise.race([once(child.stdout, "data"), closed])
    }
    const told = output
    output = ""
    return told
  }
  const guests = async (): Promise<ReadonlyArray<number>> => {
    const pids: ReadonlyArray<number> = JSON.parse(await said(/\n/))
    expect(pids.length).toBeGreaterThan(0)
    return pids
  }
  const type = (line: string): void => void child.stdin.write(`${line}\n`)
  return { child, closed, errors: () => errors, guests, said, type }
}

/** They are no children of ours: look until they are gone. */
const gone = async (pids: ReadonlyArray<number>): Promise<void> => {
  while (pids.some(exists)) await new Promise((resolve) => setImmediate(resolve))
}

/** Waits until one of them computes: then the call that it works for blocks. */
const busy = (pids: ReadonlyArray<number>): void => {
  const states = (): string => execFileSync("ps", ["-o", "stat=", "-p", pids.join(",")], { encoding: "utf8" })
  while (!states().includes("R"));
}

describe("a script with a sync client", { timeout: 60_000 }, () => {
  it("that forgets to close ends by itself, and its sandbox with it", async () => {
    const { closed, guests } = start(file, "forget")
    const pids = await guests()
    expect(await closed).toEqual([0, null])
    await gone(pids)
  })

  it("that throws ends with its error, and its sandbox with it", async () => {
    const { closed, errors, guests } = start(file, "throw")
    const pids = await guests()
    expect(await closed).toEqual([1, null])
    expect(errors()).toContain("Error: the script's own")
    await gone(pids)
  })

  it.each(["SIGINT", "SIGTERM"] as const)("that blocks dies of %s, and the busy sandbox with it", async (signal) => {
    const { child, closed, guests } = start(file, "block")
    const pids = await guests()
    busy(pids)
    child.kill(signal)
    expect(await closed).toEqual([null, signal])
    await gone(pids)
  })

  it("is a REPL where Ctrl-C leaves a call, and the next one is answered", async () => {
    // Only a call that has come to the server is sure to block.
    const aborted: Array<Promise<unknown>> = []
    const silent: Answer = (response) => void aborted.push(once(response, "close"))
    await using server = await serve(inTurn(silent, text("here")))
    const { child, closed, said, type } = start("-i")
    type('const { createSyncClient } = await import("holdfast/sync")')
    await said(/undefined\n> $/)
    const llm = { provider: "openai", baseUrl: server.url, apiKey: "k", model: "m" }
    type(`const client = createSyncClient(${JSON.stringify({ llm })})`)
    type('client.runCode("var x = 21", { language: "javascript" }).outcome')
    await said(/'ok'\n> $/)
    type('client.generateText("?", { timeout: "10 minutes" })')
    await server.requested(1)
    child.kill("SIGINT")
    await said(/interrupted by `SIGINT`/)
    type('client.generateText("?").text')
    await said(/'here'/)
    await Promise.all(aborted)
    expect(aborted).toHaveLength(1)
    type('client.runCode("2 * x", { language: "javascript" }).results[0]["text/plain"]')
    await said(/'42'/)
    child.stdin.end()
    expect(await closed).toEqual([0, null])
  })
})
