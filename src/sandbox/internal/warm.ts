/** Guests that were booted ahead. Each is handed out once: a guest serves one session and is never used again. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SandboxError } from "../SandboxError.ts"
import type { Child } from "./child.ts"
import * as Idle from "./idle.ts"

/** A store of warm guests of one language. */
export interface Warm {
  /** A guest that is ready: a warm one, or else a new one. The caller kills it. */
  readonly take: Effect.Effect<Child, SandboxError>
}

/** A program that has wanted no session for so long needs its memory more than the next one its start. */
const longestIdle = Duration.minutes(10)

/**
 * Keeps up to `size` guests ready from the first `take` on, booted one at a time, while the scope is open. One that
 * nobody takes within `maxIdle`, ten minutes, is killed, and booted again after the next `take`.
 */
export const make = Effect.fnUntraced(function* (
  boot: Effect.Effect<Child, SandboxError>,
  size: number,
  maxIdle: Duration.Duration = longestIdle
): Effect.fn.Return<Warm, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const oneAtATime = yield* Semaphore.make(1)
  const ready: Array<Child> = []

  const retire = (child: Child) =>
    Effect.andThen(
      Idle.after(maxIdle),
      Effect.suspend(() => {
        const at = ready.indexOf(child)
        if (at < 0) return Effect.void
        ready.splice(at, 1)
        return child.kill("closed", "nobody used it")
      })
    )
  const add = Effect.suspend(() =>
    ready.filter((child) => child.isAlive).length >= size
      ? Effect.void
      : Effect.flatMap(boot, (child) => {
          ready.push(child)
          return Effect.forkIn(retire(child), scope)
        })
  )
  // A warm guest that cannot be had is no failure: the next session boots its own and says why it cannot.
  const refill = add.pipe(oneAtATime.withPermit, Effect.ignore, Effect.forkIn(scope))

  const next = Effect.suspend(() => {
    let child = ready.shift()
    while (child !== undefined && !child.isAlive) child = ready.shift()
    return child === undefined ? boot : Effect.succeed(child)
  })
  // Afterwards: a boot in the background would only slow the one that somebody waits for.
  return { take: size > 0 ? Effect.ensuring(next, refill) : next }
})
