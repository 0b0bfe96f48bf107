/**
 * A program that ends in good order: the first signal drains and then interrupts it, a second one ends it at once, and
 * the grace bounds all of it.
 *
 * signal → units of work finish → open policies take no new calls, those in flight finish → the program is interrupted
 * and its finalizers run → exit 130 (SIGINT) or 143 (SIGTERM). Waiting for work ends where the last quarter of the grace
 * begins, 5 seconds before its end at the latest: that time is the finalizers'.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Runtime from "effect/Runtime"
import { Current, type Drainable, type Report, Work } from "./internal/drains.ts"
import { exitCodes, type Host, listen, processHost, type Signal } from "./internal/signals.ts"

export { Current, type Drainable, register, type Report, type Watch } from "./internal/drains.ts"
export type { Host, Signal } from "./internal/signals.ts"

export interface Options {
  /** From the first signal to the end of the process. Default: `"8 seconds"`: Docker kills after 10, Kubernetes after 30. */
  readonly grace?: Duration.Input | undefined
  /** What is drained besides the policies that the program opens. Default: nothing. */
  readonly drains?: ReadonlyArray<Drainable> | undefined
  /**
   * A signal that comes sooner than this after the first is the same one. Default: `"200 millis"`: a terminal sends
   * Ctrl-C to the whole group, and npm sends it on to its child once more.
   */
  readonly samePress?: Duration.Input | undefined
  /** Where signals come from. Default: Node's process; where there is none, no signal comes. */
  readonly host?: Host | undefined
}

/** A signal has ended the program. The process's exit code is `exitCode`. */
export class Stopped extends Data.TaggedError("Stopped")<{
  readonly signal: Signal
  /** What was drained; absent when a second signal did not wait for it. */
  readonly report?: Report | undefined
  /** Whether the program and its finalizers have ended; what has not runs on until the process exits. */
  readonly isClean: boolean
}> {
  /** 128 + the signal's number. */
  get exitCode(): number {
    return exitCodes[this.signal]
  }
  override get [Runtime.errorExitCode](): number {
    return this.exitCode
  }
  override readonly [Runtime.errorReported] = false
  override get message(): string {
    const { isClean, report, signal } = this
    if (report === undefined) return `stopped by ${signal}, at once by a second signal`
    const all = [say(report, "call"), say(report.units, "unit")].filter((counts) => counts !== "")
    const left = isClean ? "" : "; the grace ended before the finalizers did"
    return `stopped by ${signal}: ${all.join(", ") || "nothing was under way"}${left}`
  }
}

const say = ({ finished, interrupted }: Report["units"], noun: string): string =>
  finished + interrupted === 0
    ? ""
    : `${finished} ${noun}${finished === 1 ? "" : "s"} finished, ${interrupted} interrupted`

/** Whether a signal has asked the program around to end. */
export const isStopping: Effect.Effect<boolean> = Effect.withFiber((fiber) =>
  Effect.succeed(fiber.getRef(Current)?.isStopping === true)
)

/**
 * One unit of work, such as an item of a batch with all of its calls: a shutdown lets it finish within the grace, calls
 * that it has yet to make included. One that would begin later waits instead, and is interrupted with the program.
 */
export const unit = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => fiber.getRef(Current)?.unit(self) ?? self)

/** The part of the grace in which work may finish, in milliseconds; the rest belongs to finalizers. */
const drainMillisOf = (graceMillis: number): number => graceMillis - Math.min(graceMillis / 4, 5000)

// What finished last still has its result to put away, in steps that no policy sees.
const settleMillis = 1000

interface Program<A, E> {
  readonly fiber: Fiber.Fiber<A, E>
  readonly work: Work
  readonly graceMillis: number
}

