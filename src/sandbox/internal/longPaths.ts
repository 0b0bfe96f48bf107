/** Bounds the paths that the Python engine's system calls take, before the engine's glue reads them. */
import { pathChars } from "./guestFiles.ts"
import { isImport, withSignature, type Import } from "./imports.ts"
import type { Engine } from "./pythonFiles.ts"

/**
 * Which arguments of an import are paths. The glue makes JavaScript strings and arrays of a path before it looks at its
 * length, and walks it without a pause: a long one would take a gigabyte, or minutes.
 */
export const positions: ReadonlyMap<string, ReadonlyArray<number>> = new Map([
  ["__syscall_chdir", [0]],
  ["__syscall_chmod", [0]],
  ["__syscall_faccessat", [1]],
  ["__syscall_fchmodat2", [1]],
  ["__syscall_fchownat", [1]],
  ["__syscall_lstat64", [0]],
  ["__syscall_mkdirat", [1]],
  ["__syscall_newfstatat", [1]],
  ["__syscall_openat", [1]],
  ["__syscall_readlinkat", [1]],
  ["__syscall_renameat", [1, 3]],
  ["__syscall_rmdir", [0]],
  ["__syscall_stat64", [0]],
  ["__syscall_statfs64", [0]],
  ["__syscall_symlinkat", [0, 2]],
  ["__syscall_truncate64", [0]],
  ["__syscall_unlinkat", [1]],
  ["__syscall_utimensat", [1]]
])

// Of Emscripten's libc.
const ENAMETOOLONG = -37

/** Whether no NUL ends the text at `pointer` within PATH_MAX. While the engine boots, nothing is too long. */
const isTooLong = (engine: Engine | undefined, pointer: number): boolean =>
  engine !== undefined && engine.HEAPU8.subarray(pointer, pointer + pathChars + 1).indexOf(0) < 0

/** Wraps the imports in place: a path over the limit answers `ENAMETOOLONG`. */
export const install = (imports: Record<string, unknown>, engine: () => Engine | undefined): void => {
  for (const [name, at] of positions) {
    const open = imports[name]
    if (!isImport(open)) throw new Error(`the engine has no ${name}`)
    const bound: Import = (...args) =>
      at.some((position) => isTooLong(engine(), Number(args[position]) >>> 0)) ? ENAMETOOLONG : open(...args)
    imports[name] = withSignature(bound, open)
  }
}
