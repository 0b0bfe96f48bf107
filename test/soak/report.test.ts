/** The report's page in a real Chromium, and the memory that a large batch takes. */
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { fileURLToPath, pathToFileURL } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as Report from "../../src/cli/internal/report.ts"
import { four, hostile, linesOf, many } from "../fixtures/batchRecords.ts"
import { chromium, openBrowser } from "../fixtures/browserPage.ts"
import { isWhole } from "./scale.ts"

const directory = mkdtempSync(join(tmpdir(), "holdfast-report-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

const fileOf = (name: string, records: Iterable<unknown>): string => {
  const path = join(directory, `${name}.jsonl`)
  writeFileSync(path, linesOf(records))
  return path
}

describe("report in Chromium", { timeout: 120_000 }, () => {
  const browser = chromium
  if (browser === undefined) {
    it("needs Chromium", ({ skip }) => {
      const reason = "there is no Chromium (apt-get install chromium): the report was NOT opened in a browser"
      if (process.env["CI"] !== undefined) throw new Error(reason)
      console.warn(reason)
      skip(reason)
    })
    return
  }
  let page: Awaited<ReturnType<typeof openBrowser>>
  beforeAll(async () => {
    page = await openBrowser(browser)
  })
  afterAll(() => page[Symbol.asyncDispose]())

  const open = async (name: string, records: Iterable<unknown>, screen = {}): Promise<void> => {
    const asked = { records: fileOf(name, records), report: join(directory, `${name}.html`) }
    await Effect.runPromise(Effect.provide(Report.write(asked), NodeFileSystem.layer))
    for (const said of [page.problems, page.requests]) said.length = 0
    await page.load(pathToFileURL(asked.report).href, screen)
  }
  /** How many colours each chart has, by its name: one that is blank has one. */
  const colours = () =>
    page.evaluate(`Object.fromEntries(Array.from(document.querySelectorAll("canvas"), (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true })
      copy.drawImage(canvas, 0, 0)
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height)
      return [canvas.id, new Set(new Uint32Array(data.buffer)).size]
    }))`)
  /** Nothing is wrong, and nothing was asked for but the page itself. */
  const isQuiet = (): void => {
    expect(page.problems).toEqual([])
    expect(page.requests.filter((request) => !request.includes('"url":"data:'))).toHaveLength(1)
  }
  const text = async (selector: string): Promise<string> =>
    String(await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`)).replaceAll(/\s+/g, " ")

  it("draws every chart of a thousand items, in light, in dark and on paper", async () => {
    await open("thousand", many(1000))
    const drawn = { bars: 4, histogram: 4, reasons: 4, tokens: 4, cost: 4 }
    const all = Object.fromEntries(Object.keys(drawn).map((id) => [id, expect.toSatisfy((n: number) => n >= 4)]))
    expect(await colours()).toEqual(all)
    expect(await text("h1")).toBe("thousand.jsonl")
    expect(await text(".result")).toBe("99 % done 990 of 1,000 items")
    expect(await text(".tiles")).toContain("1,100 100 retries")
    expect(await text(".tiles")).toContain("$0.99")
    const colour = `Chart.getChart("tokens").data.datasets[0].borderColor`
    const light = await page.evaluate(colour)
    await page.setScheme("dark")
    await expect.poll(() => page.evaluate(colour), { timeout: 60_000 }).not.toBe(light)
    expect(await colours()).toEqual(all)
    expect((await page.pdf()).subarray(0, 5).toString()).toBe("%PDF-")
    await expect
      .poll(() => page.evaluate(`document.documentElement.dataset.paper === undefined`), { timeout: 60_000 })
      .toBe(true)
    expect(await colours()).toEqual(all)
    isQuiet()
  })

  it("says that ten thousand items are too many for a bar each, and draws what was in flight", async () => {
    await open("tenThousand", many(10_000))
    expect(await colours()).toMatchObject({ flight: expect.toSatisfy((n: number) => n >= 4), bars: expect.anything() })
    expect(await text("figure")).toContain("11,000 attempts are too many to draw each")
    expect(await text("figure")).toContain("The first 1,000 attempts, one by one.")
    isQuiet()
  })

  it("shows the text of models and guests as text", async () => {
    await open("hostile", [hostile, ...four.slice(1)])
    expect(await page.evaluate("document.title")).toBe("Batch report: hostile.jsonl")
    expect(await page.evaluate(`document.querySelectorAll("img, [onload], [onerror], b > script").length`)).toBe(0)
    expect(await text(".text p")).toContain(`<img src=x onerror="document.title='harmed'">`)
    isQuiet()
  })

  it("fits a narrow screen", async () => {
    await open("narrow", many(300), { width: 360 })
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360)
    isQuiet()
  })
})

/** Makes the page of a file in a process with this much memory for JavaScript's objects. */
const reportWithin = async (records: string, heapMegabytes: number): Promise<void> => {
  const flags = ["--conditions=holdfast-source", `--max-old-space-size=${heapMegabytes}`]
  const child = spawn(process.execPath, [...flags, main, "report", records], { stdio: "pipe" })
  let said = ""
  for (const output of [child.stdout, child.stderr]) output.on("data", (text) => (said += String(text)))
  const [code] = await once(child, "close")
  expect({ code, said }).toMatchObject({ code: 0 })
}

// Half a minute; that no more is kept than the page shows, is a test of the figures, too.
describe.skipIf(!isWhole)("report of a large batch", () => {
  it("reads half a million records in the memory of a few", { timeout: 300_000 }, async () => {
    const path = join(directory, "large.jsonl")
    const lines = function* () {
      let text = ""
      for (const record of many(500_000)) {
        text += `${JSON.stringify(record)}\n`
        if (text.length < 65_536) continue
        yield text
        text = ""
      }
      yield text
    }
    await pipeline(Readable.from(lines()), createWriteStream(path))
    await reportWithin(path, 96)
  })
})
