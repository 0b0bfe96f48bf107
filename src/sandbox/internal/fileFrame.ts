/**
 * The lines about the guest's files: the parent asks, the guest answers. Paths are the guest's and mean nothing to the
 * parent, which only hands them back; bytes go as base64 in pieces. No Effect here, as in `frame.ts`.
 */
import { count, fields, own, text, type Fields } from "./fields.ts"

/** The most bytes of a file in one line. A megabyte takes a few milliseconds, and the guest is busy that long. */
export const pieceBytes = 1024 * 1024

/** Entries of a folder in one line. */
export const pageEntries = 1000

/** What the parent may ask about a file. `id` counts from 1, apart from the runs. */
export type FileRequest =
  | { readonly t: "file"; readonly id: number; readonly op: "info" | "remove" | "folder"; readonly path: string }
  | { readonly t: "file"; readonly id: number; readonly op: "list"; readonly path: string; readonly at: number }
  | {
      readonly t: "file"
      readonly id: number
      readonly op: "read"
      readonly path: string
      readonly at: number
      readonly length: number
    }
  | {
      readonly t: "file"
      readonly id: number
      /** `"create"` makes the file, and its folders, and empties it; `"append"` is the next piece. */
      readonly op: "create" | "append"
      readonly path: string
      readonly data: string
    }

/** `FileRequest` without what the sender adds. */
export type FileQuestion = FileRequest extends infer R ? (R extends FileRequest ? Omit<R, "t" | "id"> : never) : never

export type FileType = "file" | "folder" | "other"

export interface FileEntry {
  readonly name: string
  readonly type: FileType
  readonly bytes: number
  /** Another number after each change of the file, unique in its guest; `0` for what the guest came with. */
  readonly stamp: number
}

const whys = ["notFound", "isFolder", "notFolder", "denied", "noSpace", "other"] as const

/** What the guest answers. */
export type FileAnswer =
  | { readonly kind: "done" }
  | { readonly kind: "info"; readonly type: FileType; readonly bytes: number }
  | { readonly kind: "data"; readonly data: string }
  | { readonly kind: "list"; readonly entries: ReadonlyArray<FileEntry>; readonly more: boolean }
  | { readonly kind: "refused"; readonly why: (typeof whys)[number]; readonly description: string }

export type FileReply = { readonly t: "file"; readonly id: number } & FileAnswer

const types = ["file", "folder", "other"] as const

const fileType = (from: Fields): FileType | undefined => types.find((type) => type === own(from, "type"))

/** NAME_MAX: the guests hold to it, so a longer one is a guest that does not. */
const nameChars = 255

const isName = (name: string): boolean =>
  name !== "" && name !== "." && name !== ".." && name.length <= nameChars && !/[/\0]/.test(name)

const entry = (value: unknown): FileEntry | undefined => {
  const from = fields(value)
  if (from === undefined) return undefined
  const name = text(from, "name")
  const type = fileType(from)
  const bytes = count(from, "bytes")
  const stamp = count(from, "stamp")
  return name === undefined || !isName(name) || type === undefined || bytes === undefined || stamp === undefined
    ? undefined
    : { name, type, bytes, stamp }
}

const list = (from: Fields): FileAnswer | undefined => {
  const given = own(from, "entries")
  const more = own(from, "more")
  if (!Array.isArray(given) || given.length > pageEntries || typeof more !== "boolean") return undefined
  // An empty page with more to come would never end.
  if (more && given.length === 0) return undefined
  const entries = given.map(entry).filter((item) => item !== undefined)
  const names = new Set(entries.map(({ name }) => name))
  return names.size === given.length ? { kind: "list", entries, more } : undefined
}

const answers: Readonly<Record<string, (from: Fields) => FileAnswer | undefined>> = {
  done: () => ({ kind: "done" }),
  info: (from) => {
    const type = fileType(from)
    const bytes = count(from, "bytes")
    return type === undefined || bytes === undefined ? undefined : { kind: "info", type, bytes }
  },
  data: (from) => {
    const data = text(from, "data")
    return data === undefined || data.length > 2 * pieceBytes ? undefined : { kind: "data", data }
  },
  list,
  refused: (from) => {
    const why = whys.find((reason) => reason === own(from, "why"))
    return why === undefined
      ? undefined
      : { kind: "refused", why, description: (text(from, "description") ?? "").slice(0, 500) }
  }
}

/** Reads a guest's answer; `undefined` for anything else. */
export const decodeFileReply = (from: Fields): FileReply | undefined => {
  const id = count(from, "id")
  const kind = text(from, "kind")
  const decode = kind !== undefined && Object.hasOwn(answers, kind) ? answers[kind] : undefined
  const answer = decode?.(from)
  return id === undefined || answer === undefined ? undefined : { t: "file", id, ...answer }
}

/** Reads the parent's question. */
export const decodeFileRequest = (from: Fields): FileRequest | undefined => {
  const id = count(from, "id")
  const path = text(from, "path")
  if (id === undefined || path === undefined) return undefined
  const op = own(from, "op")
  const at = count(from, "at") ?? 0
  switch (op) {
    case "info":
    case "remove":
    case "folder":
      return { t: "file", id, op, path }
    case "list":
      return { t: "file", id, op, path, at }
    case "read":
      return { t: "file", id, op, path, at, length: count(from, "length") ?? 0 }
    case "create":
    case "append":
      return { t: "file", id, op, path, data: text(from, "data") ?? "" }
    default:
      return undefined
  }
}
