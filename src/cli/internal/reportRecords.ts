/** Reads the output of a batch line by line, and no more of it at once than the longest line. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { LineDecoder } from "../../http/internal/lines.ts"
import { type BatchRecord, parse } from "../../work/BatchRecord.ts"
import { type BadInput, badInput } from "./ending.ts"
import { cut } from "./reportKept.ts"
import { why } from "./tasks.ts"

// Far above any answer of a model; a file without line ends must not fill the memory.
const maxLineBytes = 64 * 2 ** 20

/** What came of a reading. */
export interface Read {
  /** The last line was cut off, as a kill or a full disk leaves it: it is not among the records. */
  readonly isTorn: boolean
}

/** Gives each record of the file to `each`, in order. Any line that is no record, but a last one cut off, is bad input. */
export const readRecords = Effect.fnUntraced(function* (
  path: string,
  each: (record: BatchRecord) => void
): Effect.fn.Return<Read, BadInput, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const lines = new LineDecoder()
  let number = 0
  let problem: string | undefined
  const onLine = (line: string): void => {
    number++
    if (problem !== undefined || line.trim() === "") return
    const record = Result.flatMap(parse(line), usable)
    if (Result.isSuccess(record)) each(record.success)
    else problem = `${path}:${number}: not a record of a batch: ${cut(record.failure, 200)}`
  }
  const unread = (): Effect.Effect<void, BadInput> => {
    if (lines.waitingBytes > maxLineBytes) problem ??= `${path}:${number + 1}: the line is longer than 64 MiB`
    return problem === undefined ? Effect.void : Effect.fail(badInput(`${problem}; name the output of holdfast batch`))
  }
  yield* fs.stream(path).pipe(
    Stream.mapError((error) => badInput(`cannot read ${path}: ${why(error)}; check the path`)),
    Stream.runForEach((chunk) => {
      lines.push(chunk)
      lines.drain(onLine)
      return unread()
    })
  )
  const isUnended = lines.waitingBytes > 0
  const whole = number
  let last = ""
  lines.end((line) => (last = line))
  // A record that misses nothing but its line end counts; what no longer is JSON was cut off.
  const isTorn = isUnended && last.startsWith("{") && !isJson(last)
  if (isUnended && !isTorn) onLine(last)
  yield* unread()
  if (isTorn && whole === 0) return yield* badInput(`${path} holds no whole record; resume the batch first`)
  return { isTorn }
})

const isJson = (text: string): boolean =>
  Result.isSuccess(Result.try({ try: () => JSON.parse(text), catch: () => undefined }))

// The last moment that a date can name.
const maxMillis = 8.64e15

/** A record whose numbers can be counted with. */
const usable = (record: BatchRecord): Result.Result<BatchRecord, string> => {
  const { cost = 0, durationMillis, startMillis, usage } = record
  const spans = [{ startMillis, durationMillis }, ...record.attempts]
  const counts = [
    ...spans.flatMap(({ startMillis, durationMillis }) => [startMillis, durationMillis, startMillis + durationMillis]),
    ...record.attempts.flatMap(({ waitMillis = 0, queuedMillis = 0 }) => [waitMillis, queuedMillis]),
    ...Object.values(usage ?? {}).filter((value) => typeof value === "number"),
    cost
  ]
  return counts.every((count) => count >= 0 && count <= maxMillis)
    ? Result.succeed(record)
    : Result.fail("a number in it is negative or beyond all bounds")
}
