/**
 * Leaf timers: `setTimeout` under the default Clock (0.1 µs, where a race of fibers costs 3.2), and any other Clock's
 * own `sleep`, so that TestClock and virtual time move them.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** The clock of the machine. */
export const defaultClock: Clock.Clock = Context.get(Context.empty(), Clock.Clock)

// The longest delay of setTimeout; a longer one would fire at once. (2^31 - 1 ms, 24.8 days)
const maxMillis = 2_147_483_647

const nothing = (): void => {}

/** Calls `run` once after `millis` of the clock, and returns what cancels it. An infinite time never comes. */
export const after = (clock: Clock.Clock, millis: number, run: () => void): (() => void) => {
  if (millis > maxMillis) return nothing
  if (clock === defaultClock) {
    // oxlint-disable-next-line no-restricted-globals -- the one leaf timer
    const timer = setTimeout(run, Math.max(0, millis))
    return () => clearTimeout(timer)
  }
  const sleeping = Effect.runFork(clock.sleep(Duration.millis(Math.max(0, millis))))
  sleeping.addObserver((exit) => {
    if (Exit.isSuccess(exit)) run()
  })
  return () => sleeping.interruptUnsafe()
}

/**
 * Runs an effect and interrupts it when its time is over, then fails with `onTimeout`. Waits for the effect's
 * finalizers, as `Effect.timeout` does. It starts one fiber, where `Effect.timeout` starts two.
 */
export const within = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  onTimeout: () => E2
): Effect.Effect<A, E | E2, R> => {
  if (millis > maxMillis) return self
  return Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<A, E | E2>((resume) => {
      let isOver = false
      const child = Effect.runForkWith(context)(self)
      const cancel = after(Context.get(context, Clock.Clock), millis, () => {
        isOver = true
        child.interruptUnsafe()
      })
      child.addObserver((exit) => {
        cancel()
        resume(isOver && Exit.hasInterrupts(exit) ? Effect.fail(onTimeout()) : exit)
      })
      return Effect.suspend(() => {
        cancel()
        child.interruptUnsafe()
        return Effect.callback<void>((done) => {
          child.addObserver(() => done(Effect.void))
        })
      })
    })
  )
}
