/** The guest processes of this test process, as `ps` sees them. */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"

interface Row {
  readonly pid: number
  readonly parent: number
  readonly bytes: number
  readonly command: string
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return "" // it ended meanwhile
  }
}

const threads = (pid: number): ReadonlyArray<string> => {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return [] // it ended meanwhile
  }
}

/** From `/proc`, which costs a millisecond; a `ps` costs fifty, and some tests look ten times a second. */
const procRows = (parent: number): ReadonlyArray<Row> =>
  threads(parent).flatMap((task) =>
    read(`/proc/${parent}/task/${task}/children`)
      .split(" ")
      .filter(Boolean)
      .flatMap((child) => {
        const pid = Number(child)
        const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")
        const pages = Number(read(`/proc/${pid}/statm`).split(" ")[1] ?? 0)
        const isZombie = /^State:\s+Z/m.test(read(`/proc/${pid}/status`))
        const row = { pid, parent, bytes: pages * 4096, command: isZombie ? "<defunct>" : command }
        return [row, ...(isZombie ? [] : procRows(pid))]
      })
  )

const rows = (): ReadonlyArray<Row> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,rss=,args="], { encoding: "utf8", maxBuffer: 64 << 20 })
    .split("\n")
    .flatMap((line) => {
      const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(line)
      return match === null
        ? []
        : [{ pid: Number(match[1]), parent: Number(match[2]), bytes: Number(match[3]) * 1024, command: match[4] ?? "" }]
    })

const below = (): ReadonlyArray<Row> => {
  if (existsSync(`/proc/self/task/${process.pid}/children`)) return procRows(process.pid)
  const all = rows()
  const found = new Set([process.pid])
  for (let before = 0; before < found.size;) {
    before = found.size
    for (const row of all) if (found.has(row.parent)) found.add(row.pid)
  }
  return all.filter((row) => row.pid !== process.pid && found.has(row.pid))
}

const descendants = (): ReadonlyArray<Row> =>
  below().filter((row) => /internal\/guest\.|process(Keeper|Javascript)\.|python3 -I -u -c|<defunct>/.test(row.command))

/** Process ids of guests and of zombies below this process. */
export const guests = (): ReadonlyArray<number> => descendants().map((row) => row.pid)

/** Of them, those that run code: a wall stands before a guest as two processes more. */
export const engines = (): ReadonlyArray<number> =>
  descendants().flatMap((row) => (/^\S*bwrap /.test(row.command) ? [] : [row.pid]))

/** What the largest guest holds. The others are warm ones, which nobody uses yet. */
export const guestBytes = (): number => descendants().reduce((most, row) => Math.max(most, row.bytes), 0)

/** Whether a process exists. */
export const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Our files in the system's temporary folder. */
export const temporaryFiles = (): ReadonlyArray<string> =>
  readdirSync(tmpdir()).filter((name) => name.startsWith(`holdfast-${process.pid}-`))

/** Open descriptors of this process; `0` where the system does not say. */
export const descriptors = (): number => {
  try {
    return readdirSync("/proc/self/fd").length
  } catch {
    return 0
  }
}
