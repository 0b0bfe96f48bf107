/** What is said at the end of a batch, whatever ended it. */
import type * as Fault from "../../testing/Fault.ts"
import { time } from "./batchProgress.ts"
import type { Tally } from "./batchTally.ts"
import { plain } from "./plain.ts"
import { faultLines, makeTable } from "./tables.ts"

/** What a batch came to. */
export interface Run {
  readonly tally: Tally
  /** Items of the input. */
  readonly total: number
  readonly durationMillis: number
  readonly output: string
  /** Present in an offline run. */
  readonly faults?: Fault.Tally | undefined
}

/** All that is said at the end, as one text. */
export const render = (run: Run): string =>
  [figures(run.tally), ...reasons(run.tally), ...faultLines(run.faults), ...failures(run.tally), verdict(run)].join(
    "\n"
  )

const figures = (tally: Tally): string => {
  const head = ["done", "failed", "duplicates", "retries", "tokens in", "tokens out", "cost", "p50", "p95"]
  const table = makeTable(head, "right")
  const [p50, p95] = tally.percentiles([0.5, 0.95])
  const { done, duplicates, failed, money, retries, usage } = tally
  table.push([
    done,
    failed,
    duplicates,
    retries,
    usage.inputTokens,
    usage.outputTokens,
    money,
    seconds(p50),
    seconds(p95)
  ])
  return table.toString()
}

const reasons = (tally: Tally): ReadonlyArray<string> => {
  if (tally.failed === 0) return []
  const table = makeTable(["failed by", "items"])
  for (const [code, count] of [...tally.reasons].sort(([, a], [, b]) => b - a)) table.push([plain(code), count])
  return [table.toString()]
}

const failures = ({ failed, failures }: Tally): ReadonlyArray<string> => {
  const more = failed - failures.length
  return [...failures.map((line) => plain(`failed ${line}`)), ...(more > 0 ? [`... and ${more} more`] : [])]
}

const verdict = ({ durationMillis, output, tally, total }: Run): string => {
  const left = total - tally.records
  const rate = durationMillis > 0 && tally.fresh > 0 ? ` (${((tally.fresh * 1000) / durationMillis).toFixed(1)}/s)` : ""
  const took = durationMillis >= 60_000 ? time(durationMillis / 1000) : seconds(durationMillis)
  const said = `done ${tally.done} of ${total}, ${tally.failed} failed, in ${took}${rate}; results are in ${output}`
  if (left > 0) return plain(`${said}\n${left} left; the same command with --resume goes on`)
  const again = "the same command with --resume --retry-failed asks again what failed"
  return plain(tally.failed === 0 ? said : `${said}\n${again}`)
}

const seconds = (millis: number | undefined): string =>
  millis === undefined ? "-" : millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`
