/** `holdfast report out.jsonl`: the story of a batch as one page, made of its output alone. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { BadInput } from "./internal/ending.ts"
import * as Report from "./internal/report.ts"

interface Input {
  readonly records: string
  readonly out: Option.Option<string>
}

const input = {
  records: Argument.String("out.jsonl").pipe(
    Argument.withDescription("The output of holdfast batch, whole or as far as it has come")
  ),
  out: Flag.String("out").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("The page; one that is there is replaced (default: out.html for out.jsonl)"),
    Flag.optional
  )
}

/** The command; it asks nothing of the network. */
export const report: Command.Command<"report", Input, {}, BadInput, FileSystem.FileSystem> = Command.make(
  "report",
  input,
  (input) => make(input)
).pipe(
  Command.withDescription(
    "Make one HTML page of a batch's output: attempts over time, times, failures, tokens and cost. It needs no network."
  ),
  Command.withExamples([
    { command: "holdfast report out.jsonl --out report.html", description: "After holdfast batch" }
  ])
)

const make = Effect.fnUntraced(function* ({ records, out }: Input) {
  const path = Option.getOrElse(out, () => `${records.replace(/\.(jsonl|ndjson)$/, "")}.html`)
  const { isTorn, items } = yield* Report.write({ records, report: path })
  if (isTorn) yield* Console.error(`holdfast: the last line of ${records} is cut off and was left out`)
  yield* Console.log(`${path}: ${items.toLocaleString("en-US")} ${items === 1 ? "item" : "items"}`)
})
