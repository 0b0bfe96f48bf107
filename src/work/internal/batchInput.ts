/** The input of a batch: read once to know it, and once to work on it. */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { BatchError, InputUnreadable, InvalidItem } from "../BatchError.ts"
import * as JsonLines from "./jsonLines.ts"

/** One item of the input, not yet read. */
export interface Entry {
  /** Starting at 0; blank lines do not count. */
  readonly index: number
  /** Of its line, starting at 1. */
  readonly line: number
  readonly text: Result.Result<string, string>
}

/** What an input is known by. */
export interface Known {
  readonly bytes: number
  readonly sha256: string
  readonly items: number
}

const unreadable = (path: string, description: string, cause?: unknown): BatchError =>
  new BatchError({ reason: new InputUnreadable({ path, description, cause }) })

const lines = (
  path: string,
  onBytes?: (chunk: Uint8Array) => void
): Stream.Stream<JsonLines.Line, BatchError, FileSystem.FileSystem> =>
  Stream.mapError(JsonLines.read(path, onBytes), (error) => unreadable(path, JsonLines.wordsOf(error), error))

/** All items, in order. */
export const entries = (path: string): Stream.Stream<Entry, BatchError, FileSystem.FileSystem> =>
  lines(path).pipe(
    Stream.filter((line) => !JsonLines.isBlank(line)),
    Stream.map(({ number, text }, index) => ({ index, line: number, text }))
  )

/** Fails for what is no file that can be read again: it is read twice, and once more for each resumption. */
export const requireFile = Effect.fnUntraced(function* (
  path: string
): Effect.fn.Return<void, BatchError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { type } = yield* Effect.mapError(fs.stat(path), (error) => unreadable(path, JsonLines.wordsOf(error), error))
  if (type === "Directory") return yield* unreadable(path, "it is no file but a folder")
  if (type !== "File") return yield* unreadable(path, "it is no regular file, and it has to be read twice")
})

/**
 * Reads the whole input, to know it again and to see how many items it has. With `check`, an item that it finds something
 * to say about fails the scan.
 */
export const scan = Effect.fnUntraced(function* (
  path: string,
  check: ((entry: Entry) => string | undefined) | undefined
): Effect.fn.Return<Known, BatchError, FileSystem.FileSystem> {
  const hash = createHash("sha256")
  let bytes = 0
  let items = 0
  let wrong = 0
  let first: { readonly line: number; readonly description: string } | undefined
  const noteBytes = (chunk: Uint8Array): void => {
    hash.update(chunk)
    bytes += chunk.length
  }
  yield* Stream.runForEach(lines(path, noteBytes), (line) =>
    Effect.sync(() => {
      if (JsonLines.isBlank(line)) return
      const description = check?.({ index: items, line: line.number, text: line.text })
      items += 1
      if (description === undefined) return
      wrong += 1
      first ??= { line: line.number, description }
    })
  )
  if (first !== undefined) return yield* new BatchError({ reason: new InvalidItem({ path, ...first, count: wrong }) })
  return { bytes, sha256: hash.digest("hex"), items }
})
