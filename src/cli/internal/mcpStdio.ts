/**
 * Standard input of an MCP server, one message of JSON a line, before the protocol reads it: what is no JSON is told of
 * and left out, since one line that is broken must not cost those after it, and its end is noticed.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"

/** One write carries 16 MiB, and JSON makes six times as much of it at most. */
const maxLineBytes = 128 * 1024 * 1024

const encoder = new TextEncoder()

const isJson = (line: string): boolean => {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

const newline = 0x0a

/** Joins the pieces of lines. A line that is too long is given up to its end. */
class Lines {
  private pieces: Array<Uint8Array> = []
  private bytes = 0
  private isTooLong = false

  add(chunk: Uint8Array): ReadonlyArray<string> {
    const lines: Array<string> = []
    let rest = chunk
    for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
      this.keep(rest.subarray(0, end))
      lines.push(this.take())
      rest = rest.subarray(end + 1)
    }
    this.keep(rest)
    return lines
  }

  private keep(piece: Uint8Array): void {
    this.bytes += piece.length
    this.isTooLong ||= this.bytes > maxLineBytes
    if (this.isTooLong) this.pieces = []
    else if (piece.length > 0) this.pieces.push(piece)
  }

  private take(): string {
    const line = this.isTooLong ? "a line that is too long" : Buffer.concat(this.pieces).toString("utf8").trim()
    this.pieces = []
    this.bytes = 0
    this.isTooLong = false
    return line
  }
}

/** The same standard streams. `ended` is done when the client has closed ours. */
export const make = (stdio: Stdio.Stdio, ended: Deferred.Deferred<void>): Stdio.Stdio => ({
  ...stdio,
  stdin: Stream.suspend(() => {
    const lines = new Lines()
    return stdio.stdin.pipe(
      Stream.flatMap((chunk) => Stream.fromIterable(lines.add(chunk))),
      Stream.filter((line) => line !== ""),
      Stream.filterEffect((line) =>
        isJson(line)
          ? Effect.succeed(true)
          : Effect.as(Effect.logWarning(`left out what is no JSON: ${JSON.stringify(line.slice(0, 80))}`), false)
      ),
      Stream.map((line) => encoder.encode(`${line}\n`)),
      Stream.ensuring(Deferred.succeed(ended, undefined))
    )
  })
})
