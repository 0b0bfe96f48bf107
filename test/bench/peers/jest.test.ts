/** A test of a user's own, run by jest in a process of its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const folder = fileURLToPath(new URL("programs/jest", import.meta.url))
const jest = createRequire(import.meta.url).resolve("jest/bin/jest")

it("lets a test of jest mock a model, and ends", { timeout: 120_000 }, async () => {
  const args = ["--experimental-vm-modules", jest, "--config", `${folder}/jest.config.mjs`, "--rootDir", folder]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] })
  let told = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (told += text))
  const [code] = await once(child, "close")
  expect(told).toMatch(/✓ greets/)
  expect(told).toMatch(/^Tests: +1 passed, 1 total$/m)
  expect(told).not.toContain("did not exit")
  expect(code).toBe(0)
})
