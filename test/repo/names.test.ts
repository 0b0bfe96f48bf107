/** A file is named by the one noun that is inside; its test is named after it. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { listFiles } from "./listFiles.ts"

const forbidden = /^(utils?|helpers?|common|shared|types|constants|misc|base)$/i
const affix = /^I[A-Z]|(Impl|Manager|Service|Base|Utils?|Helpers?)$/

/** Module names that Effect has: a reader must not have to ask which one is meant (`promise` is for those without Effect). */
const ofEffect = new Set(
  ["", "ai", "encoding", "http", "persistence", "process"].flatMap((folder) =>
    readdirSync(`node_modules/effect/src/${folder}`).map((name) => name.replace(/\.ts$/, ""))
  )
)

/** What is wrong with the path of a source file, relative to src. */
const misnamed = (path: string): string | undefined => {
  const parts = path.split("/")
  const name = (parts.pop() ?? "").replace(/\.ts$/, "")
  const wrongFolder = parts.find((part) => !/^[a-z]+$/.test(part) || forbidden.test(part))
  if (wrongFolder !== undefined) return `the folder "${wrongFolder}" is not a lower-case singular noun`
  if (forbidden.test(name)) return `"${name}" says nothing about what is inside`
  if (name === "index") return undefined
  if (parts.includes("internal") || parts[0] === "cli")
    return /^[a-z][a-zA-Z0-9]*$/.test(name) ? undefined : "internal files and command words are lower-case"
  if (!/^[A-Z][a-zA-Z0-9]*$/.test(name)) return "files are PascalCase nouns"
  if (affix.test(name)) return `"${name}" has an empty affix`
  if (parts[0] !== "promise" && ofEffect.has(name)) return `Effect has a module "${name}"`
  return undefined
}

/** Folders of test that do not mirror src. */
const free = new Set(["contract", "conformance", "fixtures", "repo", "types", "bench", "soak"])

/** What is wrong with the path of a test file, relative to test. `Policy.order.test.ts` is an aspect of `Policy.ts`. */
const misplaced = (path: string, sources: ReadonlySet<string>): string | undefined => {
  const parts = path.split("/")
  if (parts.length > 1 && free.has(parts[0] ?? "")) return undefined
  const name = (parts.pop() ?? "").replace(/(\.[a-zA-Z0-9-]+)?\.test\.ts$/, "")
  const candidates = [
    [...parts, name],
    [...parts, "internal", name]
  ].map((path) => `${path.join("/")}.ts`)
  return candidates.some((candidate) => sources.has(candidate)) ? undefined : `there is no src/${candidates[0]}`
}

const wrong = (paths: ReadonlyArray<string>, check: (path: string) => string | undefined): ReadonlyArray<string> =>
  paths.flatMap((path) => {
    const reason = check(path)
    return reason === undefined ? [] : [`${path}: ${reason}`]
  })

const sources = listFiles("src", "")
  .map((path) => path.slice("src/".length))
  .filter((path) => path !== "tsconfig.json")

describe("names", () => {
  it("names each source file by a noun", () => {
    expect(wrong(sources, misnamed)).toEqual([])
  })

  it("keeps in src only what tsc compiles", () => {
    expect(sources.filter((path) => !path.endsWith(".ts"))).toEqual([])
  })

  it("keeps no compiled copies beside the sources", () => {
    const written = ["test", "examples"].flatMap((folder) => listFiles(folder, ".js"))
    expect(written.filter((path) => existsSync(path.replace(/\.js$/, ".ts")))).toEqual([])
  })

  it("has no default export in src", () => {
    const found = sources.filter(
      (path) =>
        // Programs import the class of the openai package so, and change that line alone.
        path !== "promise/OpenAi.ts" && /^export default\b|\bas default\b/m.test(readFileSync(`src/${path}`, "utf8"))
    )
    expect(found).toEqual([])
  })

  it("names each test after the source it tests", () => {
    const tests = listFiles("test", ".test.ts").map((path) => path.slice("test/".length))
    expect(wrong(tests, (path) => misplaced(path, new Set(sources)))).toEqual([])
  })

  it("names each example by a question, verb first", () => {
    const files = listFiles("examples", ".ts").filter(
      (path) => !/^examples\/[a-z0-9]+(-[a-z0-9]+)+(\.promise)?\.ts$/.test(path)
    )
    expect(files).toEqual([])
  })

  it.each([
    "policy/utils.ts",
    "shared/Retry.ts",
    "policy/retry.ts",
    "llm/LlmService.ts",
    "llm/internal/OpenAi.ts",
    "cli/Run.ts",
    "policy/Schedule.ts"
  ])("refuses %s", (path) => {
    expect(misnamed(path)).toBeDefined()
  })

  it.each(["policy/Retry.ts", "llm/internal/openai.ts", "llm/index.ts", "cli/solve.ts", "promise/Schedule.ts"])(
    "allows %s",
    (path) => {
      expect(misnamed(path)).toBeUndefined()
    }
  )

  it("refuses a test without a source", () => {
    const known = new Set(["policy/Retry.ts", "llm/internal/openai.ts"])
    expect(misplaced("policy/Retry.test.ts", known)).toBeUndefined()
    expect(misplaced("policy/Retry.budget.test.ts", known)).toBeUndefined()
    expect(misplaced("llm/openai.test.ts", known)).toBeUndefined()
    expect(misplaced("contract/llm.test.ts", known)).toBeUndefined()
    expect(misplaced("policy/Backoff.test.ts", known)).toBeDefined()
  })
})
