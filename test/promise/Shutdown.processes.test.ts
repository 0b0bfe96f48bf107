/** `closeOnSignals` in processes of their own, with real signals. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { serve, text } from "./server.ts"

const file = fileURLToPath(new URL("shutdownProgram.ts", import.meta.url))

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["--conditions=holdfast-source", file, ...args])
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  const ended = once(child, "close").then(([code]): readonly [unknown, string] => [code, output])
  return { child, ended, said: () => once(child.stdout, "data") }
}

describe("closeOnSignals in a process", { timeout: 60_000 }, () => {
  it("keeps no process alive that is done", async () => {
    expect(await start().ended).toEqual([0, ""])
  })

  it("lets a call finish after SIGTERM and its answer be put away, then exits with 143", async () => {
    let release = (): void => {}
    await using server = await serve((response, n) => {
      release = () => text("late")(response, n)
    })
    const { child, ended, said } = start(server.url)
    await server.requested(1)
    child.kill("SIGTERM")
    await said()
    release()
    const [code, output] = await ended
    expect(output.split("\n").filter(Boolean).sort()).toEqual([
      "put away: late",
      "signalled",
      '{"finished":1,"interrupted":0}'
    ])
    expect(code).toBe(143)
  })
})
