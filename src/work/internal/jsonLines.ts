/** Lines of a file of JSON Lines, with their place in it; what they hold is for others to say. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"

/** One line. */
export interface Line {
  /** Starting at 1. */
  readonly number: number
  /** Without the line's end; the failure says why it cannot be read. */
  readonly text: Result.Result<string, string>
  /** Its length in the file, with its end. */
  readonly bytes: number
  /** Whether its end is there: a line that was cut off has none. */
  readonly isEnded: boolean
}

// An image or two as base64 go into one line. More is rather a file that has no lines.
const maxLineBytes = 64 * 2 ** 20

const lf = 10

class Splitter {
  private readonly utf8 = new TextDecoder("utf-8", { fatal: true })
  private parts: Array<Uint8Array> = []
  /** Of the line that is not ended yet; what is too long is counted and not kept. */
  private bytes = 0
  private number = 0

  push(chunk: Uint8Array): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    let start = 0
    for (let end = chunk.indexOf(lf); end !== -1; end = chunk.indexOf(lf, start)) {
      this.keep(chunk.subarray(start, end))
      lines.push(this.take(true))
      start = end + 1
    }
    // A copy, so that a few bytes do not keep a whole read alive.
    if (start < chunk.length) this.keep(chunk.slice(start))
    return lines
  }

  end(): ReadonlyArray<Line> {
    return this.bytes === 0 ? [] : [this.take(false)]
  }

  private keep(part: Uint8Array): void {
    this.bytes += part.length
    if (this.bytes > maxLineBytes) this.parts = []
    else this.parts.push(part)
  }

  private take(isEnded: boolean): Line {
    const { bytes } = this
    const text =
      bytes > maxLineBytes
        ? Result.fail(`the line is longer than ${maxLineBytes / 2 ** 20} MiB`)
        : Result.mapError(
            Result.try(() => this.utf8.decode(Buffer.concat(this.parts))),
            () => "the line is not UTF-8"
          )
    this.parts = []
    this.bytes = 0
    this.number += 1
    return { number: this.number, text, bytes: bytes + (isEnded ? 1 : 0), isEnded }
  }
}

/** Whether there is nothing on the line. */
export const isBlank = ({ text }: Line): boolean => Result.isSuccess(text) && text.success.trim() === ""

/** Reads a file line by line; `onBytes` sees all of it as it passes. */
export const read = (
  path: string,
  onBytes: (chunk: Uint8Array) => void = () => {}
): Stream.Stream<Line, PlatformError, FileSystem.FileSystem> =>
  Stream.unwrap(
    Effect.map(FileSystem.FileSystem, (fs) => {
      const splitter = new Splitter()
      const lines = Stream.map(fs.stream(path), (chunk) => {
        onBytes(chunk)
        return splitter.push(chunk)
      })
      const rest = Stream.suspend(() => Stream.succeed(splitter.end()))
      return Stream.flattenIterable(Stream.concat(lines, rest))
    })
  )

/** A file's error in a few words. */
export const wordsOf = ({ reason }: PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file or folder"
    case "PermissionDenied":
      return "permission denied"
    case "BadResource":
      return "it is no file but a folder"
    default:
      // The system's own word for a full disk is in no tag.
      return /ENOSPC/.test(String(reason.cause ?? reason.message))
        ? "the disk is full"
        : /EFBIG/.test(String(reason.cause ?? reason.message))
          ? "files may not grow as large"
          : (reason.message.split("\n")[0] ?? reason._tag)
  }
}
