/** The Python guest's files for the parent: Emscripten's own file system, through its own functions. */
import type { FileEntry, FileType } from "./fileFrame.ts"
import { Refusal, type GuestFiles } from "./guestFiles.ts"
import type { Engine, FileNode, FileStream, StampOf } from "./pythonFiles.ts"

// Of Emscripten's libc.
const O_RDONLY = 0
const O_WRONLY = 1
const O_CREAT = 0o100
const O_TRUNC = 0o1000
const O_APPEND = 0o2000

/** errno values of Emscripten's libc (WASI numbering) that have a meaning of their own here. */
const codes = new Map([
  [2, "EACCES"],
  [10, "EBUSY"],
  [31, "EISDIR"],
  [44, "ENOENT"],
  [51, "ENOSPC"],
  [54, "ENOTDIR"],
  [63, "EPERM"]
])

const words = new Map([
  ["EACCES", "permission denied"],
  ["EBUSY", "resource busy"],
  ["EISDIR", "is a folder"],
  ["ENOENT", "no such file or folder"],
  ["ENOSPC", "no space left on device"],
  ["ENOTDIR", "not a folder"],
  ["EPERM", "operation not permitted"]
])

const refuse = (code: string): Refusal => new Refusal(code, words.get(code) ?? code)

/** What Emscripten throws has a number and no words. */
const toRefusal = (error: unknown): unknown => {
  const number: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "errno") : undefined
  return typeof number === "number" ? refuse(codes.get(number) ?? `errno ${number}`) : error
}

const typeOf = (node: FileNode): FileType => {
  const kind = node.mode & 0o170000
  return kind === 0o100000 ? "file" : kind === 0o040000 ? "folder" : "other"
}

const bytesOf = (node: FileNode): number => (typeOf(node) === "file" ? (node.usedBytes ?? 0) : 0)

const join = (folder: string, name: string) => (folder === "/" ? `/${name}` : `${folder}/${name}`)

/** The files of a locked engine. `stampOf` is that of `limitFiles`. */
export const make = (engine: Engine, stampOf: StampOf): GuestFiles => {
  const { FS } = engine
  const attempt = <A>(f: () => A): A => {
    try {
      return f()
    } catch (error) {
      throw toRefusal(error)
    }
  }
  const find = (path: string, follow = true) => FS.lookupPath(path, { follow }).node
  // Devices answer without end, and /proc names open files of the engine: neither is a file of the guest.
  const checkFile = (node: FileNode) => {
    if (typeOf(node) === "folder") throw refuse("EISDIR")
    if (typeOf(node) === "other") throw refuse("EACCES")
  }
  const using = <A>(path: string, flags: number, f: (stream: FileStream) => A): A => {
    const stream = FS.open(path, flags)
    try {
      checkFile(stream.node)
      return f(stream)
    } finally {
      FS.close(stream)
    }
  }
  const list = (path: string): ReadonlyArray<FileEntry> =>
    FS.readdir(path)
      .filter((name) => name !== "." && name !== "..")
      .map((name) => {
        const node = find(join(path, name), false)
        return { name, type: typeOf(node), bytes: bytesOf(node), stamp: stampOf(node) }
      })
  const write = (path: string, flags: number, bytes: Uint8Array) => {
    // Opening to write empties: look first.
    const existing = exists(path) ? find(path) : undefined
    if (existing !== undefined) checkFile(existing)
    using(path, flags, (stream) => FS.write(stream, bytes, 0, bytes.length))
  }
  const exists = (path: string): boolean => {
    try {
      find(path)
      return true
    } catch (error) {
      const refusal = toRefusal(error)
      if (refusal instanceof Refusal && refusal.code === "ENOENT") return false
      throw error
    }
  }
  const remove = (path: string) => {
    // Deepest last, by hand: a guest may nest deeper than our stack.
    const folders: Array<string> = []
    const open = [path]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (typeOf(find(at, false)) === "folder") {
        folders.push(at)
        for (const { name } of list(at)) open.push(join(at, name))
      } else FS.unlink(at)
    }
    for (const folder of folders.toReversed()) FS.rmdir(folder)
  }
  const folder = (path: string) => {
    let at = ""
    for (const part of path.split("/").filter(Boolean)) {
      at = `${at}/${part}`
      if (!exists(at)) FS.mkdir(at)
      else if (typeOf(find(at)) !== "folder") throw refuse("ENOTDIR")
    }
  }
  return {
    info: (path) =>
      attempt(() => {
        const node = find(path)
        return { type: typeOf(node), bytes: bytesOf(node) }
      }),
    list: (path) => attempt(() => list(path)),
    read: (path, at, length) =>
      attempt(() =>
        using(path, O_RDONLY, (stream) => {
          const bytes = new Uint8Array(Math.max(0, Math.min(length, bytesOf(stream.node) - at)))
          return bytes.subarray(0, FS.read(stream, bytes, 0, bytes.length, at))
        })
      ),
    create: (path, bytes) => attempt(() => write(path, O_WRONLY | O_CREAT | O_TRUNC, bytes)),
    append: (path, bytes) => attempt(() => write(path, O_WRONLY | O_CREAT | O_APPEND, bytes)),
    folder: (path) => attempt(() => folder(path)),
    remove: (path) => attempt(() => remove(path))
  }
}
