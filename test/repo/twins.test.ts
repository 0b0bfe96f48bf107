/** The page for those who come from Python: each row names what shows it, and what it names is there. */
import { existsSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { describe, expect, it } from "vitest"

const page = "docs/migrate-from-python.md"

interface Row {
  readonly heading: string
  /** The first cell. */
  readonly what: string
  /** What the last cell links, relative to the repository. */
  readonly shownBy: ReadonlyArray<string>
}

/** Where a table's links lead: inline ones, and by the definitions `[name]: path` at the page's end. */
const linksOf = (cell: string, definitions: ReadonlyMap<string, string>): ReadonlyArray<string> =>
  Array.from(cell.matchAll(/\[([^\]]+)\](?:\(([^)#]+)[^)]*\)|\[([^\]]+)\])?/g), ([, text = "", path, label = text]) =>
    posix.join("docs", path ?? definitions.get(label) ?? `${label} is not defined`)
  )

const definitionsOf = (text: string): ReadonlyMap<string, string> =>
  new Map(Array.from(text.matchAll(/^\[([^\]]+)\]: (\S+)$/gm), ([, label = "", path = ""]) => [label, path]))

/** The rows of the page's tables, without their heads. */
const rowsOf = (text: string): ReadonlyArray<Row> => {
  const definitions = definitionsOf(text)
  let heading = ""
  let isBody = false
  return text.split("\n").flatMap((line): ReadonlyArray<Row> => {
    heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading
    if (!line.startsWith("|")) isBody = false
    if (/^\|[-| ]+\|$/.test(line)) {
      isBody = true
      return []
    }
    if (!isBody) return []
    const cells = line.split(/(?<!\\)\|/).slice(1, -1)
    return [{ heading, what: cells[0]?.trim() ?? "", shownBy: linksOf(cells.at(-1) ?? "", definitions) }]
  })
}

/** The other form of an example: with promises, or with Effect. */
const twinOf = (path: string): string =>
  path.endsWith(".promise.ts") ? path.replace(/\.promise\.ts$/, ".ts") : path.replace(/\.ts$/, ".promise.ts")

const isExample = (path: string): boolean => path.startsWith("examples/")

const rows = rowsOf(readFileSync(page, "utf8"))
const told = ({ heading, what }: Row): string => `${heading}: ${what}`

describe(page, () => {
  it("links in each row what shows it", () => {
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.filter(({ shownBy }) => shownBy.length === 0).map(told)).toEqual([])
  })

  it("names no example that is not there", () => {
    const named = rows.flatMap(({ shownBy }) => shownBy)
    expect(named.filter((path) => !existsSync(path))).toEqual([])
  })

  it("links both forms of an example that has two", () => {
    const lonely = rows.flatMap(({ shownBy }) =>
      shownBy.filter((path) => isExample(path) && existsSync(twinOf(path)) && !shownBy.includes(twinOf(path)))
    )
    expect(lonely).toEqual([])
  })

  it.each([
    "DeepExec SDK",
    "Cloud.ru Evolution client",
    "Asynchronous programming course, day 14",
    "Code Interpreter SDK",
    "Vector database client"
  ])("has an example for each row of the %s", (system) => {
    const described = rows.filter(({ heading }) => heading === system)
    expect(described.length).toBeGreaterThan(0)
    expect(described.filter(({ shownBy }) => !shownBy.some(isExample)).map(told)).toEqual([])
  })

  it("reads rows and their links", () => {
    const text = `## A

| a         | by                                          |
| --------- | ------------------------------------------- |
| \`x \\| y\` | [n] ([promises][n.promise]), [o](o.md#part) |
| z         | [gone]                                      |

| no table |

[n]: ../examples/n.ts
[n.promise]: ../examples/n.promise.ts
`
    expect(rowsOf(text)).toEqual([
      { heading: "A", what: "`x \\| y`", shownBy: ["examples/n.ts", "examples/n.promise.ts", "docs/o.md"] },
      { heading: "A", what: "z", shownBy: ["docs/gone is not defined"] }
    ])
  })
})
