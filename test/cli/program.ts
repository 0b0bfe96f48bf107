/** The `holdfast` program as a person starts it: a process of its own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { CodeAgent } from "holdfast/agent"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  /** The test writes to it, and ends it. */
  readonly isStdinOpen?: boolean
}

/** A started program. */
export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Waits until stderr holds this text. */
  readonly says: (text: string) => Promise<void>
}

/** Starts the program with nothing in its environment but `PATH`, `HOME`, what makes starts fast, and what is given. */
export const start = (args: ReadonlyArray<string>, options: Options = {}): Started => {
  const { HOME = "", NODE_COMPILE_CACHE = "", PATH = "" } = process.env
  const child = spawn(process.execPath, ["--conditions=holdfast-source", main, ...args], {
    env: { HOME, PATH, NODE_COMPILE_CACHE, ...options.env },
    stdio: ["pipe", "pipe", "pipe"]
  })
  if (options.isStdinOpen !== true) child.stdin.end(options.stdin ?? "")
  const output = { stdout: "", stderr: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text))
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, ...output })))
  const says = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!output.stderr.includes(text)) return
        child.stderr.off("data", look)
        resolve()
      }
      child.stderr.on("data", look)
      child.on("close", () => reject(new Error(`ended without saying ${text}: ${output.stderr}`)))
      look()
    })
  return { child, ended, says }
}

/** Runs the program to its end. */
export const holdfast = (args: ReadonlyArray<string>, options?: Options): Promise<Ended> => start(args, options).ended

const made: Array<string> = []
process.once("exit", () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
})

/** A new directory with these files in it, until the tests end; returns the path of each. */
export const files = <Name extends string>(
  contents: Readonly<Record<Name, string>>
): Record<Name, string> & { directory: string } => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-cli-"))
  made.push(directory)
  const paths: Record<string, string> = { directory }
  for (const [name, content] of Object.entries<string>(contents)) {
    paths[name] = join(directory, name)
    writeFileSync(join(directory, name), content)
  }
  // Every name of `contents` has been given its path above.
  return paths as Record<Name, string> & { directory: string }
}

/** JSON, one line for each value. */
export const lines = (values: ReadonlyArray<unknown>): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join("")

/** A task whose answer in `answers` decides what happens. */
export const task = (id: string, tests = "assert one() == 1"): CodeAgent.Task => ({
  id,
  language: "python",
  prompt: `Write one() that returns 1. This is ${id}.`,
  entryPoint: "one",
  tests
})

/** The processes below a process, at any depth. */
export const descendants = (pid: number): ReadonlyArray<number> => {
  const table = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
  const below = (parent: number): ReadonlyArray<number> =>
    table.flatMap(([child = 0, of]) => (of === parent ? [child, ...below(child)] : []))
  return below(pid)
}

/** Whether a process is there and runs; a zombie does not. */
export const isAlive = (pid: number): boolean => {
  try {
    return !execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" })
      .trim()
      .startsWith("Z")
  } catch {
    return false
  }
}
