/** Many sandbox sessions, opened and closed, killed and interrupted: no process, descriptor or file is left. */
import { Effect, Fiber } from "effect"
import { createClient } from "holdfast/promise"
import { LocalSandbox, Sandbox, type SandboxError } from "holdfast/sandbox"
import { assert, describe, it } from "vitest"
import { descriptors, guests, temporaryFiles } from "../sandbox/processes.ts"
import { atScale } from "./scale.ts"

describe("many sessions", { timeout: 1_800_000 }, () => {
  it("leaves nothing behind", async () => {
    const total = atScale(1000)
    const before = { guests: guests(), descriptors: descriptors(), files: temporaryFiles() }
    const one = (n: number) =>
      Effect.gen(function* () {
        // Python takes five times as long to start, and leaves no more behind.
        const language = n % 8 === 0 ? "python" : "javascript"
        const session = yield* Sandbox.create({ language })
        const run = yield* session.runCode(language === "python" ? `x = ${n}\nx` : `let x = ${n}; x`)
        assert.strictEqual(run.results[0]?.["text/plain"], String(n))
        if (n % 5 !== 0) return
        // Every fifth session is left in the middle of an endless run.
        const loop = language === "python" ? "while True: pass" : "while (true) {}"
        const fiber = yield* Effect.forkChild(session.runCode(loop), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.scoped)
    const all: Effect.Effect<void, SandboxError.SandboxError, Sandbox.Sandbox> = Effect.forEach(
      Array.from({ length: total }, (_, n) => n),
      one,
      { concurrency: 2, discard: true }
    )
    await Effect.runPromise(Effect.provide(all, LocalSandbox.layer()))
    assert.deepStrictEqual({ guests: guests(), descriptors: descriptors(), files: temporaryFiles() }, before)
  })

  it("go to who waits in the order of their classes", async () => {
    const sandbox = { provider: "local", languages: ["javascript"], maxSessions: 1 } as const
    await using client = createClient({ sandbox })
    const first = await client.createSession({ language: "javascript" })
    const made: Array<string> = []
    const next = async (priority: "high" | "normal" | "low") => {
      await using session = await client.createSession({ language: "javascript", priority })
      made.push(`${priority} ${(await session.runCode("6 * 7")).results[0]?.["text/plain"]}`)
    }
    const waiting = [next("low"), next("normal"), next("high")]
    await first.close()
    await Promise.all(waiting)
    assert.deepStrictEqual(made, ["high 42", "normal 42", "low 42"])
  })
})
