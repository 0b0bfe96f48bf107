/** The report of a batch: one HTML page that is made of the batch's output alone, and needs nothing but itself. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { basename, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { type BadInput, badInput } from "./ending.ts"
import { Tally } from "./reportFigures.ts"
import { render } from "./reportPage.ts"
import { readRecords } from "./reportRecords.ts"
import { why } from "./tasks.ts"

const doctype = "<!doctype html>"

/** What is reported, and where to. */
export interface Asked {
  /** The batch's output, JSON Lines. */
  readonly records: string
  /** The page; one that is there is replaced, whole or not at all, and no other file ever is. */
  readonly report: string
  /** Items of the batch's input, where known: the page says how many of them have no record. Default: all have one. */
  readonly total?: number | undefined
}

/** What was read, for the line that a command says about it. */
export interface Written {
  readonly items: number
  /** The last line was cut off and is left out of the page. */
  readonly isTorn: boolean
}

/** Fails when the page could not be written there: asked at the start of a batch, it costs no work. */
export const check = (asked: Asked): Effect.Effect<void, BadInput, FileSystem.FileSystem> =>
  Effect.scoped(Effect.asVoid(openBeside(asked)))

/** Reads the records and writes the page. */
export const write = Effect.fnUntraced(function* (
  asked: Asked
): Effect.fn.Return<Written, BadInput, FileSystem.FileSystem | Scope.Scope> {
  yield* check(asked)
  const tally = new Tally()
  const { isTorn } = yield* readRecords(asked.records, (record) => tally.add(record))
  const figures = tally.toFigures()
  if (figures.items === 0) return yield* badInput(`${asked.records} holds no records; run the batch first`)
  const about = { name: basename(asked.records), total: asked.total, isTorn }
  yield* replace(asked, render(figures, about, yield* readChartJs))
  return { items: figures.items, isTorn }
}, Effect.scoped)

/** Chart.js as a script, without the comment that makes a browser look for a file beside the page. */
const readChartJs: Effect.Effect<string, never, FileSystem.FileSystem> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const script = fileURLToPath(new URL("chart.umd.min.js", import.meta.resolve("chart.js")))
  return (yield* fs.readFileString(script)).replace(/^\/\/# sourceMappingURL=.*$/m, "")
  // Who has this file has that package, too.
}).pipe(Effect.orDie)

/** The first letters of a file; none where there is no such file. */
const headOf = (fs: FileSystem.FileSystem, path: string): Effect.Effect<string> =>
  Effect.orElseSucceed(Stream.mkString(Stream.decodeText(fs.stream(path, { bytesToRead: doctype.length }))), () => "")

/** A name beside the page, taken by an empty file that goes with the scope, and the file that it will replace. */
const openBeside = Effect.fnUntraced(function* ({ records, report }: Asked) {
  const fs = yield* FileSystem.FileSystem
  const target = yield* Effect.orElseSucceed(fs.realPath(report), () => resolve(report))
  const source = yield* Effect.orElseSucceed(fs.realPath(records), () => resolve(records))
  if (target === source) return yield* badInput(`the report would replace the records, ${records}; name another file`)
  const type = yield* Effect.orElseSucceed(
    Effect.map(fs.stat(target), ({ type }) => type),
    () => "File"
  )
  // A rename over a device would replace the device.
  if (type !== "File") return yield* badInput(`cannot write ${report}: it is no file; name a file that can be written`)
  const head = yield* headOf(fs, target)
  // A word in the wrong place of a command line must not cost a file.
  if (head !== "" && head !== doctype)
    return yield* badInput(`${report} is there and is no page; name another file for the report, or remove it`)
  const part = `${target}.${yield* Random.nextIntBetween(1, 2 ** 31)}.part`
  yield* Effect.acquireRelease(
    Effect.mapError(fs.writeFileString(part, "", { flag: "wx" }), (error) => refusal(report, error)),
    () => Effect.ignore(fs.remove(part, { force: true }))
  )
  return { part, target }
})

/** Whole or not at all: whoever reads meanwhile sees the page before or the new one. */
const replace = Effect.fnUntraced(function* (asked: Asked, page: string) {
  const fs = yield* FileSystem.FileSystem
  const { part, target } = yield* openBeside(asked)
  yield* fs.writeFileString(part, page).pipe(
    Effect.andThen(fs.rename(part, target)),
    Effect.mapError((error) => refusal(asked.report, error))
  )
})

const refusal = (path: string, error: PlatformError): BadInput =>
  badInput(`cannot write ${path}: ${why(error, "there is no such directory")}; name a file that can be written`)
