/** Runs a program that works on jobs, twice until it is killed in the middle, then to its end. */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"

/** Resolves with "joined", or "killed" once it has said that it did `runs` runs. */
const runOnce = (file: string, args: ReadonlyArray<string>, runs: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=holdfast-source", file, ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let words = ""
    let last = ""
    child.stderr.on("data", (bytes) => {
      words += String(bytes)
    })
    createInterface(child.stdout).on("line", (line) => {
      last = line
      if (Number(line) >= runs) child.kill("SIGKILL")
    })
    child.on("close", (code, signal) => {
      if (signal === "SIGKILL") resolve("killed")
      else if (code === 0) resolve(last)
      else reject(new Error(`exit ${code}: ${words}`))
    })
  })

export const runKilledTwice = async (
  file: string,
  args: ReadonlyArray<string>,
  count: number
): Promise<ReadonlyArray<string>> => {
  const ends: Array<string> = []
  for (const runs of [count / 3, count / 3, Infinity]) ends.push(await runOnce(file, args, runs))
  return ends
}
