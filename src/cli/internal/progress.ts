/** What a person sees while tasks are solved: a bar on a terminal, a line for each finished task anywhere else. */
import { SingleBar } from "cli-progress"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import type { Outcome } from "./outcome.ts"
import { plain } from "./plain.ts"

export interface Progress {
  readonly note: (outcome: Outcome) => Effect.Effect<void>
}

/** On stderr, so that stdout holds the table alone. The bar is taken away when the scope closes. */
export const make = Effect.fnUntraced(function* (
  total: number
): Effect.fn.Return<Progress, never, Scope.Scope | Stdio.Stdio> {
  const stdio = yield* Stdio.Stdio
  return (yield* stdio.stderrIsTerminal) ? yield* makeBar(total) : makeLines(total)
})

const makeBar = Effect.fnUntraced(function* (total: number) {
  const counts = { passed: 0, failed: 0, rounds: 0, retries: 0 }
  const bar = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const format =
        "{bar} {value}/{total}  passed {passed}  failed {failed}  rounds {rounds}  retries {retries}  {duration_formatted}"
      const bar = new SingleBar({
        format,
        barsize: 24,
        barCompleteChar: "█",
        barIncompleteChar: "░",
        hideCursor: true,
        clearOnComplete: true,
        // Interruption closes the scope, which stops the bar.
        gracefulExit: false
      })
      bar.start(total, 0, counts)
      return bar
    }),
    (bar) => Effect.sync(() => bar.stop())
  )
  const note = (outcome: Outcome): Effect.Effect<void> =>
    Effect.sync(() => {
      counts[outcome.passed ? "passed" : "failed"]++
      counts.rounds += outcome.rounds
      counts.retries += outcome.retries
      bar.increment(1, counts)
    })
  return { note }
})

const makeLines = (total: number): Progress => {
  let done = 0
  return { note: (outcome) => Console.error(`[${++done}/${total}] ${sentence(outcome)}`) }
}

/** One finished task in one line. */
const sentence = ({ id, passed, rounds, retries, durationMillis, problem = "" }: Outcome): string => {
  const effort = `${many(rounds, "round")}, ${many(retries, "retry", "retries")}, ${(durationMillis / 1000).toFixed(1)} s`
  const why = passed ? "" : ` (${problem.split("\n", 1)[0] ?? ""})`
  return plain(`${passed ? "passed" : "FAILED"} ${id}: ${effort}${why}`)
}

const many = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`
