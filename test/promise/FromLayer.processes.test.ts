/** A test of a user's own, run by node:test in a process of its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const file = fileURLToPath(new URL("nodeTestProgram.ts", import.meta.url))

it("lets a test of node:test mock a model, and end", { timeout: 60_000 }, async () => {
  // Under a runner node:test tells it what it finds instead of printing it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const args = ["--conditions=holdfast-source", "--test-reporter=tap", file]
  const child = spawn(process.execPath, args, { env })
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  const [code] = await once(child, "close")
  expect(output).toMatch(/^ok 1 - greets$/m)
  expect(code).toBe(0)
})
