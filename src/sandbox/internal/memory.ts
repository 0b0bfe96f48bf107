/** How much memory a process and its descendants hold, read from `/proc`. Elsewhere nothing is known. */
import * as Fs from "node:fs"

const pageBytes = 4096

const read = (path: string): string => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return "" // the process is gone, or this system has no /proc
  }
}

/** Resident bytes of `pid` and its children, theirs included. `0` where it cannot be known. */
export const residentBytes = (pid: number, depth = 0): number => {
  const own = Number(read(`/proc/${pid}/statm`).split(" ")[1] ?? 0) * pageBytes
  // bubblewrap stands two processes before the guest.
  const children = depth < 3 ? read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean) : []
  return children.reduce((sum, child) => sum + residentBytes(Number(child), depth + 1), own || 0)
}
