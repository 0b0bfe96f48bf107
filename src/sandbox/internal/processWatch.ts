/** What a session's processes hold together, read from `/proc`. Elsewhere nothing is known, and nothing is watched. */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Timers from "node:timers"

const pageBytes = 4096

const read = (path: string): string => {
  try {
    return Fs.readFileSync(path, "latin1")
  } catch {
    return "" // the process is gone, or this system has no /proc
  }
}

const threads = (pid: number): ReadonlyArray<string> => {
  try {
    return Fs.readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

/** The children that any thread of `pid` started, and those that were left to it. */
const children = (pid: number): ReadonlyArray<number> =>
  threads(pid).flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number))

/** `pid` and everything below it, at most `limit` and one more. */
export const processesOf = (pid: number, limit: number): ReadonlyArray<number> => {
  const found = [pid]
  for (let at = 0; at < found.length && found.length <= limit; at++) {
    const parent = found[at]
    if (parent !== undefined) found.push(...children(parent))
  }
  return found.slice(0, limit + 1)
}

/** Resident bytes of these processes together; what they share is counted for each. */
export const residentBytes = (pids: ReadonlyArray<number>): number =>
  pids.reduce((sum, pid) => sum + (Number(read(`/proc/${pid}/statm`).split(" ")[1] ?? 0) || 0) * pageBytes, 0)

/** Files and folders in the guest's own file systems. They are mount points, so no link of the guest can lead astray. */
export const fileCount = (pid: number | undefined, folders: ReadonlyArray<string>): number =>
  (pid === undefined ? [] : folders).reduce((sum, folder) => {
    try {
      const { files, ffree } = Fs.statfsSync(`/proc/${pid}/root${folder}`)
      return sum + files - ffree
    } catch {
      return sum // a machine that does not let us look
    }
  }, 0)

/** How often a session is looked at: at a gigabyte a second, a guest gets 100 MB past its limit. */
const tickMillis = 100

/** Calls `look` while the process lives. Real time, and no reason to stay: it watches real processes. */
export const everyTick = (look: () => void): NodeJS.Timeout => Timers.setInterval(look, tickMillis).unref()

/** What a session without a namespace started, by asking the system; on Linux `/proc`, elsewhere `ps`. */
export const processesBelow = (pid: number): ReadonlyArray<number> => {
  if (process.platform === "linux") return processesOf(pid, 10_000).slice(1)
  const { stdout } = ChildProcess.spawnSync("/bin/ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
  const rows = (stdout ?? "").split("\n").map((line) => line.trim().split(/\s+/).map(Number))
  const found = new Set([pid])
  // A parent may be listed after its child.
  for (let before = 0; before < found.size;) {
    before = found.size
    for (const [child = 0, parent = 0] of rows) if (found.has(parent)) found.add(child)
  }
  return [...found].slice(1)
}

export const stop = (ticking: NodeJS.Timeout): void => Timers.clearInterval(ticking)
