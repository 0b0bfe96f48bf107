/** Who calls through an open policy at the moment. */
import * as Effect from "effect/Effect"
import type { Draining } from "../PolicyError.ts"
import type { Run } from "./run.ts"

interface Running {
  readonly isRelease: boolean
  readonly refuse: (error: Draining) => void
}

/** The calls in flight of one open policy, and whether it takes new ones. */
export class Admission {
  readonly running = new Set<Running>()
  isDraining = false
  private onIdle: Array<() => void> = []

  /** Those that may be ended. A release is waited for, and has its own time. */
  get calls(): ReadonlyArray<Running> {
    return [...this.running].filter((run) => !run.isRelease)
  }

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
