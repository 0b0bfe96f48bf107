/** Who calls through an open policy at the moment. */
import * as Effect from "effect/Effect"
import type { Draining } from "../PolicyError.ts"
import type { Run } from "./run.ts"

/** The calls in flight of one open policy, and whether it takes new ones. */
export class Admission {
  readonly running = new Set<{ readonly refuse: (error: Draining) => void }>()
  isDraining = false
  private onIdle: Array<() => void> = []

  /** Runs a call and counts it as running meanwhile. */
  run<A, E, R, R2>(run: Run<R2>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const counted = Effect.suspend(() => {
      this.running.add(run)
      return self
    })
    return Effect.onExitPrimitive(counted, () => {
      this.end(run)
      return undefined
    })
  }

  end<R2>(run: Run<R2>): void {
    if (!this.running.delete(run) || this.running.size > 0) return
    for (const idle of this.onIdle.splice(0)) idle()
  }

  /** Waits until nothing runs. */
  readonly idle: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.running.size === 0) return resume(Effect.void)
    this.onIdle.push(() => resume(Effect.void))
  })
}
