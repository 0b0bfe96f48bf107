/** A real redis-server of a test file's own, on a Unix socket. Where there is none, CI fails and others are told. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, vi } from "vitest"

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0

export const isSkipped = !hasRedis && process.env.CI !== "true"

/** What the name of a suite says where it is skipped. */
export const notice = isSkipped ? " (skipped: there is no redis-server; apt-get install redis-server)" : ""

/** Starts it for the tests of a file and ends it after them. */
export const useRedis = () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-redis-"))
  const path = join(folder, "redis.sock")
  let server: ChildProcess | undefined
  beforeAll(async () => {
    if (isSkipped) return
    expect(hasRedis, "CI needs redis-server").toBe(true)
    const options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder]
    server = spawn("redis-server", options, { stdio: "ignore" })
    await vi.waitFor(() => expect(existsSync(path)).toBe(true), { timeout: 20_000 })
  })
  afterAll(() => {
    server?.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  })
  return { path, signal: (signal: NodeJS.Signals) => server?.kill(signal) }
}
