import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { listFiles } from "../repo/listFiles.ts"
import { median, rounds, runOnce } from "./Bench.ts"
import type { Cold } from "./cold.ts"
import { digits, type Report } from "./Report.ts"

const names = ["openai", "ai", "effect", "holdfast/promise"]

/** What users load is `dist`; it counts when it is there and no source is newer. */
export const isBuilt = (): boolean => {
  const root = join(import.meta.dirname, "../..")
  const built = join(root, "dist/index.js")
  return (
    existsSync(built) &&
    listFiles(join(root, "src"), ".ts").every((file) => statSync(file).mtimeMs < statSync(built).mtimeMs)
  )
}

/** Cold starts: a new process for each, in turns. */
export const imports = async (origin: string): Promise<Report> => {
  const built = isBuilt()
  const colds = new Map<string, Array<Cold>>(names.map((name) => [name, []]))
  for (let i = -1; i < rounds; i++) {
    for (const [name, seen] of colds) {
      const cold = await runOnce<Cold>(["cold.ts", name, `${origin}/unary`], built ? [] : undefined)
      // The first round fills the disk's cache.
      if (i >= 0) seen.push(cold)
    }
  }
  const ratioOf = (name: string, of: (cold: Cold) => number): number =>
    median((colds.get(name) ?? []).map((cold, i) => of(cold) / of(colds.get("openai")?.[i] ?? cold)))
  const importMillis = (cold: Cold): number => cold.importMillis
  const answerMillis = (cold: Cold): number => cold.answerMillis
  return {
    tables: [
      {
        title: `Cold start (holdfast from ${built ? "dist" : "src, its types stripped on the way: build first"})`,
        head: ["", "import, ÷ openai", "ms", "to the first answer, ÷ openai", "ms"],
        rows: names.map((name) => [
          name,
          digits(ratioOf(name, importMillis)),
          digits(median((colds.get(name) ?? []).map(importMillis))),
          digits(ratioOf(name, answerMillis)),
          digits(median((colds.get(name) ?? []).map(answerMillis)))
        ])
      }
    ],
    measured: { "import/promise": ratioOf("holdfast/promise", importMillis) }
  }
}
