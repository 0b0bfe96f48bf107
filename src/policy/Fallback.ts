/**
 * The next alternative, by the reason of the failure, and a memory of who asked to be left alone.
 *
 * What may pass elsewhere (overload, throttle, quota, no connection, an open circuit) goes to the next one, an input that
 * is too long to one that takes longer inputs, everything else nowhere.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Deadline from "./Deadline.ts"
import { CoolDowns } from "./internal/coolDowns.ts"
import { Open } from "./internal/elsewhere.ts"
import { opened } from "./internal/opened.ts"
import { CircuitOpen, DeadlineExceeded, Shed } from "./PolicyError.ts"
import type { Safety } from "./Retry.ts"
import { classify as classifyError, type Retryable } from "./Retryable.ts"

export { Open } from "./internal/elsewhere.ts"

/** One of several that can do the same. */
export interface Alternative {
  /** Whose cool-down is remembered: different for each alternative. */
  readonly name: string
  /** Whether it takes inputs that are too long for the others. Default: `false`. */
  readonly longer?: boolean | undefined
  /** Which failures of those before it it serves. Default: by what the failure says of itself (`Retryable.fallback`). */
  readonly when?: ((error: unknown) => boolean) | undefined
  /** Until when it is left alone for another reason: `() => circuit.openUntilUnsafe(key)`. */
  readonly openUntil?: (() => number | undefined) | undefined
}

/** What `onFallback` is told before a call moves on. */
export interface FallbackEvent {
  readonly from: string
  readonly to: string
  readonly error: unknown
}

export interface Settings {
  /** Reads an error of a foreign kind. Default: the error's own members. */
  readonly classify?: ((error: unknown) => Retryable) | undefined
  /**
   * How long an alternative is skipped that refused for good without a time (its quota is used up). Default:
   * `"1 minute"`, so that it costs one request a minute.
   */
  readonly coolDown?: Duration.Input | undefined
  /**
   * How long an alternative is skipped after a failure that names no time; `undefined` is not at all. Default: `coolDown`
   * after a refusal for good, not at all after any other.
   */
  readonly coolDownOf?: ((error: unknown) => Duration.Input | undefined) | undefined
  /** The longest time that a server's `retryAfter` makes it skipped. Default: `"1 hour"`: a wrong header ends. */
  readonly maxCoolDown?: Duration.Input | undefined
  /** What a second send can do; an `unsafe` call moves on only when the first was not done. Default: `"idempotent"`. */
  readonly safety?: Safety | undefined
  /** Runs before a call moves on. Its failure is not possible; its time counts. */
  readonly onFallback?: ((event: FallbackEvent) => Effect.Effect<void>) | undefined
}

export interface Options<T extends Alternative> extends Settings {
  /** In order of preference; the first is the primary. */
  readonly alternatives: Ready<T>
  /**
   * Chooses among those that may be asked now, at the start of a call and at each move, where all that it has not asked
   * yet are in. Default: the first, and after it those that stand behind it.
   */
  readonly pick?: ((ready: Ready<T>) => T) | undefined
}

/** Those that may be asked, in their order. */
type Ready<T> = readonly [T, ...ReadonlyArray<T>]

export interface Fallback<T extends Alternative> {
  /**
   * Runs the first alternative that is not cooling down, and after a failure the next one that serves it. When all of them
   * are cooling down, the one that comes back first is asked now: a call is never refused by memory alone. The last
   * failure is the result.
   */
  readonly use: <A, E, R>(run: (alternative: T) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** The same for streams, which move on only while nothing was emitted. */
  readonly useStream: <A, E, R>(run: (alternative: T) => Stream.Stream<A, E, R>) => Stream.Stream<A, E, R>
  /** Until when an alternative is skipped, milliseconds since the epoch. `undefined` when it is not. */
  readonly coolUntilUnsafe: (name: string, nowMillis: number) => number | undefined
  /** Skips an alternative for what its failures alone do not say; a success of a later call ends it, as ever. */
  readonly coolUnsafe: (name: string, millis: number, nowMillis: number) => void
}

/** One call on its way through the alternatives. */
interface Way {
  readonly clock: Clock.Clock
  readonly deadlineAt: number
  readonly outer: ((error: unknown) => boolean) | undefined
}

const isReady = <T>(ready: ReadonlyArray<T>): ready is Ready<T> => ready.length > 0

class RememberingFallback<T extends Alternative> implements Fallback<T> {
  private readonly options: Options<T>
  private readonly classify: (error: unknown) => Retryable
  private readonly coolDownOf: (error: unknown) => Duration.Input | undefined
  private readonly maxCoolDownMillis: number
  private readonly coolDowns = new CoolDowns()

  constructor(options: Options<T>) {
    this.options = options
    this.classify = options.classify ?? classifyError
    const coolDown = options.coolDown ?? "1 minute"
    this.coolDownOf = options.coolDownOf ?? ((error) => (this.hasRefused(error) ? coolDown : undefined))
    this.maxCoolDownMillis = Duration.toMillis(options.maxCoolDown ?? "1 hour")
  }

  use: Fallback<T>["use"] = (run) =>
    Effect.withFiber((fiber) => {
      const { alternatives } = this.options
      const clock = fiber.getRef(Clock.Clock)
      const first = this.pick(this.soonest(clock.currentTimeMillisUnsafe()))
      const way = { clock, deadlineAt: fiber.getRef(Deadline.Current), outer: fiber.getRef(Open) }
      return this.ask(way, first, this.after(alternatives, first), run)
    })

  useStream: Fallback<T>["useStream"] = (run) => Stream.unwrap(this.use((alternative) => opened(run(alternative))))

