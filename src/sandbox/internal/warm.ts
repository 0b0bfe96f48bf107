/** Guests that were booted ahead. Each is handed out once: a guest serves one session and is never used again. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SandboxError } from "../SandboxError.ts"
import type { Child } from "./child.ts"

/** A store of warm guests of one language. */
export interface Warm {
  /** A guest that is ready: a warm one, or else a new one. The caller kills it. */
  readonly take: Effect.Effect<Child, SandboxError>
}

/** Keeps up to `size` guests ready from the first `take` on, booted one at a time, while the scope is open. */
export const make = Effect.fnUntraced(function* (
  boot: Effect.Effect<Child, SandboxError>,
  size: number
): Effect.fn.Return<Warm, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const oneAtATime = yield* Semaphore.make(1)
  const ready: Array<Child> = []

  const add = Effect.suspend(() =>
    ready.filter((child) => child.isAlive).length >= size ? Effect.void : Effect.map(boot, (child) => ready.push(child))
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
