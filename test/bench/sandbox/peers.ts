/** What LocalSandbox is held against: a system Python, fresh and kept, and Pyodide as it comes. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import type { Figures, Scale } from "./Figures.ts"

interface Program {
  readonly name: string
  readonly command: readonly [string, ...ReadonlyArray<string>]
}

const here = import.meta.dirname

/** The interpreter itself: the name on the PATH may be the script of a version manager, which takes ten times as long. */
const found = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" })
export const hasPython = found.status === 0
export const python = hasPython ? found.stdout.trim() : "python3"

const kept: ReadonlyArray<Program> = [
  { name: "python3, kept", command: [python, "-I", `${here}/repl.py`] },
  { name: "Pyodide as it comes", command: [process.execPath, "--no-warnings", `${here}/stock.ts`] }
]

/** Starts it, runs `1 + 1` until it answers, and goes on running as often as asked. */
const serve = async ({ command: [program, ...args] }: Program, runs: number) => {
  const start = performance.now()
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const run = async (): Promise<number> => {
    const begun = performance.now()
    child.stdin.write('"1 + 1"\n')
    if ((await lines.next()).value !== "2") throw new Error(`${program} did not answer`)
    return performance.now() - begun
  }
  await run()
  const coldMillis = performance.now() - start
  for (let i = 0; i < Math.min(200, runs); i++) await run()
  const warmMillis: Array<number> = []
  for (let i = 0; i < runs; i++) warmMillis.push(await run())
  const pages = Number(/^\d+ (\d+)/.exec(readFileSync(`/proc/${child.pid}/statm`, "utf8"))?.[1] ?? 0)
  child.stdin.end()
  await once(child, "exit")
  return { coldMillis, warmMillis, residentMegabytes: (pages * 4096) / 1e6 }
}

const fresh = (starts: number): Figures => {
  const coldMillis = Array.from({ length: starts }, () => {
    const start = performance.now()
    spawnSync(python, ["-I", "-c", "print(1 + 1)"])
    return performance.now() - start
  })
  return { name: "python3 -c", coldMillis, runsPerSecond: 1000 / (coldMillis.reduce((a, b) => a + b) / starts) }
}

/** Measures them all; without a system Python, what is left. */
export const peers = async ({ runs, starts }: Scale): Promise<ReadonlyArray<Figures>> => {
  const figures: Array<Figures> = hasPython ? [fresh(starts)] : []
  for (const program of kept) {
    if (program.command[0] === python && !hasPython) continue
    const seen = [await serve(program, runs)]
    while (seen.length < Math.min(5, starts)) seen.push(await serve(program, 1))
    const warmMillis = seen[0]?.warmMillis ?? []
    figures.push({
      name: program.name,
      coldMillis: seen.map(({ coldMillis }) => coldMillis),
      warmMillis,
      runsPerSecond: (warmMillis.length / warmMillis.reduce((a, b) => a + b, 0)) * 1000,
      residentMegabytes: seen[0]?.residentMegabytes ?? 0
    })
  }
  return figures
}
