import { existsSync, readdirSync } from "node:fs"
import { posix } from "node:path"

/** The files below a folder of the repository whose names end so, sorted; none when the folder is not there. */
export const listFiles = (folder: string, ending: string): ReadonlyArray<string> => {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith(ending) && !/(^|\/)node_modules(\/|$)/.test(entry.parentPath)
    )
    .map((entry) => posix.join(entry.parentPath, entry.name))
    .sort()
}
