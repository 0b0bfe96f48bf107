/** What a person sees while a batch runs: a bar on a terminal, a line for each hundredth anywhere else. */
import { SingleBar } from "cli-progress"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import type { Tally } from "./batchTally.ts"

export interface Progress {
  /** Shows what the tally says now. */
  readonly show: Effect.Effect<void>
}

/** On stderr, so that stdout holds the table alone. The bar is taken away when the scope closes. */
export const make = Effect.fnUntraced(function* (
  total: number,
  tally: Tally
): Effect.fn.Return<Progress, never, Scope.Scope | Stdio.Stdio> {
  const stdio = yield* Stdio.Stdio
  const startMillis = yield* Clock.currentTimeMillis
  const figures = Effect.map(Clock.currentTimeMillis, (now) => figuresOf(tally, total, now - startMillis))
  return (yield* stdio.stderrIsTerminal) ? yield* makeBar(total, tally, figures) : makeLines(total, tally, figures)
})

interface Figures {
  readonly rate: string
  readonly left: string
  readonly cost: string
}

const figuresOf = (tally: Tally, total: number, elapsedMillis: number): Figures => {
  const perSecond = elapsedMillis > 0 ? (tally.fresh * 1000) / elapsedMillis : 0
  const leftSeconds = perSecond > 0 ? (total - tally.records) / perSecond : undefined
  return {
    rate: `${perSecond >= 100 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`,
    left: leftSeconds === undefined ? "-" : time(leftSeconds),
    cost: tally.money
  }
}

/** `2h 5m`, `5m 7s` or `7s`. */
export const time = (seconds: number): string => {
  const whole = Math.round(seconds)
  if (whole >= 3600) return `${Math.floor(whole / 3600)}h ${Math.floor((whole % 3600) / 60)}m`
  return whole >= 60 ? `${Math.floor(whole / 60)}m ${whole % 60}s` : `${whole}s`
}

const format =
  "{bar} {value}/{total}  failed {failed}  retries {retries}  {rate}  cost {cost}  {duration_formatted}, {left} left"

const makeBar = Effect.fnUntraced(function* (total: number, tally: Tally, figures: Effect.Effect<Figures>) {
  const payload = (now: Figures) => ({ ...now, failed: tally.failed, retries: tally.retries })
  const bar = yield* Effect.acquireRelease(
    Effect.map(figures, (now) => {
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
      bar.start(total, tally.records, payload(now))
      return bar
    }),
    (bar) => Effect.sync(() => bar.stop())
  )
  return { show: Effect.map(figures, (now) => bar.update(tally.records, payload(now))) }
})

const makeLines = (total: number, tally: Tally, figures: Effect.Effect<Figures>): Progress => {
  const step = Math.ceil(total / 100)
  return {
    show: Effect.suspend(() =>
      tally.records % step !== 0 && tally.records < total
        ? Effect.void
        : Effect.flatMap(figures, ({ cost, left, rate }) =>
            Console.error(
              `[${tally.records}/${total}] ${tally.failed} failed, ${tally.retries} retries, ${rate}, cost ${cost}, ${left} left`
            )
          )
    )
  }
}
