/** The embedded sandbox against a system Python, against Pyodide as it comes, and against the goals. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { median, rounds } from "../Bench.ts"
import { isBuilt } from "../imports.ts"
import { digits, type Report, type Table } from "../Report.ts"
import type { Figures, Scale } from "./Figures.ts"
import { hasPython, peers, python } from "./peers.ts"

const built = isBuilt()
const source = built ? [] : ["--conditions=holdfast-source"]

const scale: Scale = { starts: rounds, runs: rounds * 200 }

// On every core, unlike the other suites: a session is a process beside the one that made it.
const measured = async (language: string): Promise<Figures> => {
  const file = fileURLToPath(new URL("ours.ts", import.meta.url))
  const args = [...source, "--no-warnings", file, language, `${scale.starts}`, `${scale.runs}`]
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  const ended = new AbortController()
  const failed = once(child, "exit", ended).then(([code]) => Promise.reject(new Error(`ours.ts ended with ${code}`)))
  const [figures] = await Promise.race([once(child, "message", ended), failed])
  ended.abort()
  return figures
}

const dataset = fileURLToPath(new URL("../../../../shared/data/HumanEval.jsonl", import.meta.url))

/** HumanEval's canonical solutions, checked eight at a time. `NaN` where the data or Python is not here. */
const humanEval = () => {
  const main = fileURLToPath(new URL(`../../../${built ? "dist/cli/main.js" : "src/cli/main.ts"}`, import.meta.url))
  const harness = fileURLToPath(new URL("humanEval.py", import.meta.url))
  if (!existsSync(dataset) || !hasPython) return { ours: Number.NaN, theirs: Number.NaN, passed: "" }
  const flags = ["--offline", "--answers", "canonical_solution", "--concurrency", "8"]
  const start = performance.now()
  const solved = spawnSync(process.execPath, [...source, main, "solve", dataset, ...flags], {
    encoding: "utf8"
  })
  const ours = performance.now() - start
  const checked = spawnSync(python, ["-I", harness, dataset, "8"], { encoding: "utf8" })
  const theirs: { readonly millis: number; readonly passed: number } = JSON.parse(checked.stdout)
  const passed = /passed \d+ of \d+/.exec(solved.stdout)?.[0] ?? "passed none"
  return { ours, theirs: theirs.millis, passed: `${passed}; ${theirs.passed}` }
}

const quantile = (values: ReadonlyArray<number>, at: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * at))] ?? Number.NaN

const cell = (value: number | undefined): string => (value === undefined || Number.isNaN(value) ? "" : digits(value))
const middle = (values: ReadonlyArray<number> | undefined): number | undefined => values && median(values)

const startTable = (all: ReadonlyArray<Figures>): Table => ({
  title: `From nothing to an answer, p50, and what is held (${built ? "dist" : "src, its types stripped in each session: build first"})`,
  head: ["", "ms", "without a snapshot, ms", "made ahead, ms", "fresh sessions/s", "MB"],
  rows: all.map((one) => [
    one.name,
    cell(middle(one.coldMillis)),
    cell(middle(one.bareMillis)),
    cell(middle(one.pooledMillis)),
    cell(one.sessionsPerSecond),
    cell(one.residentMegabytes)
  ])
})

const runTable = (all: ReadonlyArray<Figures>): Table => ({
  title: "Runs in a session, one after another",
  head: ["", "p50, ms", "p99, ms", "runs/s", "output, MB/s"],
  rows: all.map((one) => [
    one.name,
    cell(one.warmMillis && quantile(one.warmMillis, 0.5)),
    cell(one.warmMillis && quantile(one.warmMillis, 0.99)),
    cell(one.runsPerSecond),
    cell(one.outputPerSecond)
  ])
})

const stopTable = (all: ReadonlyArray<Figures>): Table => ({
  title: "Stops, p50: how late",
  head: ["", "interrupted, ms", "past the timeout, ms", "past timeout and grace, a loop in C, ms"],
  rows: all.map((one) => [
    one.name,
    cell(middle(one.cancelMillis)),
    cell(middle(one.softMillis)),
    cell(middle(one.hardMillis))
  ])
})

const goalsOf = (kind: string, one: Figures): Readonly<Record<string, number>> => ({
  [`sandbox/${kind}/cold`]: middle(one.coldMillis) ?? Number.NaN,
  [`sandbox/${kind}/bare`]: middle(one.bareMillis) ?? Number.NaN,
  [`sandbox/${kind}/pooled`]: middle(one.pooledMillis) ?? Number.NaN,
  [`sandbox/${kind}/p50`]: quantile(one.warmMillis ?? [], 0.5),
  [`sandbox/${kind}/p99`]: quantile(one.warmMillis ?? [], 0.99),
  [`sandbox/${kind}/sessions`]: one.sessionsPerSecond ?? Number.NaN,
  [`sandbox/${kind}/runs`]: one.runsPerSecond ?? Number.NaN,
  [`sandbox/${kind}/cancel`]: middle(one.cancelMillis) ?? Number.NaN,
  [`sandbox/${kind}/soft`]: middle(one.softMillis) ?? Number.NaN,
  [`sandbox/${kind}/hard`]: middle(one.hardMillis) ?? Number.NaN,
  [`sandbox/${kind}/resident`]: one.residentMegabytes ?? Number.NaN
})

export const sandbox = async (): Promise<Report> => {
  const python = await measured("python")
  const javascript = await measured("javascript")
  const theirs = await peers(scale)
  const { ours, passed, theirs: harness } = humanEval()
  const held: Table = {
    title: "HumanEval, 164 canonical solutions, eight at a time",
    head: ["", "s", "passed"],
    rows: [
      ["holdfast solve --concurrency 8", cell(ours / 1000), passed.split("; ")[0] ?? ""],
      ["python3, a process per problem", cell(harness / 1000), passed.split("; ")[1] ?? ""]
    ]
  }
  return {
    tables: [
      startTable([python, javascript, ...theirs]),
      runTable([python, javascript, ...theirs]),
      stopTable([python, javascript]),
      ...(Number.isNaN(ours) ? [] : [held])
    ],
    measured: { ...goalsOf("python", python), ...goalsOf("javascript", javascript) }
  }
}
