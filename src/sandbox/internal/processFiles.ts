/** The files of a session: the keeper, a process of the guest, does it all; paths mean nothing out here. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { FileInfo, Files } from "../Sandbox.ts"
import { FileFailed, LimitExceeded, SandboxError, SessionLost } from "../SandboxError.ts"
import { pieceBytes, type FileAnswer, type FileEntry, type FileQuestion } from "./fileFrame.ts"
import { absolute } from "./guestFiles.ts"
import type { Guest } from "./processGuest.ts"

/** What the files are made of. */
export interface Parts {
  readonly provider: string
  /** The session's machine; another one after a reset. */
  readonly guest: () => Guest
  /** What one `read` or `write` may carry. */
  readonly transferBytes: number
  readonly fileCount: number
}

/** A stream's pieces, as the service promises them. */
const downloadBytes = 64 * 1024

export const make = ({ provider, guest, transferBytes, fileCount }: Parts): Files => {
  const fail = (reason: SandboxError["reason"]) => new SandboxError({ provider, reason })

  const ask = Effect.fnUntraced(function* <K extends FileAnswer["kind"]>(on: Guest, question: FileQuestion, kind: K) {
    // A reset gives another machine: what began on the first one does not go on there.
    const lost = new SessionLost({
      why: "closed",
      description: `the session was reset while ${question.path} was used`
    })
    if (on !== guest()) return yield* fail(lost)
    const path = absolute(question.path, on.home)
    const answer = yield* Effect.mapError(on.ask({ ...question, path }), fail)
    if (answer.kind === "refused")
      return yield* fail(new FileFailed({ path: question.path, why: answer.why, description: answer.description }))
    if (!isKind(answer, kind))
      return yield* fail(new SessionLost({ why: "protocol", description: "the session answered another question" }))
    return answer
  })

  const tooLarge = (bytes: number) =>
    fail(
      new LimitExceeded({
        limit: "fileBytes",
        description: `${bytes} bytes are more than one call may carry (${transferBytes}); upload and download have no such limit`
      })
    )

  const readPiece = (on: Guest, path: string, at: number, length: number) =>
    Effect.map(ask(on, { op: "read", path, at, length }, "data"), ({ data }) =>
      new Uint8Array(Buffer.from(data, "base64")).subarray(0, length)
    )

  const writePiece = (on: Guest, path: string, bytes: Uint8Array, isFirst: boolean) =>
    ask(on, { op: isFirst ? "create" : "append", path, data: Buffer.from(bytes).toString("base64") }, "done")

  const discard = (on: Guest, path: string) => Effect.ignore(ask(on, { op: "remove", path }, "done"))

  const read = Effect.fn("ProcessSandbox.files.read")(function* (path: string) {
    const on = guest()
    const pieces: Array<Uint8Array> = []
    // By what it gives, not by what it says of itself: a file may be none whose size is known.
    for (let at = 0; ;) {
      const piece = yield* readPiece(on, path, at, pieceBytes)
      at += piece.length
      if (at > transferBytes) return yield* tooLarge(at)
      pieces.push(piece)
      if (piece.length < pieceBytes) return new Uint8Array(Buffer.concat(pieces))
    }
  })

  /** Writes the pieces one after another; what came only half-way is removed, but not what refused to be written. */
  const put = <E, R>(path: string, pieces: Stream.Stream<Uint8Array, E, R>) =>
    Effect.suspend(() => {
      const on = guest()
      return Effect.andThen(
        writePiece(on, path, new Uint8Array(0), true),
        Stream.runForEach(pieces, (bytes) => writePiece(on, path, bytes, false)).pipe(
          Effect.onError(() => discard(on, path))
        )
      )
    })

  const cut = (bytes: Uint8Array) =>
    Stream.range(0, Math.ceil(bytes.length / pieceBytes) - 1).pipe(
      Stream.map((index) => bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes))
    )

  const write = Effect.fn("ProcessSandbox.files.write")((path: string, data: string | Uint8Array) => {
    const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data
    return bytes.length > transferBytes ? Effect.fail(tooLarge(bytes.length)) : put(path, cut(bytes))
  })

  const list = Effect.fn("ProcessSandbox.files.list")(function* (path?: string) {
    const on = guest()
    const folder = path ?? on.home
    const entries: Array<FileEntry> = []
    for (let more = true; more;) {
      const page = yield* ask(on, { op: "list", path: folder, at: entries.length }, "list")
      entries.push(...page.entries)
      more = page.more && entries.length <= fileCount
    }
    return entries.map(({ name, type, bytes }): FileInfo => ({
      name,
      path: absolute(`${folder}/${name}`, on.home),
      type,
      bytes
    }))
  })

  const download = (path: string) =>
    Stream.suspend(() => {
      const on = guest()
      return Stream.paginate(0, (at) =>
        Effect.map(readPiece(on, path, at, downloadBytes), (bytes) => {
          const next = bytes.length < downloadBytes ? Option.none<number>() : Option.some(at + bytes.length)
          return [bytes.length === 0 ? [] : [bytes], next] as const
        })
      )
    })

  return {
    read,
    readText: (path) => Effect.map(read(path), (bytes) => Buffer.from(bytes).toString("utf8")),
    write,
    list,
    remove: Effect.fn("ProcessSandbox.files.remove")((path: string) =>
      Effect.asVoid(ask(guest(), { op: "remove", path }, "done"))
    ),
    upload: (path, data) => put(path, Stream.flatMap(data, cut)).pipe(Effect.withSpan("ProcessSandbox.files.upload")),
    download
  }
}

const isKind = <K extends FileAnswer["kind"]>(
  answer: FileAnswer,
  kind: K
): answer is Extract<FileAnswer, { readonly kind: K }> => answer.kind === kind
