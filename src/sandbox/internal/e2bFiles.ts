/** The files of a sandbox of E2B, by envd (github e2b-dev/infra 54693ff, `packages/envd`). */
import * as Crypto from "node:crypto"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as Stream from "effect/Stream"
import type { Ask } from "../../http/internal/ask.ts"
import * as Release from "../../policy/Release.ts"
import type { FileInfo, Files } from "../Sandbox.ts"
import type { SandboxError } from "../SandboxError.ts"
import { toError } from "./e2bError.ts"
import type { Machine } from "./e2bMachine.ts"
import * as Reason from "./e2bReason.ts"
import * as Fields from "./fields.ts"

const pieceBytes = 64 * 1024

const types = new Map<string, FileInfo["type"]>([
  ["FILE_TYPE_FILE", "file"],
  ["FILE_TYPE_DIRECTORY", "folder"]
])

const infoOf = (value: unknown): ReadonlyArray<FileInfo> => {
  const fields = Fields.fields(value)
  const name = fields === undefined ? undefined : Fields.text(fields, "name")
  if (fields === undefined || name === undefined) return []
  const type = types.get(Fields.text(fields, "type") ?? "") ?? "other"
  // In proto3's JSON a number of 64 bits is a string, and zero is left out.
  const bytes = type === "file" ? Number(Fields.own(fields, "size") ?? 0) : 0
  return [{ name, path: Fields.text(fields, "path") ?? name, type, bytes }]
}

const byName = (one: FileInfo, other: FileInfo): number => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0)

/** Without what would be read as another folder's: an empty path is the user's home here, and a working directory there. */
const pathOf = (path: string): string => (path === "" ? "." : path)

const pieces = (chunk: Uint8Array): Array<Uint8Array> => {
  const out: Array<Uint8Array> = []
  for (let at = 0; at < chunk.length; at += pieceBytes) out.push(chunk.subarray(at, at + pieceBytes))
  return out
}

/** Where a file is while it is not whole: beside its place, so that it can be moved there at once. */
const partOf = (path: string): string =>
  `${path.slice(0, path.lastIndexOf("/") + 1)}.holdfast-${Crypto.randomUUID()}.part`

/** A form with one file, whose name the query says; for templates that take no plain body yet. */
const formOf = <E, R>(data: Stream.Stream<Uint8Array, E, R>) => {
  const boundary = `holdfast-${Crypto.randomUUID()}`
  const utf8 = new TextEncoder()
  const head = utf8.encode(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n`
  )
  const tail = utf8.encode(`\r\n--${boundary}--\r\n`)
  const stream = Stream.concat(Stream.concat(Stream.make(head), data), Stream.make(tail))
  return { contentType: `multipart/form-data; boundary=${boundary}`, stream, bytes: head.length + tail.length }
}

class E2bFiles implements Files {
  private readonly machine: () => Machine

  constructor(machine: () => Machine) {
    this.machine = machine
  }

  private use<A>(self: (machine: Machine) => Effect.Effect<A, SandboxError>): Effect.Effect<A, SandboxError> {
    return Effect.suspend(() => self(this.machine()))
  }

  readonly read = (path: string): Effect.Effect<Uint8Array, SandboxError> =>
    this.use((machine) => {
      const ask: Ask = { method: "GET", path: "/files", query: { path: pathOf(path) } }
      return machine.use(Effect.map(machine.envd(Reason.ofFile(path)).bytes(ask), ({ value }) => value))
    })

  readonly readText = (path: string): Effect.Effect<string, SandboxError> =>
    Effect.map(this.read(path), (bytes) => new TextDecoder().decode(bytes))

  readonly write = (path: string, data: string | Uint8Array): Effect.Effect<void, SandboxError> =>
    this.use((machine) => {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data
      return this.send(machine, path, Stream.make(bytes), bytes)
    })

  /** Sends a file. What is at hand whole can be sent again. */
  private send(
    machine: Machine,
    path: string,
    data: Stream.Stream<Uint8Array, unknown>,
    bytes?: Uint8Array
  ): Effect.Effect<void, SandboxError> {
    const isPlain = machine.hasVersion("0.5.7")
    const form = isPlain ? undefined : formOf(data)
    const body =
      form !== undefined
        ? HttpBody.stream(form.stream, form.contentType, bytes && form.bytes + bytes.length)
        : bytes !== undefined
          ? HttpBody.uint8Array(bytes, "application/octet-stream")
          : HttpBody.stream(data, "application/octet-stream")
    const sends = bytes === undefined ? { once: true } : { safety: "idempotent" as const }
    const ask: Ask = { method: "POST", path: "/files", query: { path: pathOf(path) }, body, ...sends }
    return machine.use(Effect.asVoid(machine.envd(Reason.ofFile(path)).text(ask)))
  }

  readonly list = (path = "."): Effect.Effect<ReadonlyArray<FileInfo>, SandboxError> =>
    this.use((machine) => {
      const message = { path: pathOf(path), depth: 1 }
      const listed = machine.rpc("/filesystem.Filesystem/ListDir", message, Reason.ofFile(path))
      return Effect.map(listed, (fields) => {
        const entries = Fields.own(fields, "entries")
        return Array.isArray(entries) ? entries.flatMap(infoOf).sort(byName) : []
      })
    })

  readonly remove = (path: string): Effect.Effect<void, SandboxError> =>
    this.use((machine) =>
      // What is not there is removed without a word.
      Effect.andThen(
        machine.rpc("/filesystem.Filesystem/Stat", { path: pathOf(path) }, Reason.ofFile(path)),
        Effect.asVoid(machine.rpc("/filesystem.Filesystem/Remove", { path: pathOf(path) }, Reason.ofFile(path)))
      )
    )

  readonly upload = <E, R>(
    path: string,
    data: Stream.Stream<Uint8Array, E, R>
  ): Effect.Effect<void, E | SandboxError, R> =>
    Effect.contextWith((context: Context.Context<R>) => {
      const machine = this.machine()
      const part = partOf(path)
      // The client says that the body failed, not how.
      let failed: { readonly error: E } | undefined
      const noted = data.pipe(
        Stream.tapError((error) => Effect.sync(() => (failed = { error }))),
        Stream.provideContext(context)
      )
      const moved = machine.rpc(
        "/filesystem.Filesystem/Move",
        { source: part, destination: path },
        Reason.ofFile(path),
        "unsafe"
      )
      const remove = machine.rpc("/filesystem.Filesystem/Remove", { path: part }, Reason.ofFile(part))
      return Effect.andThen(this.send(machine, part, noted), Effect.asVoid(moved)).pipe(
        Effect.onExit((exit) => (exit._tag === "Success" ? Effect.void : Effect.ignore(Release.run(remove)))),
        Effect.catch((error) => Effect.fail(failed === undefined ? error : failed.error))
      )
    })

  readonly download = (path: string): Stream.Stream<Uint8Array, SandboxError> =>
    Stream.unwrap(
      this.use((machine) =>
        Effect.as(
          machine.alive,
          machine
            .envd(Reason.ofFile(path))
            .pieces({ method: "GET", path: "/files", query: { path: pathOf(path) } })
            .pipe(
              Stream.flatMap((chunk) => Stream.fromIterable(pieces(chunk))),
              Stream.catch((failed) => Stream.fromEffect(machine.seen(toError(failed))))
            )
        )
      )
    )
}

/** The files of whatever machine is behind a session now. */
export const make = (machine: () => Machine): Files => new E2bFiles(machine)
