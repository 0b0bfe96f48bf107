/** What the guest process does with its files when the parent asks. Each engine has its own file system behind it. */
import {
  pageEntries,
  pieceBytes,
  type FileAnswer,
  type FileEntry,
  type FileReply,
  type FileRequest,
  type FileType
} from "./fileFrame.ts"

/** Where relative paths begin. */
export const home = "/home/user"

/** PATH_MAX of Linux. */
export const pathChars = 4096

/** A file operation that cannot be done, with the name that POSIX gives to the reason. */
export class Refusal extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** A file system. Paths are absolute and clean. What cannot be done throws `Refusal`. */
export interface GuestFiles {
  readonly info: (path: string) => { readonly type: FileType; readonly bytes: number }
  readonly list: (path: string) => ReadonlyArray<FileEntry>
  /** Fewer than `length` bytes only at the end of the file. */
  readonly read: (path: string, at: number, length: number) => Uint8Array
  /** Empties the file or makes it, in a folder that exists. */
  readonly create: (path: string, bytes: Uint8Array) => void
  readonly append: (path: string, bytes: Uint8Array) => void
  /** Makes a folder and those above it; nothing happens where it exists. */
  readonly folder: (path: string) => void
  /** Removes a file, or a folder with all that it holds. */
  readonly remove: (path: string) => void
}

/** `path` without `.`, `..` and empty parts, absolute, from `base`. */
export const absolute = (path: string, base: string = home): string => {
  const parts: Array<string> = []
  for (const part of `${path.startsWith("/") ? "" : base}/${path}`.split("/")) {
    if (part === "..") parts.pop()
    else if (part !== "" && part !== ".") parts.push(part)
  }
  return `/${parts.join("/")}`
}

/** The folder that `path` is in. */
export const parent = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/"

const byName = (a: FileEntry, b: FileEntry) => (a.name < b.name ? -1 : 1)

const done: FileAnswer = { kind: "done" }

const perform = (files: GuestFiles, request: FileRequest): FileAnswer => {
  const path = absolute(request.path)
  if (path.length > pathChars) throw new Refusal("ENAMETOOLONG", "the path is too long")
  if (path.includes("\0")) throw new Refusal("EINVAL", "a path holds no NUL")
  switch (request.op) {
    case "info":
      return { kind: "info", ...files.info(path) }
    case "list": {
      const entries = files.list(path).toSorted(byName)
      const page = entries.slice(request.at, request.at + pageEntries)
      return { kind: "list", entries: page, more: request.at + page.length < entries.length }
    }
    case "read": {
      const bytes = files.read(path, request.at, Math.min(request.length, pieceBytes))
      return { kind: "data", data: Buffer.from(bytes).toString("base64") }
    }
    case "create":
      files.folder(parent(path))
      files.create(path, fromBase64(request.data))
      return done
    case "append":
      files.append(path, fromBase64(request.data))
      return done
    case "folder":
      files.folder(path)
      return done
    case "remove":
      if (path === "/") throw new Refusal("EPERM", "the root cannot be removed")
      files.remove(path)
      return done
  }
}

/** In a buffer of its own: file systems keep what they are given. */
const fromBase64 = (data: string): Uint8Array => new Uint8Array(Buffer.from(data, "base64"))

const whys = new Map<string, Extract<FileAnswer, { readonly kind: "refused" }>["why"]>([
  ["ENOENT", "notFound"],
  ["EISDIR", "isFolder"],
  ["ENOTDIR", "notFolder"],
  ["EACCES", "denied"],
  ["EPERM", "denied"],
  ["EBUSY", "denied"],
  ["ENOSPC", "noSpace"]
])

const refused = (error: unknown): FileAnswer => ({
  kind: "refused",
  why: error instanceof Refusal ? (whys.get(error.code) ?? "other") : "other",
  description: error instanceof Error ? error.message : String(error)
})

/** Answers the parent. */
export const answer = (files: GuestFiles, request: FileRequest): FileReply => {
  try {
    return { t: "file", id: request.id, ...perform(files, request) }
  } catch (error) {
    return { t: "file", id: request.id, ...refused(error) }
  }
}
