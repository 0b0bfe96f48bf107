/** How long a run on a server may take: counted from its send, since while it waits for a slot, or to be sent again, nothing runs. */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Timer from "../../policy/Timer.ts"

export class Patience {
  private readonly clock: Clock.Clock
  readonly millis: number
  private readonly done = Deferred.makeUnsafe<void>()
  private cancel: (() => void) | undefined

  constructor(clock: Clock.Clock, millis: number) {
    this.clock = clock
    this.millis = millis
  }

  readonly onSend = (): void => {
    this.cancel?.()
    this.cancel = Timer.after(this.clock, this.millis, () => Deferred.doneUnsafe(this.done, Effect.void))
  }

  readonly onFail = (): void => this.cancel?.()

  /** Ends when the time is over; who no longer waits for that stops it. */
  readonly over: Effect.Effect<void> = Effect.ensuring(
    Deferred.await(this.done),
    Effect.sync(() => this.cancel?.())
  )
}
