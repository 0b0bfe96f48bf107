/** The output of a batch: records in the order of their items, each line whole or not there. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BatchError, StorageFailed } from "../BatchError.ts"
import { type BatchRecord, parse } from "../BatchRecord.ts"
import * as JsonLines from "./jsonLines.ts"

export interface Output {
  /** Records that are there already: those of the first items. */
  readonly records: number
  /** Writes a record at the end. */
  readonly append: (line: string) => Effect.Effect<void, BatchError>
  /** Waits until the disk has all of it. */
  readonly sync: Effect.Effect<void, BatchError>
}

const failedAt =
  (path: string) =>
  (error: PlatformError): BatchError =>
    new BatchError({ reason: new StorageFailed({ path, description: JsonLines.wordsOf(error), cause: error }) })

/** How much of the output is what it should be. What is behind that was torn, or is to be done again. */
const measure = Effect.fnUntraced(function* (
  path: string,
  expected: (index: number) => Effect.Effect<string | undefined, BatchError>
): Effect.fn.Return<{ readonly records: number; readonly bytes: number }, BatchError, FileSystem.FileSystem> {
  let records = 0
  let bytes = 0
  const lines = Stream.mapError(JsonLines.read(path), failedAt(path))
  yield* Stream.runForEachWhile(lines, (line) =>
    Effect.map(expected(records), (text) => {
      const isGood = line.isEnded && Result.isSuccess(line.text) && line.text.success === text
      if (isGood) {
        records += 1
        bytes += line.bytes
      }
      return isGood
    })
  )
  return { records, bytes }
})

/** Opens the output behind the last record that is as expected; what follows it is cut off. */
export const open = Effect.fnUntraced(function* (
  path: string,
  expected: (index: number) => Effect.Effect<string | undefined, BatchError>
): Effect.fn.Return<Output, BatchError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const failed = failedAt(path)
  const isThere = yield* Effect.mapError(fs.exists(path), failed)
  const good = isThere ? yield* measure(path, expected) : { records: 0, bytes: 0 }
  const file = yield* Effect.mapError(fs.open(path, { flag: "a" }), failed)
  yield* Effect.mapError(file.truncate(good.bytes), failed)
  let length = good.bytes
  const append = (line: string): Effect.Effect<void, BatchError> =>
    Effect.suspend(() => {
      const bytes = new TextEncoder().encode(`${line}\n`)
      return file.writeAll(bytes).pipe(
        Effect.tap(() => Effect.sync(() => (length += bytes.length))),
        // A full disk takes a part of a line: without it, all lines are whole.
        Effect.tapError(() => Effect.ignore(file.truncate(length))),
        Effect.mapError(failed),
        Effect.uninterruptible
      )
    })
  return { records: good.records, append, sync: Effect.mapError(file.sync, failed) }
})

/** The records of an output that is complete; what is no record is passed over. */
export const records = (path: string): Stream.Stream<BatchRecord, BatchError, FileSystem.FileSystem> =>
  JsonLines.read(path).pipe(
    Stream.mapError(failedAt(path)),
    Stream.map(({ text }) => Result.flatMap(text, parse)),
    Stream.filter(Result.isSuccess),
    Stream.map(({ success }) => success)
  )
