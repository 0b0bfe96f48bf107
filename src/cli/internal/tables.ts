/** The tables at the end of a run. */
import Table from "cli-table3"
import type * as Fault from "../../testing/Fault.ts"
import { kinds } from "../../testing/Fault.ts"
import type { Check } from "./checks.ts"
import type { Outcome } from "./outcome.ts"
import { plain } from "./plain.ts"

/** What a run came to. */
export interface Run {
  readonly outcomes: ReadonlyArray<Outcome>
  /** Tasks that were to be solved. */
  readonly total: number
  readonly durationMillis: number
  /** Present in an offline run. */
  readonly faults?: Fault.Tally | undefined
  /** The file with a line for each finished task. */
  readonly out?: string | undefined
}

// More failures than this are in the results file, not on the screen.
const maxFailuresShown = 20

/** All that is said at the end, as one text. */
export const render = (run: Run): string =>
  [tasksTable(run.outcomes), ...faultLines(run.faults), ...failureLines(run.outcomes), verdict(run)].join("\n")

/** What `doctor` saw, in a screen of 100 columns. */
export const renderChecks = (checks: ReadonlyArray<Check>): string => {
  const table = new Table({
    colWidths: [18, 9, 69],
    wordWrap: true,
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" }
  })
  for (const { detail, name, status } of checks) table.push([name, status, plain(detail)])
  const count = (status: Check["status"]): string =>
    `${checks.filter((check) => check.status === status).length} ${status}`
  return [table.toString(), (["ok", "weak", "missing", "failed"] as const).map(count).join(", ")].join("\n")
}

const tasksTable = (outcomes: ReadonlyArray<Outcome>): string => {
  const table = makeTable(["", "tasks", "passed", "rounds", "retries", "tokens in", "tokens out", "time per task"])
  const languages = [...new Set(outcomes.map(({ language }) => language))].sort()
  for (const language of languages)
    table.push(
      row(
        language,
        outcomes.filter((outcome) => outcome.language === language)
      )
    )
  if (languages.length !== 1) table.push(row("all", outcomes))
  return table.toString()
}

const row = (name: string, outcomes: ReadonlyArray<Outcome>): Array<string | number> => {
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0)
  return [
    name,
    outcomes.length,
    sum(({ passed }) => (passed ? 1 : 0)),
    sum(({ rounds }) => rounds),
    sum(({ retries }) => retries),
    sum(({ usage }) => usage.inputTokens),
    sum(({ usage }) => usage.outputTokens),
    outcomes.length === 0 ? "-" : seconds(sum(({ durationMillis }) => durationMillis) / outcomes.length)
  ]
}

/** How many requests of an offline run failed on purpose, by kind. */
export const faultLines = (tally: Fault.Tally | undefined): ReadonlyArray<string> => {
  if (tally === undefined) return []
  const table = makeTable(["injected fault", "injected", "survived"])
  for (const kind of kinds) table.push([kind, tally.injected[kind], tally.survived[kind]])
  const total = kinds.reduce((sum, kind) => sum + tally.injected[kind], 0)
  const share = tally.requests === 0 ? 0 : Math.round((100 * total) / tally.requests)
  return [table.toString(), `${total} of ${tally.requests} requests (${share} %) failed on purpose`]
}

const failureLines = (outcomes: ReadonlyArray<Outcome>): ReadonlyArray<string> => {
  const failed = outcomes.filter(({ passed }) => !passed)
  const more = failed.length - maxFailuresShown
  return [
    ...failed
      .slice(0, maxFailuresShown)
      .map(({ id, problem }) => plain(`failed ${id}: ${(problem ?? "").split("\n", 1)[0] ?? ""}`)),
    ...(more > 0 ? [`... and ${more} more`] : [])
  ]
}

const verdict = ({ outcomes, total, durationMillis, out }: Run): string => {
  const passed = outcomes.filter((outcome) => outcome.passed).length
  const stopped = outcomes.length < total ? `, stopped after ${outcomes.length}` : ""
  const kept = out === undefined ? "" : `; results are in ${out}`
  return `passed ${passed} of ${total}${stopped}, in ${seconds(durationMillis)}${kept}`
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

/** A table of figures; its first column is their names unless it is said to be one of them. */
export const makeTable = (head: Array<string>, first: "left" | "right" = "left"): Table.Table =>
  new Table({
    head,
    colAligns: head.map((_, index) => (index === 0 ? first : "right")),
    // No colours: the table is read by files and pipes too.
    style: { head: [], border: [] }
  })
