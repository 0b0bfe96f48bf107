/** Files in memory, with the errors of a file system: folders are made as they are needed, and a file is no folder. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { FileInfo, Files } from "../../sandbox/Sandbox.ts"
import { FileFailed, type SandboxError } from "../../sandbox/SandboxError.ts"

export const home = "/home/user"

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const maxPiece = 64 * 1024

/** Absolute, without dots and doubled slashes. */
export const resolve = (path: string, from: string): string => {
  const parts: Array<string> = []
  for (const part of (path.startsWith("/") ? path : `${from}/${path}`).split("/")) {
    if (part === "..") parts.pop()
    else if (part !== "" && part !== ".") parts.push(part)
  }
  return `/${parts.join("/")}`
}

const folderOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")))
const below = (folder: string): string => (folder === "/" ? "/" : `${folder}/`)

export class ScriptedFiles implements Files {
  private readonly fail: (reason: FileFailed) => SandboxError
  private readonly initial: ReadonlyArray<readonly [string, Uint8Array]>
  private contents = new Map<string, Uint8Array>()
  private folders = new Set<string>()
  private readonly alive: Effect.Effect<unknown, SandboxError>

  constructor(
    initial: Readonly<Record<string, string | Uint8Array>>,
    alive: Effect.Effect<unknown, SandboxError>,
    fail: (reason: FileFailed) => SandboxError
  ) {
    this.fail = fail
    this.alive = alive
    this.initial = Object.entries(initial).map(([path, data]) => [resolve(path, home), bytesOf(data)])
    this.clear()
  }

  /** As it was at first. */
  clear(): void {
    this.contents = new Map()
    this.folders = new Set(["/", "/tmp", "/home", home])
    for (const [path, data] of this.initial) this.put(path, data)
  }

  private put(path: string, data: Uint8Array): void {
    for (let folder = folderOf(path); folder !== "/"; folder = folderOf(folder)) this.folders.add(folder)
    this.contents.set(path, data)
  }

  private failed(path: string, why: FileFailed["why"], description: string): Effect.Effect<never, SandboxError> {
    return Effect.fail(this.fail(new FileFailed({ path, why, description })))
  }

  /** Does something with a path while the session is there. */
  private at<A>(path: string, use: (full: string) => Effect.Effect<A, SandboxError>): Effect.Effect<A, SandboxError> {
    return Effect.andThen(
      this.alive,
      Effect.suspend(() => use(resolve(path, home)))
    )
  }

  readonly read: Files["read"] = (path) =>
    this.at(path, (full) => {
      const data = this.contents.get(full)
      if (data !== undefined) return Effect.succeed(data.slice())
      return this.folders.has(full)
        ? this.failed(path, "isFolder", "it is a folder")
        : this.failed(path, "notFound", "there is no such file")
    })

  readonly readText: Files["readText"] = (path) => Effect.map(this.read(path), (data) => decoder.decode(data))

  /** Why a file cannot be written here. */
  private obstacle(path: string, full: string): Effect.Effect<void, SandboxError> {
    if (this.folders.has(full)) return this.failed(path, "isFolder", "it is a folder")
    for (let folder = folderOf(full); folder !== "/"; folder = folderOf(folder))
      if (this.contents.has(folder)) return this.failed(path, "notFolder", `${folder} is a file`)
    return Effect.void
  }

  readonly write: Files["write"] = (path, data) =>
    this.at(path, (full) =>
      Effect.andThen(
        this.obstacle(path, full),
        Effect.sync(() => this.put(full, bytesOf(data)))
      )
    )

  readonly list: Files["list"] = (path = home) =>
    this.at(path, (full) => {
      if (this.contents.has(full)) return this.failed(path, "notFolder", "it is a file")
      if (!this.folders.has(full)) return this.failed(path, "notFound", "there is no such folder")
      const isHere = (one: string): boolean => one !== "/" && folderOf(one) === full
      const folders = [...this.folders].filter(isHere).map((one) => infoOf(one, "folder", 0))
      const files = [...this.contents]
        .filter(([one]) => isHere(one))
        .map(([one, data]) => infoOf(one, "file", data.length))
      return Effect.succeed([...folders, ...files].toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    })

  readonly remove: Files["remove"] = (path) =>
    this.at(path, (full) => {
      if (this.contents.delete(full)) return Effect.void
      if (!this.folders.has(full)) return this.failed(path, "notFound", "there is no such file or folder")
      const isBelow = (one: string): boolean => one === full || one.startsWith(below(full))
      for (const one of [...this.contents.keys()].filter(isBelow)) this.contents.delete(one)
      for (const one of [...this.folders].filter((one) => isBelow(one) && one !== "/")) this.folders.delete(one)
      return Effect.void
    })

  readonly upload: Files["upload"] = (path, data) => {
    const whole = Stream.runFold(
      data,
      () => new Array<Uint8Array>(),
      (chunks, chunk) => [...chunks, chunk]
    )
    const possible = this.at(path, (full) => this.obstacle(path, full))
    return Effect.andThen(
      possible,
      Effect.flatMap(whole, (chunks) => this.write(path, new Uint8Array(Buffer.concat(chunks))))
    )
  }

  readonly download: Files["download"] = (path) =>
    Stream.unwrap(
      Effect.map(this.read(path), (data) => {
        const pieces = Array.from({ length: Math.ceil(data.length / maxPiece) }, (_, index) =>
          data.subarray(index * maxPiece, (index + 1) * maxPiece)
        )
        return Stream.fromIterable(pieces)
      })
    )
}

const bytesOf = (data: string | Uint8Array): Uint8Array =>
  typeof data === "string" ? encoder.encode(data) : data.slice()

const infoOf = (path: string, type: FileInfo["type"], bytes: number): FileInfo => ({
  name: path.slice(path.lastIndexOf("/") + 1),
  path,
  type,
  bytes
})
