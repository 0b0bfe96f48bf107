/** A wait that keeps no program alive: what waits here only tidies up, and a program that is done may end without it. */
import * as Timers from "node:timers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The longest that a timer of Node can wait, 24.8 days: a longer wait never ends. */
const maxMillis = 2 ** 31 - 1

/** Ends after `wait`. In real time, whatever the clock: what it ends is a real process. */
export const after = (wait: Duration.Duration): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const millis = Duration.toMillis(wait)
    if (millis > maxMillis) return undefined
    const timer = Timers.setTimeout(() => resume(Effect.void), millis)
    timer.unref()
    return Effect.sync(() => Timers.clearTimeout(timer))
  })
