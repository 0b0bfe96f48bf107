/** The JavaScript guest's file system: a tree in the memory of its process, bounded like the Python guest's. */
import type { FileEntry } from "./fileFrame.ts"
import { home, parent, pathChars, Refusal, type GuestFiles } from "./guestFiles.ts"

interface File {
  readonly type: "file"
  /** May be longer than the file: it grows by half. */
  contents: Uint8Array
  bytes: number
  stamp: number
  modifiedMillis: number
}

interface Folder {
  readonly type: "folder"
  readonly children: Map<string, Node>
  stamp: number
  modifiedMillis: number
}

type Node = File | Folder

/** What `stat` tells a program. */
export interface Stat {
  readonly type: "file" | "folder"
  readonly bytes: number
  readonly modifiedMillis: number
}

/** NAME_MAX of Linux: names live in V8's heap, which no quota of files counts. */
const nameChars = 255

const missing = (path: string) => new Refusal("ENOENT", `no such file or directory, '${path}'`)
const noFolder = (path: string) => new Refusal("ENOTDIR", `not a directory, '${path}'`)
const isFolder = (path: string) => new Refusal("EISDIR", `illegal operation on a directory, '${path}'`)

export class MemoryFiles implements GuestFiles {
  private readonly root: Folder = { type: "folder", children: new Map(), stamp: 0, modifiedMillis: 0 }
  private readonly limits: { readonly fileBytes: number; readonly fileCount: number }
  private readonly now: () => number
  private heldBytes = 0
  private heldCount = 0
  private stamp = 0

  constructor(limits: { readonly fileBytes: number; readonly fileCount: number }, now: () => number) {
    this.limits = limits
    this.now = now
    for (const path of [home, "/tmp"]) this.folder(path)
    this.heldCount = 0
  }

  info(path: string): Stat {
    const node = this.get(path)
    return { type: node.type, bytes: node.type === "file" ? node.bytes : 0, modifiedMillis: node.modifiedMillis }
  }

  exists(path: string): boolean {
    return this.find(path) !== undefined
  }

  list(path: string): ReadonlyArray<FileEntry> {
    const node = this.get(path)
    if (node.type === "file") throw noFolder(path)
    return [...node.children].map(([name, child]) => ({
      name,
      type: child.type,
      bytes: child.type === "file" ? child.bytes : 0,
      stamp: child.stamp
    }))
  }

  read(path: string, at = 0, length = Number.POSITIVE_INFINITY): Uint8Array {
    const node = this.get(path)
    if (node.type === "folder") throw isFolder(path)
    return node.contents.subarray(Math.min(at, node.bytes), Math.min(at + length, node.bytes))
  }

  create(path: string, bytes: Uint8Array): void {
    const file = this.open(path)
    this.claim(bytes.length - file.contents.length, 0)
    file.contents = bytes
    file.bytes = bytes.length
    this.touch(file)
  }

  append(path: string, bytes: Uint8Array): void {
    const file = this.open(path)
    const size = file.bytes + bytes.length
    if (size > file.contents.length) {
      // By half, so that many small pieces are cheap, but never past what is left.
      const left = this.limits.fileBytes - this.heldBytes + file.contents.length
      const room = Math.max(size, Math.min(file.contents.length * 1.5, size + (1 << 22), left) >>> 0)
      this.claim(room - file.contents.length, 0)
      const grown = new Uint8Array(room)
      grown.set(file.contents.subarray(0, file.bytes))
      file.contents = grown
    }
    file.contents.set(bytes, file.bytes)
    file.bytes = size
    this.touch(file)
  }

  folder(path: string): void {
    let node: Folder = this.root
    for (const name of this.parts(path)) {
      const child = node.children.get(name)
      if (child?.type === "file") throw noFolder(path)
      node = child ?? this.put(node, name, { type: "folder", children: new Map(), stamp: 0, modifiedMillis: 0 })
    }
  }

  /** Makes one folder, in one that exists. */
  makeFolder(path: string): void {
    const { folder, name } = this.place(path)
    if (folder.children.has(name)) throw new Refusal("EEXIST", `file already exists, '${path}'`)
    this.put(folder, name, { type: "folder", children: new Map(), stamp: 0, modifiedMillis: 0 })
  }

  remove(path: string): void {
    const { folder, name } = this.place(path)
    const node = folder.children.get(name)
    if (node === undefined) throw missing(path)
    folder.children.delete(name)
    this.touch(folder)
    const gone: Array<Node> = [node]
    for (let item = gone.pop(); item !== undefined; item = gone.pop()) {
      this.heldCount -= 1
      if (item.type === "file") this.heldBytes -= item.contents.length
      else gone.push(...item.children.values())
    }
  }

  rename(from: string, to: string): void {
    if (to === from) return
    if (`${to}/`.startsWith(`${from}/`)) throw new Refusal("EINVAL", `invalid argument, '${to}'`)
    const source = this.place(from)
    const node = source.folder.children.get(source.name)
    if (node === undefined) throw missing(from)
    const target = this.place(to)
    if (target.name.length > nameChars) throw new Refusal("ENAMETOOLONG", "name too long")
    const old = target.folder.children.get(target.name)
    if (old?.type === "folder" && node.type === "file") throw isFolder(to)
    if (old?.type === "folder" && old.children.size > 0) throw new Refusal("ENOTEMPTY", `directory not empty, '${to}'`)
    if (old?.type === "file" && node.type === "folder") throw noFolder(to)
    if (old !== undefined) this.remove(to)
    source.folder.children.delete(source.name)
    target.folder.children.set(target.name, node)
  }

  private parts(path: string): ReadonlyArray<string> {
    if (path.length > pathChars) throw new Refusal("ENAMETOOLONG", "name too long")
    return path.split("/").filter((part) => part !== "")
  }

  private find(path: string): Node | undefined {
    let node: Node | undefined = this.root
    for (const name of this.parts(path)) {
      if (node?.type !== "folder") return undefined
      node = node.children.get(name)
    }
    return node
  }

  private get(path: string): Node {
    const node = this.find(path)
    if (node !== undefined) return node
    throw path !== "/" && this.find(parent(path))?.type === "file" ? noFolder(path) : missing(path)
  }

  private place(path: string): { readonly folder: Folder; readonly name: string } {
    const name = path.slice(path.lastIndexOf("/") + 1)
    if (name === "") throw new Refusal("EPERM", `operation not permitted, '${path}'`)
    const folder = this.get(parent(path))
    if (folder.type === "file") throw noFolder(path)
    return { folder, name }
  }

  private open(path: string): File {
    if (path === "/") throw isFolder(path)
    const { folder, name } = this.place(path)
    const node = folder.children.get(name)
    if (node?.type === "folder") throw isFolder(path)
    return (
      node ??
      this.put(folder, name, { type: "file", contents: new Uint8Array(0), bytes: 0, stamp: 0, modifiedMillis: 0 })
    )
  }

  private put<N extends Node>(folder: Folder, name: string, node: N): N {
    if (name.length > nameChars) throw new Refusal("ENAMETOOLONG", "name too long")
    this.claim(0, 1)
    folder.children.set(name, node)
    this.touch(node)
    return node
  }

  private touch(node: Node): void {
    node.stamp = ++this.stamp
    node.modifiedMillis = this.now()
  }

  private claim(bytes: number, nodes: number): void {
    if (this.heldBytes + bytes > this.limits.fileBytes || this.heldCount + nodes > this.limits.fileCount)
      throw new Refusal("ENOSPC", "no space left on device")
    this.heldBytes += bytes
    this.heldCount += nodes
  }
}