/** From the first signal to the end of the program or of the grace. Leaving it leaves the program as it is. */
const windDown = Effect.fnUntraced(function* <A, E>({ fiber, graceMillis, work }: Program<A, E>, signal: Signal) {
  const clock = yield* Clock.Clock
  const endsAt = clock.currentTimeMillisUnsafe() + graceMillis
  const drainMillis = drainMillisOf(graceMillis)
  const left = (millis: number): Duration.Duration => Duration.millis(Math.max(0, millis))
  const ended = Fiber.await(fiber)
  const drains = yield* Effect.forkChild(work.drain(drainMillis))
  const drained = Effect.gen(function* () {
    const report = yield* Fiber.join(drains)
    const rest = endsAt - graceMillis + drainMillis - clock.currentTimeMillisUnsafe()
    if (report.finished + report.units.finished > 0) yield* Effect.sleep(left(Math.min(settleMillis, rest)))
  })
  // A drain that outlives its time takes half of the finalizers', no more.
  const atLatest = Effect.sleep(left((drainMillis + graceMillis) / 2))
  yield* Effect.raceAllFirst([ended, drained, atLatest])
  fiber.interruptUnsafe()
  const both = Effect.andThen(ended, Fiber.join(drains))
  const report = yield* Effect.timeoutOption(both, left(endsAt - clock.currentTimeMillisUnsafe()))
  const isClean = report._tag === "Some"
  const stopped = new Stopped({ signal, isClean, report: isClean ? report.value : work.report })
  const { finished, interrupted, units } = stopped.report ?? work.report
  const isNews = finished + interrupted + units.finished + units.interrupted > 0
  yield* !isClean
    ? Effect.logWarning(stopped.message)
    : isNews
      ? Effect.logInfo(stopped.message)
      : Effect.logDebug(stopped.message)
  return stopped
})

/**
 * Runs a program until it ends, or until a signal has ended it: then it fails with `Stopped`. Policies opened inside are
 * drained. A second signal fails at once and leaves the finalizers running. `run` is this with a process around.
 */
export const stopOnSignal: {
  (options?: Options): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Stopped, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: Options): Effect.Effect<A, E | Stopped, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, options: Options = {}): Effect.Effect<A, E | Stopped, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const first = Deferred.makeUnsafe<Signal>()
        const second = Deferred.makeUnsafe<void>()
        const work = new Work(options.drains ?? [])
        const unlisten = listen(options.host ?? processHost, {
          nowMillis: () => clock.currentTimeMillisUnsafe(),
          samePressMillis: Duration.toMillis(options.samePress ?? "200 millis"),
          onFirst: (signal) => Deferred.doneUnsafe(first, Effect.succeed(signal)),
          onSecond: () => Deferred.doneUnsafe(second, Effect.void)
        })
        const fiber = yield* Effect.forkDetach(Effect.provideService(self, Current, work), { startImmediately: true })
        const graceMillis = Duration.toMillis(options.grace ?? "8 seconds")
        const watch = Effect.gen(function* () {
          const signal = yield* Effect.raceFirst(Effect.as(Fiber.await(fiber), undefined), Deferred.await(first))
          if (signal === undefined) return yield* Fiber.join(fiber)
          const atOnce = Effect.as(Deferred.await(second), new Stopped({ signal, isClean: false }))
          const stopped = yield* Effect.raceFirst(windDown({ fiber, work, graceMillis }, signal), atOnce)
          return yield* Effect.fail(stopped)
        })
        return yield* restore(watch).pipe(
          Effect.onInterrupt(() => Fiber.interrupt(fiber)),
          Effect.ensuring(Effect.sync(unlisten))
        )
      })
    )
)

/**
 * Runs a program as the main one of its process, in the place of `NodeRuntime.runMain`, and ends the process with 0, with
 * 1 (or the error's own `Runtime.errorExitCode`) after a failure, which is logged, or with 130 or 143 after a signal.
 */
export const run = <A, E>(program: Effect.Effect<A, E>, options: Options = {}): void =>
  Runtime.makeRunMain(({ fiber, teardown }) => {
    const { exit } = options.host ?? processHost
    fiber.addObserver((result) => teardown(result, exit))
  })(stopOnSignal(program, options))
