/** Text of models and guests in the page: it is text there, whatever it says. */
import { createHash } from "node:crypto"
import { assert, describe, it } from "vitest"
import { Tally } from "../../src/cli/internal/reportFigures.ts"
import { render } from "../../src/cli/internal/reportPage.ts"
import { four, harmful, hostile } from "../fixtures/batchRecords.ts"

const chartJs = "globalThis.Chart = class {}"

const pageOf = (records: ReadonlyArray<(typeof four)[number]>, about = {}): string => {
  const tally = new Tally()
  for (const record of records) tally.add(record)
  return render(tally.toFigures(), { name: "out.jsonl", total: undefined, isTorn: false, ...about }, chartJs)
}

const elements = (page: string, name: string): ReadonlyArray<string> =>
  Array.from(page.matchAll(new RegExp(`<${name}>([^]*?)</${name}>`, "g")), ([, text = ""]) => text)

describe("page of a report", () => {
  it("has no element and no attribute that a record has written", () => {
    const page = pageOf([hostile], { name: harmful })
    assert.notInclude(page, "<img")
    assert.notInclude(page, "<svg onload")
    assert.notInclude(page, "<!--")
    for (const letter of ["\u202e", "\u0000"]) assert.notInclude(page, letter)
    // The data, Chart.js and our own.
    assert.strictEqual(page.match(/<script/g)?.length, 3)
    assert.strictEqual(page.match(/<\/script/g)?.length, 3)
    // Every quote that a record has written is escaped: what is left belongs to our attributes.
    assert.notMatch(page.slice(0, page.indexOf("<script")), /="[^"]*"(?![\s/>])/)
    assert.include(page, "&lt;img src=x onerror=&quot;document.title=&#39;harmed&#39;&quot;&gt;")
  })

  it("gives the script its data as they are", () => {
    const page = pageOf([hostile])
    const [, text = ""] = /<script type="application\/json" id="data">([^]*?)<\/script>/.exec(page) ?? []
    assert.notMatch(text, /[<>&\u2028\u2029]/)
    const data = JSON.parse(text)
    assert.match(data.outcomes[0].name, /^<\/script><script>/)
    assert.deepStrictEqual(data.bars[0].slice(0, 4), [0, 10, 0, 0])
  })

  it("allows its own style and scripts alone, by their hash, and nothing from elsewhere", () => {
    const page = pageOf(four)
    const [, policy = ""] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? []
    const directives = new Map(
      policy
        .replaceAll("&#39;", "'")
        .split("; ")
        .map((directive) => {
          const [name = "", ...values] = directive.split(" ")
          return [name, values]
        })
    )
    const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`
    assert.deepStrictEqual(directives.get("default-src"), ["'none'"])
    assert.deepStrictEqual(directives.get("script-src"), elements(page, "script").map(hash))
    assert.deepStrictEqual(directives.get("style-src"), elements(page, "style").map(hash))
    assert.notMatch(page, /\s(?:style|on\w+)="/)
    assert.notMatch(page, /\b(?:src|href)="(?!data:,")/)
  })

  it("says the figures in words and tables, without a script", () => {
    const text = pageOf(four)
      .replaceAll(/<[^>]*>/g, " ")
      .replaceAll(/\s+/g, " ")
    for (const said of [
      "75 % done 3 of 4 items, 1 of them answered by an equal item before",
      "Attempts 5 1 retry, 1 hedge",
      "Wall time 3.00 s",
      "Time of an item (p50) 1.00 s p95 3.00 s, p99 3.00 s",
      "Tokens 45 30 in, 15 out",
      "Cost $0.75",
      "30 Nov 2026, 18:00:00 to 18:00:03 UTC",
      "5 attempts, 3 at once at the most.",
      "3 attempts failed and 1 retry was made; 1 item failed in the end.",
      "Timeout no answer came in 3 s request req-1"
    ])
      assert.include(text, said)
  })

  it("names each chart for who does not see it", () => {
    const labels = Array.from(
      pageOf(four).matchAll(/<canvas\s+id="(\w+)"\s+role="img"\s+aria-label="([^"]+)"/g),
      ([, id, label = ""]) => [id, label.split(".")[0]]
    )
    assert.deepStrictEqual(labels, [
      ["bars", "Attempts over time"],
      ["histogram", "Time of an item"],
      ["reasons", "Failures by reason"],
      ["tokens", "Tokens over time"],
      ["cost", "Cost over time"]
    ])
  })

  it("says what is missing", () => {
    const page = pageOf(four, { total: 10, isTorn: true })
    assert.include(page, "The batch is not at its end: 6 items of 10 have no record yet.")
    assert.include(page, "The last line of the file was cut off and is left out.")
  })

  it("says that nothing was asked, where every item is a copy", () => {
    const page = pageOf(four.filter(({ duplicateOf }) => duplicateOf !== undefined))
    assert.include(page, "Nothing was asked.")
    assert.notInclude(page, "<canvas")
    assert.notMatch(page.slice(page.indexOf("<body"), page.indexOf("<script")), /NaN|Infinity|undefined|1970/)
  })
})