  coolUntilUnsafe = (name: string, nowMillis: number): number | undefined => {
    const alternative = this.options.alternatives.find((one) => one.name === name)
    const until = alternative === undefined ? 0 : this.coolUntil(alternative, nowMillis)
    return until > nowMillis ? until : undefined
  }

  coolUnsafe = (name: string, millis: number, nowMillis: number): void => this.coolDowns.begin(name, millis, nowMillis)

  private coolUntil(alternative: T, now: number): number {
    return Math.max(this.coolDowns.until(alternative.name, now), alternative.openUntil?.() ?? 0)
  }

  private pick(ready: Ready<T>): T {
    return this.options.pick === undefined ? ready[0] : this.options.pick(ready)
  }

  /** Those that may be asked now, or else those that come back first. */
  private soonest(now: number): Ready<T> {
    const { alternatives } = this.options
    const until = alternatives.map((one) => this.coolUntil(one, now))
    const soonest = Math.max(now, Math.min(...until))
    const ready = alternatives.filter((_, index) => (until[index] ?? 0) <= soonest)
    return isReady(ready) ? ready : alternatives
  }

  /** Those of the line that may still be asked once `chosen` was. */
  private after(line: ReadonlyArray<T>, chosen: T): ReadonlyArray<T> {
    return this.options.pick === undefined ? line.slice(line.indexOf(chosen) + 1) : line.filter((one) => one !== chosen)
  }

  private ask<A, E, R>(
    way: Way,
    alternative: T,
    rest: ReadonlyArray<T>,
    run: (alternative: T) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    const began = way.clock.currentTimeMillisUnsafe()
    const isOpen = (error: unknown): boolean => isReady(this.serving(way, rest, error)) || way.outer?.(error) === true
    const served = Effect.onExitPrimitive(Effect.provideService(run(alternative), Open, isOpen), (exit) => {
      if (Exit.isSuccess(exit)) this.coolDowns.served(alternative.name, began)
      return undefined
    })
    return Effect.catchCause(served, (cause) => {
      const error = Cause.findError(cause)
      // A defect or an interruption is nobody's failure to serve.
      if (Result.isFailure(error) || Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.failCause(cause)
      this.remember(alternative, error.success, way.clock.currentTimeMillisUnsafe())
      const ready = this.serving(way, rest, error.success)
      if (!isReady(ready)) return Effect.failCause(cause)
      const to = this.pick(ready)
      const onward = Effect.suspend(() => this.ask(way, to, this.after(rest, to), run))
      const hook = this.options.onFallback
      if (hook === undefined) return onward
      return Effect.andThen(hook({ from: alternative.name, to: to.name, error: error.success }), onward)
    })
  }

  /** Who of the rest would serve this failure now. */
  private serving({ clock, deadlineAt }: Way, rest: ReadonlyArray<T>, error: unknown): ReadonlyArray<T> {
    const now = clock.currentTimeMillisUnsafe()
    if (rest.length === 0 || now >= deadlineAt) return []
    const { phase } = this.classify(error)
    const isDone = phase !== "notSent" && phase !== "rejected"
    if (this.options.safety === "unsafe" && isDone) return []
    const move = this.moveOf(error)
    const serves = ({ longer, when }: T): boolean =>
      when === undefined ? move === "next" || (move === "longer" && longer === true) : when(error)
    return rest.filter((one) => serves(one) && this.coolUntil(one, now) <= now)
  }

  private moveOf(error: unknown): "next" | "longer" | "none" {
    const said = this.classify(error)
    // Its own time, queue or circuit says no; another one has its own. A budget and a closing client are shared.
    if (said instanceof CircuitOpen || said instanceof Shed || said instanceof DeadlineExceeded) return "next"
    const { fallback, isRetryable, isThrottle } = said
    return fallback ?? (isRetryable || isThrottle === true ? "next" : "none")
  }

  private hasRefused(error: unknown): boolean {
    const { fallback, isRetryable, phase } = this.classify(error)
    return !isRetryable && phase === "rejected" && fallback === "next"
  }

  private remember({ name }: T, error: unknown, now: number): void {
    const { retryAfter } = this.classify(error)
    if (retryAfter !== undefined) {
      return this.coolUnsafe(name, Math.min(this.maxCoolDownMillis, Duration.toMillis(retryAfter)), now)
    }
    const coolDown = this.coolDownOf(error)
    if (coolDown !== undefined) this.coolUnsafe(name, Duration.toMillis(coolDown), now)
  }
}

/** Alternatives with a memory of their own: make one and share it between the calls. */
export const makeUnsafe = <T extends Alternative>(options: Options<T>): Fallback<T> => new RememberingFallback(options)

/** Alternatives with a memory of their own: make one and share it between the calls. */
export const make = <T extends Alternative>(options: Options<T>): Effect.Effect<Fallback<T>> =>
  Effect.sync(() => makeUnsafe(options))

/** An alternative that is an effect. */
export interface Other<A, E, R> extends Alternative {
  readonly run: Effect.Effect<A, E, R>
}

/**
 * Runs the alternatives when an effect fails with what they serve. The memory lives as long as the result, so keep the
 * whole effect in a constant. The effect itself is the alternative `"primary"`.
 */
export const fallback = <B, E2, R2>(
  others: readonly [Other<B, E2, R2>, ...ReadonlyArray<Other<B, E2, R2>>],
  settings: Settings = {}
) => {
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | B, E | E2, R | R2> => {
    const primary: Other<A | B, E | E2, R | R2> = { name: "primary", run: self }
    return makeUnsafe({ ...settings, alternatives: [primary, ...others] }).use(({ run }) => run)
  }
}
