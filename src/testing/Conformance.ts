/**
 * The failure table as a suite to run: what a call must do when the world misbehaves, checked against your own code.
 *
 * Each row starts a server on loopback that misbehaves in one way, has the code under test call it, and looks at what
 * reached the server and at what the caller was told. Rows and results are values, so that any test runner can run them:
 * `for (const row of Conformance.rows) it(row.name, () => Conformance.check(row, client))`.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { asked } from "./internal/conformanceAsked.ts"
import type { Call, Client, Ended, Piece, Row, Seen, Sending, Stage, Target, Times } from "./internal/conformanceRow.ts"
import { play } from "./internal/conformanceStage.ts"
import { streamed } from "./internal/conformanceStreamed.ts"
import type { Stats } from "./internal/conformanceWire.ts"

export { ofClient, ofLlm } from "./internal/conformanceClients.ts"
export type { Call, Client, Ended, Piece, Row, Seen, Sending, Stage, Stats, Target, Times }

/** A client, or a function that makes one call for a whole answer and gives its text, or an object with a `text`. */
export type Subject = Client | ((url: string, call: Call) => Promise<unknown>)

export interface Options {
  /**
   * The base URL of an endpoint of yours, such as `"http://127.0.0.1:8000/v1"`. The misbehaving server then stands before
   * it: good answers are the endpoint's, and so is the begin of the streams that break. Default: it makes them itself.
   */
  readonly upstream?: string | undefined
  /**
   * The times of a client that does not take those of a row, in milliseconds. They say how long a row waits for a call
   * before it gives it up. Default: the client goes by `call.times`.
   */
  readonly times?: Partial<Times> | undefined
  /**
   * What a call may take beyond its times, in milliseconds, and four times that in a heavy row; then it is given up.
   * Default: `5000`.
   */
  readonly slackMillis?: number | undefined
}

/** How a row ended. */
export interface Verdict {
  readonly row: Row
  readonly outcome: "held" | "failed" | "skipped"
  /** What did not hold, or what the client cannot do. Empty where the row held. */
  readonly problems: ReadonlyArray<string>
  /** How the row's calls ended. */
  readonly calls: ReadonlyArray<Ended>
  /** What reached the server. Absent where the row was skipped. */
  readonly stats?: Stats | undefined
}

/** A row that does not hold. Its message says what, in one line. */
export class ConformanceError extends Data.TaggedError("ConformanceError")<{ readonly verdict: Verdict }> {
  override get message(): string {
    const { problems, row } = this.verdict
    return `${row.name} (the server: ${row.server}): ${problems.join("; ")}`
  }
}

/** All rows of the table that can be seen from outside, in its order of whole answers, requests, streams. */
export const rows: ReadonlyArray<Row> = [...asked, ...streamed]

const clientOf = (subject: Subject): Client =>
  typeof subject === "function" ? { ask: (call) => subject(call.url, call) } : subject

/** Plays one row, and tells how it ended, whatever that is. */
export const judge = async (row: Row, subject: Subject, options: Options = {}): Promise<Verdict> => {
  const client = clientOf(subject)
  const missing = row.needs.filter((ability) => client[ability] === undefined)
  if (missing.length > 0) {
    return { row, outcome: "skipped", problems: [`the client has no \`${missing.join("`, `")}\``], calls: [] }
  }
  const { calls, problems, stats } = await play({ ...options, row, client })
  return { row, outcome: problems.length === 0 ? "held" : "failed", problems, calls, stats }
}

/** The same for a test: rejects with a `ConformanceError` where the row does not hold. */
export const check = async (row: Row, subject: Subject, options?: Options): Promise<Verdict> => {
  const verdict = await judge(row, subject, options)
  if (verdict.outcome === "failed") throw new ConformanceError({ verdict })
  return verdict
}

/** What all rows came to. */
export interface Report {
  readonly verdicts: ReadonlyArray<Verdict>
  readonly held: number
  readonly failed: number
  readonly skipped: number
}

/** How many rows are played at a time: most of their time is waiting. */
const concurrency = 4

/** Plays all rows, or those that are given. The verdicts are in the order of the rows. */
export const run = async (
  subject: Subject,
  { only = rows, ...options }: Options & { readonly only?: ReadonlyArray<Row> | undefined } = {}
): Promise<Report> => {
  const played = new Map<Row, Verdict>()
  const playing = (some: ReadonlyArray<Row>, concurrency: number): Promise<void> =>
    Effect.runPromise(
      Effect.forEach(some, (row) => Effect.promise(async () => played.set(row, await judge(row, subject, options))), {
        concurrency,
        discard: true
      })
    )
  await playing(
    only.filter(({ isHeavy }) => isHeavy !== true),
    concurrency
  )
  await playing(
    only.filter(({ isHeavy }) => isHeavy === true),
    1
  )
  const verdicts = only.flatMap((row) => played.get(row) ?? [])
  const count = (outcome: Verdict["outcome"]): number =>
    verdicts.filter((verdict) => verdict.outcome === outcome).length
  return { verdicts, held: count("held"), failed: count("failed"), skipped: count("skipped") }
}

/** A report as text: a line for each row that does not hold or was skipped, and the sum. */
export const print = ({ failed, held, skipped, verdicts }: Report): string =>
  [
    ...verdicts
      .filter(({ outcome }) => outcome !== "held")
      .map(({ outcome, problems, row }) => `${outcome.padEnd(7)} ${row.name}\n        ${problems.join("; ")}`),
    `${held} held, ${failed} failed, ${skipped} skipped`
  ].join("\n")
