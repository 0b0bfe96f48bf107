/** Effect's TestClock, with what a mover of time has to know besides: which sleep ends next, and when anything moves. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"

/** A clock that stands still until it is set. Its times are milliseconds since it was made. */
export interface VirtualClock {
  /** The clock, and the scheduler that lets whoever wakes run until it waits again. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly elapsed: () => number
  /** When the sleep that ends first does. Absent: nobody sleeps, or for ever. */
  readonly next: () => number | undefined
  /** How often a sleep has begun or ended. */
  readonly moves: () => number
  /** Told of each of these; call what it returns to hear no more. */
  readonly onMove: (listener: () => void) => () => void
  /** Moves the time, and wakes whose sleep ends until then, in order. */
  readonly moveTo: (elapsedMillis: number) => Effect.Effect<void>
}

// As long as it is provided: what it is made under must not be the scheduler of `runSync`, which runs nothing later.
const defaultScheduler = Context.get(Context.empty(), Scheduler.Scheduler)

const testClock = Effect.all([TestClock.testClockWith(Effect.succeed), Scheduler.Scheduler]).pipe(
  Effect.provide(TestClock.layer()),
  Effect.provideService(Scheduler.Scheduler, defaultScheduler)
)

/** Makes one that begins at `startMillis` since the epoch. */
export const make = (startMillis: number): VirtualClock => {
  const [test, scheduler] = Effect.runSync(testClock)
  const ends = new Set<{ readonly at: number }>()
  const listeners = new Set<() => void>()
  let moves = 0
  const moved = (): void => {
    moves++
    for (const listener of listeners) listener()
  }
  const startNanos = BigInt(Math.round(startMillis)) * 1_000_000n
  const sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.suspend(() => {
      const end = { at: test.currentTimeMillisUnsafe() + Duration.toMillis(duration) }
      if (Number.isFinite(end.at)) ends.add(end)
      moved()
      return Effect.ensuring(
        test.sleep(duration),
        Effect.sync(() => {
          ends.delete(end)
          moved()
        })
      )
    })
  const millis = (): number => startMillis + test.currentTimeMillisUnsafe()
  const nanos = (): bigint => startNanos + test.currentTimeNanosUnsafe()
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: test.monotonicTimeNanosUnsafe,
    monotonicTimeNanos: test.monotonicTimeNanos,
    sleep
  }
  return {
    context: Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, scheduler)),
    clock,
    elapsed: test.currentTimeMillisUnsafe,
    next: () => {
      let first: number | undefined
      for (const { at } of ends) if (first === undefined || at < first) first = at
      return first
    },
    moves: () => moves,
    onMove: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    moveTo: test.setTime
  }
}
