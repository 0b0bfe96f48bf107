/** `holdfast/promise` in a real Chromium, in a page and in a Web Worker, against a server of another origin. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs"
import * as http from "node:http"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { text as readText } from "node:stream/consumers"
import { describe, expect, it } from "vitest"
import { expected, startBrowserServer } from "../fixtures/browserServer.ts"
import { bundle } from "../fixtures/bundle.ts"

const isRunnable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Chromium by its names on Debian and elsewhere, or what `CHROMIUM` says. */
const chromium = [
  process.env["CHROMIUM"] ?? "",
  ...(process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)))
].find(isRunnable)

type Place = "page" | "worker"

const html = `<!doctype html><script src="/page.js"></script><script>new Worker("/worker.js")</script>`

const scriptOf = (code: string, api: string, place: Place): string => `${code}
app.run(${JSON.stringify(api)})
  .catch((error) => ({ failed: String(error?.stack ?? error) }))
  .then((report) => fetch("/report/${place}", { method: "POST", body: JSON.stringify(report) }))`

/** The pages, and what they report. */
const startPages = async (code: string, api: string) => {
  const waiting = new Map<string, (report: unknown) => void>()
  const report = (place: Place): Promise<unknown> => new Promise((resolve) => waiting.set(`/report/${place}`, resolve))
  const reports = { page: report("page"), worker: report("worker") }
  const answer = async (incoming: http.IncomingMessage, outgoing: http.ServerResponse): Promise<void> => {
    const { url = "/" } = incoming
    const place = /^\/(page|worker)\.js$/.exec(url)?.[1]
    if (place === "page" || place === "worker") {
      return void outgoing.setHeader("content-type", "text/javascript").end(scriptOf(code, api, place))
    }
    const told = waiting.get(url)
    if (told === undefined) return void outgoing.setHeader("content-type", "text/html").end(html)
    told(JSON.parse(await readText(incoming)))
    outgoing.end()
  }
  const server = http.createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy())
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}/`,
    reports,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), "close")
    }
  }
}

/** Opens a page; the browser and its profile are gone at the end. */
const open = (file: string, url: string) => {
  const profile = mkdtempSync(join(tmpdir(), "holdfast-chromium-"))
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
  // In a group of its own: Chromium is many processes.
  const child = spawn(file, [...flags, `--user-data-dir=${profile}`, url], { stdio: "ignore", detached: true })
  const exited = once(child, "exit")
  return {
    exited,
    [Symbol.asyncDispose]: async () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL")
      await exited
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

describe("Chromium", () => {
  if (chromium === undefined) {
    it("needs Chromium", ({ skip }) => {
      const reason = "there is no Chromium (apt-get install chromium): holdfast/promise was NOT run in a browser"
      if (process.env["CI"] !== undefined) throw new Error(reason)
      console.warn(reason)
      skip(reason)
    })
    return
  }

  it("asks, streams, leaves, aborts and uploads across origins, in a page and in a Web Worker", async () => {
    const [script] = (await bundle({ file: "test/fixtures/browserApp.ts", isScript: true })).chunks
    await using server = await startBrowserServer()
    await using pages = await startPages(script?.code ?? "", server.url)
    await using browser = open(chromium, pages.url)
    const gone = browser.exited.then(() => {
      throw new Error("Chromium has ended without a report")
    })
    for (const place of ["page", "worker"] as const) {
      const report = await Promise.race([pages.reports[place], gone])
      expect(report).toMatchObject({
        ...expected,
        notAllowed: expect.stringMatching(/Failed to fetch; .*\(CORS\)/),
        noSandbox: expect.stringContaining("run code on a server"),
        noKey: expect.stringMatching(/OPENAI_API_KEY.*llm\.apiKey/)
      })
    }
    // A loop that was left and an abort, in each place.
    await expect.poll(server.left, { timeout: 5_000 }).toBe(4)
  }, 120_000)
})
