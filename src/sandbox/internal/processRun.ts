/** One run or command: supervised until it ends, is stopped, or takes the session with it. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SessionLost } from "../SandboxError.ts"
import type { End } from "./processFrame.ts"
import type { Exchange, Guest } from "./processGuest.ts"

/** How something that runs may be stopped. */
export interface Bounds {
  readonly timeout: Duration.Duration
  readonly grace: Duration.Duration
  /** Done when somebody interrupts it from outside. */
  readonly stop: Deferred.Deferred<void>
  /** Code is asked to stop, so that its variables stay; a command has none, and is killed at its timeout. */
  readonly isCommand: boolean
}

/** How it ended, before it is told. `end` is absent when the session had to be killed. */
export interface Ending {
  readonly end: End | undefined
  readonly stopped: "timedOut" | "interrupted" | undefined
}

/** Again and again: a program may catch the first interrupt and go on. */
const asking = (guest: Guest, id: number): Effect.Effect<never> =>
  Effect.sync(() => guest.halt("stop", id)).pipe(Effect.andThen(Effect.sleep("100 millis")), Effect.forever)

const halt = Effect.fnUntraced(function* (guest: Guest, exchange: Exchange, bounds: Bounds, isPolite: boolean) {
  // Something that dies of being stopped has stopped all the same.
  const end = Deferred.await(exchange.end).pipe(
    Effect.option,
    Effect.timeoutOption(bounds.grace),
    Effect.map(Option.flatten)
  )
  const asked = isPolite ? yield* Effect.raceFirst(end, asking(guest, exchange.id)) : Option.none<End>()
  if (Option.isSome(asked)) return asked.value
  if (bounds.isCommand) {
    guest.halt("kill", exchange.id)
    const killed = yield* end
    if (Option.isSome(killed)) return killed.value
  }
  yield* guest.kill("killed", "a run that was to stop did not, so the session was killed")
  return undefined
})

/** Waits for the end within the bounds; when this effect is interrupted, what runs is stopped too. */
export const supervise = (guest: Guest, exchange: Exchange, bounds: Bounds): Effect.Effect<Ending, SessionLost> => {
  const ended = Effect.map(Deferred.await(exchange.end), (end): Ending => ({ end, stopped: undefined }))
  const stop = Effect.raceFirst(
    Effect.as(Effect.sleep(bounds.timeout), "timedOut" as const),
    Effect.as(Deferred.await(bounds.stop), "interrupted" as const)
  )
  return Effect.raceFirst(ended, stop).pipe(
    Effect.flatMap((first) =>
      typeof first === "string"
        ? Effect.map(halt(guest, exchange, bounds, first === "interrupted" || !bounds.isCommand), (end): Ending => ({
            end,
            stopped: first
          }))
        : Effect.succeed(first)
    ),
    Effect.onInterrupt(() => halt(guest, exchange, bounds, true))
  )
}

/** The exit code that the caller is told: what was stopped has no say in it. */
export const exitCode = ({ end, stopped }: Ending): number =>
  stopped === "timedOut" ? 124 : stopped === "interrupted" ? 130 : (end?.exitCode ?? 1)

export const outcome = ({ end, stopped }: Ending): "ok" | "failed" | "timedOut" | "interrupted" =>
  stopped ?? (end?.ok === true ? "ok" : "failed")
