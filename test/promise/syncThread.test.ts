/** What a caller is told when the thread that it waits for is no longer there. */
import { fileURLToPath } from "node:url"
import { SyncError } from "holdfast/sync"
import { describe, expect, it } from "vitest"
import { Thread } from "../../src/promise/internal/syncThread.ts"

const file = fileURLToPath(new URL("badThread.ts", import.meta.url))

const thrown = (f: () => unknown): unknown => {
  try {
    return f()
  } catch (error) {
    return error
  }
}

describe("a thread", () => {
  it.each([
    ["hang", "hangs", 1000],
    ["exit", "ended (Worker exited with code 3)", 20_000],
    ["crash", "ended (undefinedName is not defined)", 20_000]
  ])("that is lost by a %s is a SyncError, and so is every call after it", (code, why, fenceMillis) => {
    const thread = new Thread(file, fenceMillis)
    const ask = (): unknown =>
      thread.ask({ client: {}, maxBlockMillis: 1 }, { call: "runCode", code, options: undefined }, ask)
    const error = thrown(ask)
    expect(error).toBeInstanceOf(SyncError)
    expect(error).toMatchObject({ code: "WorkerLost", isRetryable: false, phase: "maybeSent" })
    expect(String(error)).toContain(why)
    expect(thread.isLost).toBe(true)
    expect(thrown(ask)).toBe(error)
  })

  it("that does not load says so", () => {
    const thread = new Thread(file.replace("badThread", "noThread"), 20_000)
    const ask = (): unknown => thread.ask({ client: {}, maxBlockMillis: 1 }, { call: "close" }, ask)
    expect(String(thrown(ask))).toMatch(/SyncError: the thread of this sync client ended \(.*noThread/)
  })
})
