/**
 * The public API as a text file: every name behind every entry of `exports`, so that a change of it is a diff in review.
 * After a change that is meant: `UPDATE_EXPORTS=1 npx vitest run test/repo/exports.test.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import manifest from "../../package.json" with { type: "json" }

/** A name as the file shows it: types have no value at run time, errors say their tag, namespaces their own names. */
interface Entry {
  readonly name: string
  readonly note: string
  readonly inside: ReadonlyArray<Entry>
}

const sourceOf = (target: string | Readonly<Record<string, string>>): string | undefined =>
  typeof target === "string" ? undefined : target["holdfast-source"]

const isNamespace = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Reflect.get(value, Symbol.toStringTag) === "Module"

const describeValue = (value: unknown): string => {
  if (typeof value !== "function" || !(value.prototype instanceof Error)) return ""
  // Effect's tagged errors carry their tag as the prototype's name.
  return `error ${JSON.stringify(value.prototype.name)}`
}

/** The types that a file exports, `export *` followed; they are erased at run time, so they are read from the text. */
const typesOf = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(file, "utf8")
  const declared = Array.from(
    text.matchAll(/^export (?:declare )?(?:interface|type) (\w+)/gm),
    ([, name]) => name ?? ""
  )
  const listed = Array.from(text.matchAll(/^export (type )?\{([^}]*)\}/gm)).flatMap(([, all, names = ""]) =>
    names.split(",").flatMap((item) => {
      const match = /^\s*(type )?(?:\w+ as )?(\w+)\s*$/.exec(item)
      return match !== null && (all !== undefined || match[1] !== undefined) ? [match[2] ?? ""] : []
    })
  )
  const forwarded = Array.from(text.matchAll(/^export (?:type )?\* from "(\.[^"]+)"/gm)).flatMap(([, path = ""]) =>
    typesOf(join(dirname(file), path))
  )
  return [...declared, ...listed, ...forwarded]
}

const entriesOf = async (file: string, module: Readonly<Record<string, unknown>>): Promise<ReadonlyArray<Entry>> => {
  const text = readFileSync(file, "utf8")
  const namespaces = new Map(
    Array.from(text.matchAll(/^export \* as (\w+) from "(\.[^"]+)"/gm), ([, n = "", p = ""]) => [n, p])
  )
  const types = new Set(typesOf(file))
  const names = new Set([...Object.keys(module), ...types])
  return Promise.all(
    [...names].sort().map(async (name): Promise<Entry> => {
      const value = module[name]
      const path = namespaces.get(name)
      if (path !== undefined && isNamespace(value))
        return { name, note: "", inside: await entriesOf(join(dirname(file), path), value) }
      return { name, note: name in module ? describeValue(value) : "type", inside: [] }
    })
  )
}

const print = (entries: ReadonlyArray<Entry>, indent: string): string =>
  entries
    .map(
      ({ inside, name, note }) => `${indent}${name}${note === "" ? "" : ` (${note})`}\n${print(inside, `${indent}  `)}`
    )
    .join("")

const publicApi = async (): Promise<string> => {
  const sections = Object.entries(manifest.exports).map(async ([entry, target]) => {
    const source = sourceOf(target)
    const heading = entry.replace(".", "holdfast")
    if (source === undefined) return `${heading}\n`
    if (!existsSync(source)) return `${heading}\n  (not there yet)\n`
    const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(source).href)
    return `${heading}\n${print(await entriesOf(source, module), "  ")}`
  })
  return (await Promise.all(sections)).join("\n")
}

describe("exports", () => {
  it("are those of test/repo/exports.txt", async () => {
    const file = "test/repo/exports.txt"
    const actual = await publicApi()
    if (process.env.UPDATE_EXPORTS !== undefined) writeFileSync(file, actual)
    expect(actual).toBe(readFileSync(file, "utf8"))
  })
})
