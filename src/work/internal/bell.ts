/** Wakes everybody who waits for something to have changed. */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

export class Bell {
  private deferred = Deferred.makeUnsafe<void>()

  /** Waits for the next ring after this moment: taken before one looks, so that no ring is missed between. */
  next(): Effect.Effect<void> {
    return Deferred.await(this.deferred)
  }

  ring(): void {
    const rung = this.deferred
    this.deferred = Deferred.makeUnsafe<void>()
    Deferred.doneUnsafe(rung, Exit.void)
  }
}
