/** `holdfast/promise` where there is no Node: bundled, weighed, and run in a worker that has nothing of Node. */
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { expected, startBrowserServer } from "../fixtures/browserServer.ts"
import { bundle } from "../fixtures/bundle.ts"

const chat = `import { createClient } from "holdfast/promise"
const client = createClient({ llm: { provider: "openai", apiKey: "k", baseUrl: "http://localhost/v1", model: "m" } })
export const answer = client.generateText("hi")`

// PERFORMANCE.md asks for 60 kB. Effect alone is about 57 of these: its core 25, HTTP 14, streams 10, the rest 8.
const goalBytes = 60_000
const limitBytes = 132_000

/** What Node puts into a worker; its timers and `Buffer` have to stay, where its own `fetch` reads them. */
const ofNode = ["process", "require", "module", "exports", "global"]

describe("a bundle for browsers", { timeout: 60_000 }, () => {
  it.each(["holdfast/promise", "holdfast/openai"])(
    "of %s has nothing of Node in it, loaded at once or late",
    async (name) => {
      const { chunks, unresolved } = await bundle({ file: "test/app.ts", program: `export * from "${name}"` })
      expect(unresolved).toEqual([])
      for (const { dynamicImports, imports, moduleIds } of chunks) {
        expect([...imports, ...dynamicImports].filter((id) => !/^[\w-]+\.js$/.test(id))).toEqual([])
        expect(moduleIds.filter((id) => /\/(undici|pyodide|synckit)\//.test(id))).toEqual([])
      }
    }
  )

  it("with something of Node in it is noticed", async () => {
    const { unresolved } = await bundle({ file: "test/app.ts", program: 'export * from "holdfast/sandbox"' })
    expect(unresolved.join()).toContain("node:child_process")
  })

  it("weighs no more than it did for a minimal chat call", async () => {
    const { chunks } = await bundle({ file: "test/app.ts", program: chat })
    const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]))
    // What the call loads: the program, its provider and its transport, with all that these import.
    const late = ["/llm/OpenAiLlm.ts", "/promise/internal/transport.ts", "/http/internal/fetched.ts"]
    const holding = (end: string) => chunks.filter(({ moduleIds }) => moduleIds.some((id) => id.endsWith(end)))
    for (const end of late) expect(holding(end)).toHaveLength(1)
    const loaded = new Set(
      [...chunks.filter(({ isEntry }) => isEntry), ...late.flatMap(holding)].map(({ fileName }) => fileName)
    )
    for (const name of loaded) for (const imported of byName.get(name)?.imports ?? []) loaded.add(imported)
    const bytes = [...loaded].reduce(
      (sum, name) => sum + gzipSync(byName.get(name)?.code ?? "", { level: 9 }).length,
      0
    )
    console.info(`a minimal chat call: ${bytes} bytes, gzip; the goal is ${goalBytes}, the limit here ${limitBytes}`)
    expect(bytes).toBeLessThan(limitBytes)
  })

  it("answers, streams, aborts and says what is not there, in a worker that has nothing of Node", async () => {
    const [script] = (await bundle({ file: "test/fixtures/browserApp.ts", isScript: true })).chunks
    await using server = await startBrowserServer()
    const program = `const { parentPort } = require("node:worker_threads")
for (const name of ${JSON.stringify(ofNode)}) delete globalThis[name]
;(() => {
  const [Buffer, require, process, module, exports] = []
  ${script?.code}
  app.run(${JSON.stringify(server.url)}).then((report) => parentPort.postMessage(report))
})()`
    const worker = new Worker(program, { eval: true, execArgv: [] })
    const [report] = await once(worker, "message").finally(() => worker.terminate())
    expect(report).toMatchObject(expected)
    expect(report).toMatchObject({
      noSandbox: expect.stringContaining("run code on a server"),
      noKey: expect.stringMatching(/OPENAI_API_KEY.*llm\.apiKey/)
    })
    expect(report.uploaded).toBe(report.told)
    expect(report.uploaded).toBeGreaterThan(100_000)
    await expect.poll(server.left, { timeout: 5_000 }).toBe(2)
  })
})
