/** Each TypeScript fence of the documents runs; `expr // => value` is asserted. One that cannot says why: `ts skip: reason`. */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { assertions, fencesOf } from "./fences.ts"
import { listFiles } from "./listFiles.ts"

const documents = ["README.md", ...listFiles("docs", ".md"), ...listFiles("src", ".ts")]

describe("docs", () => {
  for (const file of documents.filter((file) => existsSync(file))) {
    for (const { info, line } of fencesOf(file)) {
      const skip = /^skip: \S.+/.test(info)
      it.skipIf(skip)(`${file}:${line}${skip ? ` (${info})` : ""}`, async () => {
        expect(info, "a fence either runs or says `skip: reason`").toBe("")
        await import(/* @vite-ignore */ `${resolve(file)}.L${line}.ts`)
      })
    }
  }

  it("runs fences as modules and asserts what stands right of the arrow", async () => {
    const fixture = resolve("test/repo/fixtures/fences.md")
    const outcomes = await Promise.all(
      fencesOf(fixture).map(({ line }) =>
        import(/* @vite-ignore */ `${fixture}.L${line}.ts`).then(
          () => "passes",
          (error: Error) => error.message.split("\n")[0]
        )
      )
    )
    expect(outcomes).toEqual([
      "passes",
      "expected 2 to deeply equal 3",
      "expected [ 1 ] to deeply equal [ 2 ]",
      "expected { b: 1 } to deeply equal { b: 2 }",
      "`// =>` follows no expression"
    ])
  })

  it("keeps the lines of the document", () => {
    const [first] = fencesOf("test/repo/fixtures/fences.md")
    expect(assertions(first?.code ?? "", []).split("\n")[first?.line ?? 0]).toBe('import { Effect } from "effect"')
  })
})
