/** The guest processes of this test process, as `ps` sees them. */
import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { tmpdir } from "node:os"
const rows = () =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,rss=,args="], { encoding: "utf8", maxBuffer: 64 << 20 })
    .split("\n")
    .flatMap((line) => {
      const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(line)
      return match === null
        ? []
        : [{ pid: Number(match[1]), parent: Number(match[2]), bytes: Number(match[3]) * 1024, command: match[4] ?? "" }]
    })
const descendants = () => {
  const all = rows()
  const found = new Set([process.pid])
  for (let before = 0; before < found.size;) {
    before = found.size
    for (const row of all) if (found.has(row.parent)) found.add(row.pid)
  }
  return all.filter(
    (row) => row.pid !== process.pid && found.has(row.pid) && /internal\/guest\.|<defunct>/.test(row.command)
  )
}
/** Process ids of guests and of zombies below this process. */
export const guests = () => descendants().map((row) => row.pid)
/** What all guests hold together. */
export const guestBytes = () => descendants().reduce((sum, row) => sum + row.bytes, 0)
/** Whether a process exists. */
export const exists = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
/** Our files in the system's temporary folder. */
export const temporaryFiles = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`holdfast-${process.pid}-`))
/** Open descriptors of this process; `0` where the system does not say. */
export const descriptors = () => {
  try {
    return readdirSync("/proc/self/fd").length
  } catch {
    return 0
  }
}
