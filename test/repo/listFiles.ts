import { existsSync, readdirSync } from "node:fs"
import { posix } from "node:path"

/** The files below a folder of the repository whose names end so, sorted; none when the folder is not there. */
export const listFiles = (folder: string, ending: string): ReadonlyArray<string> => {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name)
      // Not entered at all: the benchmarks' node_modules link back to this repository.
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : listFiles(path, ending)
      return entry.isFile() && entry.name.endsWith(ending) ? [path] : []
    })
    .sort()
}
