/** The files of a session: each operation asks the guest that has them, in turn with the session's runs. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { FileInfo, Files } from "../Sandbox.ts"
import { LimitExceeded, SandboxError, SessionLost } from "../SandboxError.ts"
import type { Child } from "./child.ts"
import { pieceBytes } from "./fileFrame.ts"
import { absolute, home } from "./guestFiles.ts"
import { fileFailed, type Guests } from "./guests.ts"
import * as Mirror from "./mirror.ts"

/** What the files are made of. */
export interface Parts {
  readonly provider: string
  readonly guests: Guests
  /** Waits until nothing runs in the session. */
  readonly inTurn: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** What one `read` or `write` may carry. */
  readonly transferBytes: number
  readonly fileCount: number
}

/** A stream's pieces, as the service promises them. */
const downloadBytes = 64 * 1024

type Failure = SandboxError | SessionLost | Mirror.Refused

export const make = (parts: Parts): Files => {
  const { guests, inTurn, transferBytes } = parts
  const fail = (reason: SandboxError["reason"]) => new SandboxError({ provider: parts.provider, reason })

  const told = <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<A, SandboxError> =>
    Effect.mapError(effect, (error) => {
      if (error._tag === "Refused") return fail(fileFailed(error))
      return error._tag === "SessionLost" ? fail(error) : error
    })
  const using = <A>(f: (child: Child) => Effect.Effect<A, Failure>): Effect.Effect<A, SandboxError> =>
    told(inTurn(Effect.flatMap(guests.active, f)))

  const tooLarge = (bytes: number) =>
    fail(
      new LimitExceeded({
        limit: "fileBytes",
        description: `${bytes} bytes are more than one call may carry (${transferBytes}); upload and download have no such limit`
      })
    )

  const whole = Effect.fnUntraced(function* (child: Child, path: string) {
    const { type, bytes } = yield* Mirror.ask(child, { op: "info", path }, "info")
    if (type === "file" && bytes > transferBytes) return yield* tooLarge(bytes)
    const pieces: Array<Uint8Array> = []
    // By what it gives, not by what it said: a file may be none whose size is known.
    for (let at = 0; ; at += pieceBytes) {
      const piece = yield* Mirror.read(child, path, at, pieceBytes)
      pieces.push(piece)
      if (at + piece.length > transferBytes) return yield* tooLarge(at + piece.length)
      if (piece.length < pieceBytes) return new Uint8Array(Buffer.concat(pieces))
    }
  })

  /** The rest of a file that came only half-way is no file. */
  const discard = (child: Child, path: string) => Effect.ignore(Mirror.ask(child, { op: "remove", path }, "done"))

  const put = Effect.fnUntraced(function* (child: Child, path: string, bytes: Uint8Array) {
    yield* Mirror.write(child, path, bytes.subarray(0, pieceBytes), true).pipe(
      // What else is refused was there before, and is left alone: it may be a folder.
      Effect.tapError((error) =>
        error._tag === "Refused" && error.answer.why === "noSpace" ? discard(child, path) : Effect.void
      )
    )
    const rest = Effect.gen(function* () {
      for (let at = pieceBytes; at < bytes.length; at += pieceBytes)
        yield* Mirror.write(child, path, bytes.subarray(at, at + pieceBytes), false)
    })
    yield* Effect.onError(rest, () => discard(child, path))
  })

  const read = Effect.fn("LocalSandbox.files.read")((path: string) => using((child) => whole(child, path)))

  const write = Effect.fn("LocalSandbox.files.write")((path: string, data: string | Uint8Array) => {
    const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data
    return bytes.length > transferBytes
      ? Effect.fail(tooLarge(bytes.length))
      : using((child) => put(child, path, bytes))
  })

  const list = Effect.fn("LocalSandbox.files.list")((path: string = home) =>
    using((child) =>
      Effect.map(Mirror.list(child, path, parts.fileCount + 10_000), (entries) =>
        entries.map(({ name, type, bytes }): FileInfo => ({ name, path: absolute(`${path}/${name}`), type, bytes }))
      )
    )
  )

  const remove = Effect.fn("LocalSandbox.files.remove")((path: string) =>
    using((child) => Effect.asVoid(Mirror.ask(child, { op: "remove", path }, "done")))
  )

  /** One piece of a transfer that began on `machine`: what comes after a reset belongs to nothing. */
  const piece = <A>(machine: object, path: string, f: (child: Child) => Effect.Effect<A, Failure>) =>
    Effect.suspend(() =>
      machine === guests.machine
        ? using(f)
        : Effect.fail(
            fail(new SessionLost({ why: "closed", description: `the session was reset while ${path} was moved` }))
          )
    )

  const upload: Files["upload"] = (path, data) =>
    Effect.suspend(() => {
      const { machine } = guests
      const append = (bytes: Uint8Array, isFirst: boolean) =>
        piece(machine, path, (child) => Mirror.write(child, path, bytes, isFirst))
      const drop = Effect.ignore(piece(machine, path, (child) => discard(child, path)))
      const pieces = Stream.flatMap(data, (bytes) =>
        Stream.range(0, Math.ceil(bytes.length / pieceBytes) - 1).pipe(
          Stream.map((index) => bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes))
        )
      )
      return Effect.andThen(
        append(new Uint8Array(0), true),
        Stream.runForEach(pieces, (bytes) => append(bytes, false)).pipe(Effect.onError(() => drop))
      )
    }).pipe(Effect.withSpan("LocalSandbox.files.upload"))

  const download = (path: string) =>
    Stream.suspend(() => {
      const { machine } = guests
      return Stream.paginate(0, (at) =>
        Effect.map(
          piece(machine, path, (child) => Mirror.read(child, path, at, downloadBytes)),
          (bytes) =>
            [
              bytes.length === 0 ? [] : [bytes],
              bytes.length < downloadBytes ? Option.none<number>() : Option.some(at + bytes.length)
            ] as const
        )
      )
    })

  return {
    read,
    readText: (path) => Effect.map(read(path), (bytes) => Buffer.from(bytes).toString("utf8")),
    write,
    list,
    remove,
    upload,
    download
  }
}
